"""`keystore control init`, `control serve --listen`, and the commands that go over the API."""

import json
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from keystore.kms.local import create_key_file
from tests.cli.running import PROGRAM, Run, environment, keystore
from tests.control.worker import WAIT_S, wait_until
from tests.mail_server import serve_mail


class Served:
    """A control process with the API, and the owner of an organisation in it."""

    def __init__(self, directory: Path, smtp: str) -> None:
        self.url = f"sqlite:///{directory / 'control.db'}"
        create_key_file(directory / "platform")
        self.owner = keystore("control", "init", "acme", "--database", self.url, "--json").json
        self._ready = directory / "ready"
        command = [*PROGRAM, "control", "serve", "--database", self.url, "--name", "me", "--ready-file", self._ready]
        command += ["--platform-key", f"local://{directory / 'platform'}", "--listen", "127.0.0.1:0"]
        command += ["--data-dir", directory / "data"]
        command += ["--smtp", smtp, "--mail-from", "keystore@example.org", "--json"]
        self.process = subprocess.Popen(
            [*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment({})
        )
        wait_until(lambda: self._ready.exists() or self.process.poll() is not None, "the ready file")
        assert self.process.poll() is None, self.process.communicate(timeout=WAIT_S)[1]
        assert self.process.stdout is not None
        told = json.loads(self.process.stdout.readline())
        assert told == {"ok": True, **json.loads(self._ready.read_text())}
        assert told["data_dir"] == str(directory / "data")
        assert told["sends_mail"] is True
        self.api = told["url"]

    def run(self, *arguments: str, key: dict[str, Any] | None = None, env: Mapping[str, str] | None = None) -> Run:
        used = key or self.owner
        names = {"KEYSTORE_API_URL": self.api, "KEYSTORE_API_PUBLIC_KEY": used["publicKey"]}
        return keystore(*arguments, env={**names, "KEYSTORE_API_PRIVATE_KEY": used["privateKey"], **(env or {})})


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve_mail() as mailbox:
        found = Served(tmp_path_factory.mktemp("served"), mailbox.address)
        yield found
        found.process.send_signal(signal.SIGTERM)
        _, told = found.process.communicate(timeout=WAIT_S)
        assert (found.process.returncode, told) == (0, "")


def test_a_project_from_its_beginning_to_its_alerts(served: Served) -> None:
    made = served.run("project", "create", "shop", "--json")
    assert made.code == 0, made.err
    assert made.json["name"] == "shop"
    assert "shop" in served.run("project", "list").out
    assert served.run("project", "invite", "shop", "Owner@example.org", "--role", "GROUP_OWNER").code == 0
    assert "owner@example.org" in served.run("project", "show", "shop").out
    assert served.run("project", "rename", "shop", "store", "--json").json["id"] == made.json["id"]
    configs = served.run("alert", "configs", "store", "--json").json["alertConfigs"]
    assert {config["enabled"] for config in configs} == {True}
    off = served.run("alert", "set", "store", "ENCRYPTION_AT_REST_CONFIG_NO_LONGER_VALID", "--off")
    assert off.out == "ENCRYPTION_AT_REST_CONFIG_NO_LONGER_VALID: off\n"
    assert served.run("alert", "list", made.json["id"], "--json").json["alerts"] == []
    events = served.run("event", "list", "store", "--json").json["events"]
    assert [event["eventTypeName"] for event in events] == [
        "ALERT_CONFIG_CHANGED_AUDIT",
        "GROUP_NAME_CHANGED",
        "USER_ROLES_CHANGED_AUDIT",
        "GROUP_CREATED",
    ]
    assert {event["publicKey"] for event in events} == {served.owner["publicKey"]}
    assert served.run("event", "list", "store", "--type", "GROUP_CREATED").out.count("GROUP_CREATED") == 1


def test_an_organisation_needs_a_name(tmp_path: Path) -> None:
    database = ("--database", f"sqlite:///{tmp_path / 'control.db'}")
    for name in ("", " ", "a\nb", "x" * 65):
        refused = keystore("control", "init", name, *database)
        assert refused.code != 0
        assert "has 1 to 64 characters in one line" in refused.err
    assert keystore("control", "init", "x" * 64, *database).code == 0


def test_a_project_that_the_environment_names_may_be_left_out(served: Served) -> None:
    assert served.run("project", "create", "usual").code == 0
    assert served.run("project", "create", "other").code == 0
    known = {"KEYSTORE_PROJECT": "usual"}
    for given, name in (((), "usual"), (("other",), "other")):
        assert served.run("project", "show", *given, "--json", env=known).json["name"] == name
        assert served.run("event", "list", *given, "--limit", "3", env=known).out.count("GROUP_CREATED") == 1
        assert "CLUSTER_NOT_FOUND" in served.run("project", "cluster", "show", *given, "orders", env=known).err
        refused = served.run("project", "encryption", "checks", *given, "aws", env=known)
        assert "ENCRYPTION_AT_REST_NOT_ENABLED" in refused.err
        assert served.run("project", "usage", *given, "--json", env=known).json["usage"] == []
        assert "CLUSTER_NOT_FOUND" in served.run("backup", "restore", *given, "orders", "--at", "5", env=known).err
    assert served.run("project", "rename", "renamed", env=known).out == "usual is called renamed\n"
    assert "Missing argument" in served.run("project", "cluster", "show", env=known).err
    assert "No such option" in served.run("project", "show", "--nothing", env=known).err
    assert served.run("project", "show").code == 2


def test_backups_know_a_project_by_its_name(served: Served) -> None:
    assert served.run("project", "create", "named").code == 0
    assert served.run("backup", "usage", "named", "--json").json["keys"] == []
    nowhere = served.run("backup", "usage", "nowhere")
    assert (nowhere.code, "`keystore project list` shows all" in nowhere.err) == (6, True)


def test_what_the_api_refuses_is_told_by_text_and_exit_code(served: Served) -> None:
    assert served.run("project", "create", "once").code == 0
    reader = served.run("project", "key", "once", "a reader's", "--role", "GROUP_READ_ONLY", "--json").json
    assert reader["privateKey"]
    wrong = {**served.owner, "privateKey": "wrong"}
    cases: list[tuple[Run, int, str]] = [
        (served.run("project", "create", "once"), 7, "GROUP_ALREADY_EXISTS"),
        (served.run("project", "show", "nowhere"), 6, "`keystore project list` shows all"),
        (served.run("project", "rename", "once", "x" * 65), 2, "INVALID_ATTRIBUTE"),
        (served.run("project", "rename", "once", "twice", key=reader), 10, "it needs GROUP_OWNER"),
        (served.run("project", "list", key=wrong), 10, "UNAUTHORIZED"),
        (served.run("alert", "set", "once", "NONE", "--off"), 6, "shows all"),
        (
            served.run("alert", "set", "once", "ENCRYPTION_AT_REST_CONFIG_NO_LONGER_VALID", "--days", "3"),
            2,
            "THRESHOLD",
        ),
    ]
    for ended, code, told in cases:
        assert (ended.code, ended.out) == (code, ""), ended.err
        assert told in ended.err
        assert served.owner["privateKey"] not in ended.err
    assert served.run("project", "show", "nowhere", "--json").json["ok"] is False


@pytest.mark.parametrize(
    ("url", "code", "told"),
    [
        ("http://127.0.0.1:1", 4, "nothing listens"),
        ("http://example.org", 2, "would show the API key"),
        ("ftp://example.org", 2, "is not the URL of an API"),
        ("https://example.org:port", 2, "is not the URL of an API"),
    ],
)
def test_an_api_that_is_not_there(url: str, code: int, told: str) -> None:
    key = {"KEYSTORE_API_PUBLIC_KEY": "public", "KEYSTORE_API_PRIVATE_KEY": "hunter2"}
    ended = keystore("project", "list", "--api-url", url, env=key)
    assert ended.code == code
    assert told in ended.err
    assert "hunter2" not in ended.err


def test_without_a_key_nothing_is_sent() -> None:
    ended = keystore("project", "list", "--api-url", "http://127.0.0.1:1", "--public-key", "public")
    assert ended.code == 2
    assert "KEYSTORE_API_PRIVATE_KEY" in ended.err


def test_what_cannot_be_served_is_refused(tmp_path: Path) -> None:
    create_key_file(tmp_path / "platform")
    serve = ("control", "serve", "--database", f"sqlite:///{tmp_path / 'control.db'}", "--name", "me")
    with_key = (*serve, "--platform-key", f"local://{tmp_path / 'platform'}", "--data-dir", str(tmp_path))
    (tmp_path / "pem").write_text("no certificate")
    tls = ("--tls-certificate", str(tmp_path / "pem"), "--tls-key", str(tmp_path / "pem"))
    cases = [
        ((*serve, "--listen", "127.0.0.1:0"), "need --platform-key"),
        ((*with_key, "--smtp", "127.0.0.1:25"), "--smtp and --mail-from go together"),
        ((*with_key, "--listen", "0.0.0.0:0"), "plain HTTP would show API keys"),
        ((*with_key, "--listen", "nowhere"), "is not HOST:PORT"),
        ((*with_key, "--listen", "0.0.0.0:0", *tls), "are not a certificate and its key"),
    ]
    for arguments, told in cases:
        ended = keystore(*arguments)
        assert ended.code == 2
        assert told in " ".join(ended.err.replace("│", " ").split())


def test_an_organisation_is_made_once(tmp_path: Path) -> None:
    made = ("control", "init", "acme", "--database", f"sqlite:///{tmp_path / 'control.db'}")
    assert "privateKey" in keystore(*made).out
    again = keystore(*made)
    assert (again.code, again.out) == (2, "")
    assert "already" in again.err


def test_jobs_of_projects_and_mails_are_left_to_processes_that_can_do_them(tmp_path: Path) -> None:
    database = ("--database", f"sqlite:///{tmp_path / 'control.db'}")
    assert keystore("control", "init", "acme", *database).code == 0
    refused = keystore("control", "serve", "--name", "plain", *database)
    assert (refused.code, refused.out) == (2, "")
    assert "Give --platform-key" in refused.err
    create_key_file(tmp_path / "platform")
    with_key = ("--platform-key", f"local://{tmp_path / 'platform'}", "--data-dir", str(tmp_path))
    command = [*map(str, PROGRAM), "control", "serve", "--name", "quiet", *database, *with_key]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment({})) as process:
        assert process.stdout is not None
        assert "sends no mail (--smtp)" in process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_S) == 0
