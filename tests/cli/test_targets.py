"""Every command that takes a place of snapshots takes the URL of a bucket."""

from pathlib import Path

import pytest

from keystore.cli import exits
from tests.buckets import S3_CREDENTIALS
from tests.cli.conftest import Made
from tests.cli.running import Run, keystore


def done(run: Run) -> Run:
    assert run.code == exits.OK, run
    return run


def test_a_bucket_is_a_target_everywhere(made: Made, s3_bucket: str, tmp_path: Path) -> None:
    url = f"{s3_bucket}/backups"
    taken = done(keystore("snapshot", "create", made.node, url, "--json")).json
    assert taken["target"] == url
    assert done(keystore("snapshot", "create", made.node, url, "--json")).json["stored_bytes"] < taken["stored_bytes"]
    listed = done(keystore("snapshot", "list", url, "--json")).json
    assert (listed["target"], [each["state"] for each in listed["snapshots"]]) == (url, ["complete"] * 2)
    done(keystore("snapshot", "restore", url, taken["snapshot_id"], tmp_path / "restored"))
    done(keystore("export", tmp_path / "restored", "db/file", tmp_path / "out"))
    assert (tmp_path / "out").read_bytes() == made.source.read_bytes()
    done(keystore("snapshot", "export", url, "latest", "db/file", tmp_path / "exported"))
    assert (tmp_path / "exported").read_bytes() == made.source.read_bytes()
    used = done(keystore("keys", "usage", made.node, url, "--json")).json
    assert [len(key["snapshots"]) for key in used["keys"]] == [2]
    done(keystore("verify", made.node, "--snapshots", url))
    done(keystore("repair", made.node, "--from", url))
    assert done(keystore("data-key", "list", made.node, "--snapshots", url, "--json")).json["ok"]
    assert not list(tmp_path.glob("s3*"))


@pytest.mark.parametrize(
    ("target", "code", "kind"),
    [
        ("s3://no-bucket-of-this-name/x", exits.NOT_THERE, "PlaceMissingError"),
        ("ftp://host/x", exits.USAGE, "InputError"),
        ("s3://key:secret@bucket/x", exits.USAGE, "InputError"),
        ("", exits.USAGE, "UsageError"),
    ],
)
@pytest.mark.usefixtures("s3_bucket")
def test_what_is_no_target_is_told(made: Made, target: str, code: int, kind: str) -> None:
    run = keystore("snapshot", "create", made.node, target, "--json")
    assert (run.code, run.json["error"]["type"]) == (code, kind)
    assert not any(value in run.out for value in ("secret", S3_CREDENTIALS["AWS_REGION"]))
