"""`keystore project cluster`: what is asked of the API and how it is told; and the whole of it with real processes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keystore.cli import exits
from keystore.projects.access import Role
from keystore.projects.conditions import Condition, Life
from keystore.projects.keyed_deployments import disable_deployments
from kms_emulator.embedded import KmsEmulator
from tests.cli.project_commands import ProjectCommands
from tests.cli.running import Run, keystore
from tests.mail_server import serve_mail
from tests.projects.made import apply_all, become, make_configuration
from tests.projects.served import Served
from tests.rest.conftest import Rest
from tests.rest.conftest import database as database
from tests.rest.conftest import opened as opened
from tests.rest.conftest import plane as plane
from tests.rest.conftest import rest as rest

PLACE = ("--cloud", "gcp", "--region", "EUROPE_WEST_1", "--tier", "M10")


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'control.db'}"


@pytest.fixture
def commands(rest: Rest) -> ProjectCommands:
    return ProjectCommands(rest)


def make(rest: Rest, commands: ProjectCommands, name: str, *more: str) -> dict[str, Any]:
    """Make a cluster and take it for running."""
    made: dict[str, Any] = commands.json("cluster", "create", "project", name, *PLACE, *more)["cluster"]
    with rest.plane.database.write() as connection:
        apply_all(connection, made["id"])
        become(connection, made["id"], Condition(Life.ALIVE))
    return made


def test_a_cluster_is_made_listed_edited_by_a_draft_paused_and_deleted(rest: Rest, commands: ProjectCommands) -> None:
    with rest.plane.database.write() as connection:
        make_configuration(connection, rest.project_id, "AWS", "aws://place/key")
    made = make(rest, commands, "orders", "--nodes", "2", "--disk-gb", "20", "--backups", "--point-in-time")
    assert (made["diskSizeGB"], made["backupType"], made["pitEnabled"]) == (20, "CLOUD", True)
    listed = commands.run("cluster", "list", "project").out.splitlines()
    assert listed[1].split() == ["orders", "IDLE", "NONE", "M10", "2", "GCP", "EUROPE_WEST_1"]
    before = commands.json("cluster", "show", "project", "orders")
    opened = commands.json("cluster", "edit", "project", "orders", "--disk-gb", "40")["draft"]
    more = commands.run("cluster", "edit", "project", "orders", "--draft", opened["id"], "--encryption", "aws")
    assert [line.split() for line in more.out.splitlines()[1:3]] == [
        ["diskSizeGB", "20", "40"],
        ["encryptionAtRestProvider", "NONE", "AWS"],
    ]
    draft = ("project", "orders", opened["id"])
    assert f"`keystore project cluster apply {' '.join(draft)}`" in more.out
    assert commands.run("cluster", "review", *draft).out == more.out
    assert commands.json("cluster", "show", "project", "orders") == before
    applied = commands.run("cluster", "apply", *draft)
    assert "diskSizeGB 40, encryptionAtRestProvider AWS)  queued" in applied.out
    assert "notice: Clusters are moving to another encryption key." in applied.out
    assert "update" in commands.run("cluster", "changes", "project", "orders").out
    second = commands.json("cluster", "edit", "project", "orders", "--no-backups")["draft"]["id"]
    assert commands.run("cluster", "discard", "project", "orders", second).code == 0
    assert "DRAFT_NOT_FOUND" in commands.run("cluster", "review", "project", "orders", second).err
    assert commands.json("cluster", "pause", "project", "orders")["cluster"]["stateName"] == "PAUSED"
    refused = commands.run("cluster", "edit", "project", "orders", "--nodes", "3", "--apply")
    assert (refused.code, "CANNOT_UPDATE_PAUSED_CLUSTER" in refused.err) == (exits.ERROR, True)
    assert commands.json("cluster", "resume", "project", "orders")["cluster"]["stateName"] == "UPDATING"
    assert "add --yes" in commands.run("cluster", "delete", "project", "orders").err
    assert commands.run("cluster", "delete", "project", "orders", "--yes").out == "orders is being deleted\n"
    assert commands.json("cluster", "show", "project", "orders")["cluster"]["stateName"] == "DELETING"


def test_what_cannot_be_is_named_with_its_field(rest: Rest, commands: ProjectCommands) -> None:
    make(rest, commands, "orders")
    create = ("cluster", "create", "project")
    cases = [
        ((*create, "x", *PLACE, "--encryption", "aws"), exits.USAGE, "ENCRYPTION_AT_REST_NOT_ENABLED"),
        ((*create, "x", *PLACE, "--disk-gb", "1"), exits.USAGE, "INVALID_ATTRIBUTE at diskSizeGB: "),
        ((*create, "a b", *PLACE), exits.USAGE, "INVALID_ATTRIBUTE at name: "),
        ((*create, "x", *PLACE[:4]), exits.USAGE, "Missing option '--tier'"),
        ((*create, "orders", *PLACE), exits.EXISTS, "DUPLICATE_CLUSTER_NAME at name: "),
        (("cluster", "edit", "project", "orders"), exits.USAGE, "nothing was given"),
        (("cluster", "edit", "project", "orders", "--nodes", "2", "--wait"), exits.USAGE, "goes with --apply"),
        (("cluster", "edit", "project", "orders", "--tier", "M9"), exits.USAGE, "at instanceSize: "),
        (("cluster", "replace-node", "project", "orders", "n9"), exits.NOT_THERE, "NODE_NOT_FOUND"),
        (("cluster", "show", "project", "none"), exits.NOT_THERE, "CLUSTER_NOT_FOUND"),
        (("cluster", "list", "nowhere"), exits.NOT_THERE, "no role in a project"),
    ]
    before = commands.json("cluster", "list", "project")
    for arguments, code, told in cases:
        ended = commands.run(*arguments)
        assert (ended.code, ended.out) == (code, ""), ended.err
        assert told in " ".join(ended.err.replace("│", " ").split())
    refused = ProjectCommands(rest, Role.GROUP_READ_ONLY).run("cluster", "pause", "project", "orders")
    assert (refused.code, "it needs GROUP_OWNER" in refused.err) == (exits.NO_CERTIFICATE, True)
    assert commands.json("cluster", "list", "project") == before


def test_waiting_ends_where_somebody_must_act(rest: Rest, commands: ProjectCommands) -> None:
    with rest.plane.database.write() as connection:
        make_configuration(connection, rest.project_id, "AWS", "aws://place/key")
    make(rest, commands, "orders", "--encryption", "aws")
    with rest.plane.database.write() as connection:
        disable_deployments(connection, rest.project_id, "AWS", "the key is disabled", rest.clock.now_ns())
    ended = commands.run("cluster", "edit", "project", "orders", "--disk-gb", "40", "--apply", "--wait")
    assert ended.code == exits.ERROR
    assert "the cluster is DISABLED; the change is done when it runs again" in ended.err
    assert "invalid Encryption at Rest settings: the key is disabled, since " in ended.out


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with KmsEmulator(strict_auth=True) as kms, serve_mail() as mailbox:
        found = Served(tmp_path, kms, f"sqlite:///{tmp_path / 'control.db'}", mailbox.address)
        yield found
        found.close()


def test_each_node_is_shown_while_a_cluster_moves_to_another_key(served: Served, tmp_path: Path) -> None:
    env = {"KEYSTORE_API_URL": served.api.url, "KEYSTORE_API_PUBLIC_KEY": served.key["publicKey"]}
    env |= {"KEYSTORE_API_PRIVATE_KEY": served.key["privateKey"]}

    def run(*arguments: str) -> Run:
        done = keystore("project", *arguments, env=env)
        assert done.code == 0, done.out + done.err
        return done

    block = served.cloud.block()
    (tmp_path / "secret").write_text(block["secretAccessKey"])
    who = ("--access-key-id", block["accessKeyID"], "--secret-file", str(tmp_path / "secret"))
    key = ("--key", block["customerMasterKeyID"], "--region", block["region"])
    run("encryption", "set-aws", "shop", *who, *key)
    made = run("cluster", "create", "shop", "orders", *PLACE, "--nodes", "2", "--encryption", "aws", "--wait")
    assert "create  applied" in made.err
    new = served.cloud.new_key()["customerMasterKeyID"]
    moved = run("encryption", "rotate", "shop", "aws", new, "--wait")
    lines = moved.err.splitlines()
    assert lines.count("notice: Clusters are moving to another encryption key.") == 1
    touched = [line for line in lines if "master key 1 -> 2" in line]
    assert [line.split()[:3] for line in touched] == [["orders:", "n2", "done,"], ["orders:", "n1", "done,"]]
    assert "orders:   n1  steps down: done" in lines
    assert lines[-1].endswith("applied")
    assert (new in moved.out, "moving" in moved.out) == (True, False)
    assert run("cluster", "delete", "shop", "orders", "--yes", "--wait").out == "orders is deleted\n"
    assert "orders" not in run("cluster", "list", "shop").out
