"""`keystore project encryption`: keys at three providers, against a real server and a real emulator."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from keystore.cli import exits
from keystore.projects.access import Role
from kms_emulator.embedded import KmsEmulator
from tests.cli.project_commands import ProjectCommands
from tests.cli.test_passphrases import at_terminal
from tests.control.on_sqlite import database_url as database_url
from tests.projects.providers import Aws, Azure, Gcp, be_unreachable, environment_of, leading_to
from tests.rest.conftest import Rest
from tests.rest.conftest import database as database
from tests.rest.conftest import opened as opened
from tests.rest.conftest import plane as plane
from tests.rest.conftest import rest as rest

AWS_OPTIONS = {"accessKeyID": "--access-key-id", "customerMasterKeyID": "--key", "region": "--region"}
AZURE_OPTIONS = {
    "clientID": "--client-id",
    "tenantID": "--tenant-id",
    "azureEnvironment": "--environment",
    "subscriptionID": "--subscription-id",
    "resourceGroupName": "--resource-group",
    "keyVaultName": "--vault",
    "keyIdentifier": "--key",
}


@pytest.fixture(scope="module")
def kms() -> Iterator[KmsEmulator]:
    with KmsEmulator(strict_auth=True) as kms:
        yield kms


@pytest.fixture
def clean(kms: KmsEmulator) -> KmsEmulator:
    kms.reset()
    return kms


@pytest.fixture
def commands(rest: Rest, kms: KmsEmulator) -> ProjectCommands:
    return ProjectCommands(rest, env=environment_of(kms))


def options(block: dict[str, str], names: dict[str, str]) -> list[str]:
    return [word for name, option in names.items() for word in (option, block[name])]


def set_aws(commands: ProjectCommands, aws: Aws, folder: Path) -> None:
    block = aws.block()
    (folder / "secret").write_text(block["secretAccessKey"] + "\n")
    arguments = ["set-aws", "project", *options(block, AWS_OPTIONS), "--secret-file", folder / "secret"]
    assert commands.json("encryption", *arguments)["encryptionAtRest"]["valid"] is True


@pytest.mark.row("R10", "R17", "R18")
def test_a_key_at_each_provider_is_set_shown_and_removed(
    commands: ProjectCommands, clean: KmsEmulator, tmp_path: Path
) -> None:
    assert commands.run("encryption", "show", "project").out == "not enabled: aws, azure, gcp\n"
    aws, azure, gcp = Aws(clean), Azure(clean), Gcp(clean)
    set_aws(commands, aws, tmp_path)
    block = azure.block()
    asked = ("encryption", "set-azure", "project", *options(block, AZURE_OPTIONS), "--secret-file", "-")
    done = commands.run(*asked, stdin=block["secret"].encode())
    assert done.code == 0, done.err
    assert ["keyIdentifier", block["keyIdentifier"]] in [line.split() for line in done.out.splitlines()]
    found = gcp.block()
    (tmp_path / "account.json").write_text(found["serviceAccountKey"])
    key = ("--key", found["keyVersionResourceID"], "--service-account-file", tmp_path / "account.json")
    assert commands.run("encryption", "set-gcp", "project", *key).code == 0
    shown = commands.run("encryption", "show", "project")
    assert shown.code == 0
    assert shown.out.count("VALID since") == 3
    for secret in (aws.block()["secretAccessKey"], block["secret"], "PRIVATE KEY"):
        assert secret not in done.out + shown.out
    whole = commands.json("encryption", "show", "project")["encryptionAtRest"]
    assert [whole[name]["state"] for name in ("awsKms", "azureKeyVault", "googleCloudKms")] == ["VALID"] * 3
    assert "add --yes" in commands.run("encryption", "disable", "project", "aws").err
    assert commands.run("encryption", "disable", "project", "aws", "--yes").out == "not enabled: aws\n"
    assert commands.json("encryption", "show", "project")["encryptionAtRest"]["awsKms"] == {"enabled": False}


def test_a_key_is_followed_by_another_and_what_is_left_out_stays(
    commands: ProjectCommands, clean: KmsEmulator, tmp_path: Path
) -> None:
    aws = Aws(clean)
    set_aws(commands, aws, tmp_path)
    new = aws.new_key()["customerMasterKeyID"]
    rotated = commands.json("encryption", "rotate", "project", "AWS", new)["encryptionAtRest"]
    assert (rotated["customerMasterKeyID"], rotated["region"], rotated["valid"]) == (new, "US_EAST_1", True)
    other = aws.new_key()["customerMasterKeyID"]
    changed = commands.json("encryption", "set-aws", "project", "--key", other)["encryptionAtRest"]
    assert (changed["customerMasterKeyID"], changed["accessKeyID"]) == (other, rotated["accessKeyID"])


@pytest.mark.row("R38", "R55")
def test_a_key_that_was_taken_away_is_told_by_reason_and_exit_code(
    commands: ProjectCommands, clean: KmsEmulator, tmp_path: Path
) -> None:
    aws = Aws(clean)
    set_aws(commands, aws, tmp_path)
    take, give_back = aws.ways["permission"]
    take()
    again = ("encryption", "try-again", "project", "aws")
    refused = commands.run(*again)
    assert refused.code == exits.KEY_INVALID
    assert "INVALID since" in refused.out
    assert "kms:Decrypt is missing" in refused.out
    assert commands.json("encryption", "show", "project", code=exits.KEY_INVALID)["ok"] is True
    give_back()
    assert commands.run(*again).code == 0
    be_unreachable(aws, "5xx")
    assert commands.run(*again).code == exits.UNREACHABLE


def test_what_cannot_be_saved_is_named_with_its_field(
    rest: Rest, commands: ProjectCommands, clean: KmsEmulator, tmp_path: Path
) -> None:
    aws = Aws(clean)
    block = aws.block()
    (tmp_path / "secret").write_text("s3cr3t-of-nobody" * 3)
    (tmp_path / "binary").write_bytes(b"\xff")
    (tmp_path / "long").write_text("x" * 70000)
    whole: list[object] = ["encryption", "set-aws", "project", *options(block, AWS_OPTIONS), "--secret-file"]
    with_file = [*whole, tmp_path / "secret"]
    cases: list[tuple[list[object], int, str]] = [
        (with_file, exits.USAGE, "INVALID_AWS_CREDENTIALS at awsKms: "),
        ([*with_file, "--region", "GLOBAL"], exits.USAGE, "AWS_KMS_REGION_NOT_SUPPORTED at awsKms.region: "),
        (["encryption", "set-aws", "project", "--key", "k"], exits.USAGE, "at awsKms.customerMasterKeyID: "),
        (["encryption", "set-aws", "project", "--region", "US_EAST_1"], exits.USAGE, "needs accessKeyID, secretA"),
        (["encryption", "set-aws", "project"], exits.USAGE, "nothing was given"),
        (whole[:-1], exits.USAGE, "Use --secret-file"),
        ([*whole, tmp_path / "none"], exits.USAGE, "cannot be read: No such file"),
        ([*whole, tmp_path / "binary"], exits.USAGE, "is no text"),
        ([*whole, tmp_path / "long"], exits.USAGE, "more than 65536 bytes"),
        (["encryption", "rotate", "project", "aws", block["customerMasterKeyID"]], exits.ERROR, "DISABLED"),
        (["encryption", "try-again", "project", "gcp"], exits.USAGE, "ENCRYPTION_AT_REST_NOT_ENABLED"),
        (["encryption", "show", "nowhere"], exits.NOT_THERE, "no role in a project"),
    ]
    for arguments, code, told in cases:
        ended = commands.run(*arguments)
        assert (ended.code, ended.out) == (code, ""), ended.err
        assert told in " ".join(ended.err.replace("│", " ").split())
        assert "s3cr3t" not in ended.err
        assert ended.err.count("Nothing was changed") < 2
    as_json = commands.run(*with_file, "--json").json["error"]
    assert (as_json["error_code"], as_json["field"]) == ("INVALID_AWS_CREDENTIALS", "awsKms")
    reader = ProjectCommands(rest, Role.GROUP_READ_ONLY, env=environment_of(clean))
    assert reader.run("encryption", "show", "project").code == 0
    assert "it needs GROUP_OWNER" in reader.run(*with_file).err
    assert commands.run("encryption", "show", "project").out == "not enabled: aws, azure, gcp\n"


def test_a_secret_is_asked_for_at_a_terminal_and_not_shown(commands: ProjectCommands, clean: KmsEmulator) -> None:
    block = Aws(clean).block()
    arguments = ["project", "encryption", "set-aws", "project", *options(block, AWS_OPTIONS)]
    with leading_to(clean):
        done = at_terminal(*arguments, answers=(block["secretAccessKey"],), env=commands.env)
    assert done.code == 0, done
    assert done.shown.count("Secret access key:") == 1
    assert block["secretAccessKey"] not in done.shown
