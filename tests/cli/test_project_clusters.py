"""`keystore project cluster`: what is asked of the API and how it is told; and the whole of it with real processes."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keystore.agents.client import NodeClient
from keystore.agents.identity import Role as TlsRole
from keystore.cli import exits
from keystore.control.clusters import cluster_named
from keystore.control.creation import ClusterFiles
from keystore.control.due import DueTable
from keystore.control.jobs import ROTATION_INTERVAL_NS, ROTATION_JOB
from keystore.projects.access import Role
from keystore.projects.backed_up import connect_to_node
from keystore.projects.conditions import Condition, Life
from keystore.projects.keyed_deployments import disable_deployments
from keystore.projects.validation import INTERVAL_NS
from kms_emulator.embedded import KmsEmulator
from tests.agents.running import wait_until
from tests.cli.project_commands import ProjectCommands
from tests.cli.running import Run, keystore
from tests.control.on_sqlite import database_url as database_url
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
def commands(rest: Rest) -> ProjectCommands:
    return ProjectCommands(rest)


def make(rest: Rest, commands: ProjectCommands, name: str, *more: str) -> dict[str, Any]:
    """Make a cluster and take it for running."""
    made: dict[str, Any] = commands.json("cluster", "create", "project", name, *PLACE, *more)["cluster"]
    with rest.plane.database.write() as connection:
        apply_all(connection, made["id"])
        become(connection, made["id"], Condition(Life.ALIVE))
    return made


@pytest.mark.row("R22", "R23", "R24")
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
        (("cluster", "patch", "project", "orders", "8.0.0"), exits.USAGE, "INVALID_ATTRIBUTE at mongoDBVersion: "),
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


@pytest.mark.row("R46", "R50")
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
    assert "DISABLED" in commands.run("cluster", "list", "project").out
    patched = commands.run("cluster", "patch", "project", "orders", "7.0.4")
    assert (patched.code, "patch (mongoDBVersion 7.0.4)  queued" in patched.out) == (0, True)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with KmsEmulator(strict_auth=True) as kms, serve_mail() as mailbox:
        found = Served(tmp_path, kms, f"sqlite:///{tmp_path / 'control.db'}", mailbox.address)
        yield found
        found.close()


@pytest.mark.row("R63", "R64", "R69", "R76", "R96", "R122")
def test_a_cluster_moves_from_key_to_key_node_by_node(served: Served, tmp_path: Path) -> None:
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
    made = run("cluster", "create", "shop", "orders", *PLACE, "--nodes", "2", "--backups", "--point-in-time", "--wait")
    assert "create  applied" in made.err
    converted = run("cluster", "edit", "shop", "orders", "--encryption", "aws", "--apply", "--wait")
    assert converted.err.count("notice: Clusters are moving to another encryption key.") == 1
    assert served.cluster()["banner"] is None
    assert keys_of(served) == dict.fromkeys(("n1", "n2"), block["customerMasterKeyID"])
    assert "PAUSED" in run("cluster", "pause", "shop", "orders", "--wait").out
    assert served.states() == {"stopped"}
    assert "IDLE" in run("cluster", "resume", "shop", "orders", "--wait").out
    assert served.states() == {"running"}

    backups = Backups(served, {**env, "KEYSTORE_PROJECT": "shop"})
    backups.take()
    first_s = backups.write(b"under the first key")
    new = served.cloud.new_key()["customerMasterKeyID"]
    moved = run("encryption", "rotate", "shop", "aws", new, "--wait")
    lines = moved.err.splitlines()
    assert lines.count("notice: Clusters are moving to another encryption key.") == 1
    touched = [line for line in lines if "master key 2 -> 3" in line]
    assert [line.split()[:3] for line in touched] == [["orders:", "n1", "done,"], ["orders:", "n2", "done,"]]
    assert "orders:   n2  steps down: done" in lines
    assert lines[-1].endswith("applied")
    assert (new in moved.out, "moving" in moved.out) == (True, False)

    second_s = backups.write(b"under the second key")
    rotate_with_a_kill(served, new)
    last = served.cloud.new_key()["customerMasterKeyID"]
    env["KEYSTORE_API_URL"] = served.api.url
    run("encryption", "rotate", "shop", "aws", last, "--wait")
    assert keys_of(served) == dict.fromkeys(("n1", "n2"), last)
    asked = {call.operation for call in served.cloud.kms.calls(caller=block["accessKeyID"])}
    assert asked == {"DescribeKey", "Encrypt", "Decrypt"}
    backups.write(b"under the last key")
    backups.env["KEYSTORE_API_URL"] = served.api.url
    assert backups.restored(second_s) == [b"under the second key"] * 2
    assert backups.restored(first_s) == [b"under the first key"] * 2
    assert keys_of(served) == dict.fromkeys(("n1", "n2"), last)
    (due,) = DueTable(served.database).open_jobs(ROTATION_JOB)
    assert due.at_ns >= served.clock.now_ns() + ROTATION_INTERVAL_NS - 3600 * 10**9, "that of each 90 days is to come"
    assert run("cluster", "delete", "shop", "orders", "--yes", "--wait").out == "orders is deleted\n"
    assert "orders" not in run("cluster", "list", "shop").out


def keys_of(served: Served) -> dict[str, str]:
    """Ask each node which key its wrapped master key names."""
    cluster, found = cluster_named(served.database, served.cluster()["id"]), {}
    for name in cluster.member_names:
        with connect_to_node(cluster, name) as node:
            found[name] = node.status().master_key.key_id.rpartition("/")[2]
    return found


class Backups:
    """What is written to every member of the cluster, and restored by the command line."""

    def __init__(self, served: Served, env: dict[str, str]) -> None:
        self.served, self.env = served, env

    def run(self, *arguments: str) -> Any:
        done = keystore("backup", *arguments, "--json", env=self.env)
        assert done.code == 0, done.out + done.err
        return done.json

    def take(self) -> None:
        made = self.run("take", "orders", "--keep-days", "1")["snapshot"]["id"]
        found = f"{self.served.project}/clusters/orders/backup/snapshots/{made}"
        wait_until(lambda: self.served.api.get(found).body["status"] == "completed", "the snapshot")

    def write(self, content: bytes) -> int:
        """Write to each member, as a database that replicates does; return a second after that, which has passed."""
        cluster = cluster_named(self.served.database, self.served.cluster()["id"])
        for member in self.members():
            with member:
                member.write_file("db", "file", content)
        with connect_to_node(cluster, "n1") as node:
            node.log(flush=True)
        after_s = int(time.time()) + 1
        wait_until(lambda: time.time() >= after_s, "the next second")
        return after_s

    def restored(self, at_s: int) -> list[bytes]:
        """Restore to a time; return what each member has then."""
        job = self.run("restore", "orders", "--at", str(at_s))["restore"]["id"]

        def status() -> str:
            return next(str(each["status"]) for each in self.run("restores", "orders")["restores"] if each["id"] == job)

        wait_until(lambda: status() == "completed", "the restore")
        found = []
        for member in self.members():
            with member:
                found.append(b"".join(member.read_file("db", "file")))
        return found

    def members(self) -> list[NodeClient]:
        cluster = cluster_named(self.served.database, self.served.cluster()["id"])
        tls = ClusterFiles(Path(cluster.directory)).tls(TlsRole.CLIENT, "client")
        return [NodeClient(record.address, tls, record.name) for record in cluster.members]


def encrypted(served: Served, key: str) -> int:
    return len(served.cloud.kms.calls(operation="Encrypt", key=key, outcome="OK"))


def rotate_with_a_kill(served: Served, former: str) -> None:
    """Change the key by PATCH; the KMS is away when the second node's turn comes, and the control plane is killed."""
    kms, new = served.cloud.kms, served.cloud.new_key()["customerMasterKeyID"]
    before = encrypted(served, former)
    kms.faults.add("unavailable", provider="aws", operation="Encrypt", key=new, first=3)
    patched = served.api.patch(f"{served.project}/encryptionAtRest", {"awsKms": {"customerMasterKeyID": new}})
    assert (patched.status, patched.body["awsKms"]["movingClusters"]) == (200, ["orders"])
    assert "Do not disable or delete" in patched.body["awsKms"]["banner"]
    wait_until(lambda: new in keys_of(served).values(), "a node to move")
    served.kill("one")
    served.start("one")
    assert sorted(keys_of(served).values()) == sorted([former, new]), "each serves, under its key"
    assert "Do not disable or delete" in served.cluster()["banner"]
    kms.faults.clear()
    served.clock.advance(INTERVAL_NS)
    served.wait_for("IDLE")
    assert served.cluster()["banner"] is None
    assert keys_of(served) == dict.fromkeys(("n1", "n2"), new)
    assert encrypted(served, former) == before
