"""The calls of a served node over a real connection: data, keys, snapshots, and who may make them."""

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from keystore.agents.client import NodeClient
from keystore.agents.identity import Role
from keystore.agents.service import ALLOWED
from keystore.errors import (
    AgentError,
    CertificateError,
    ConversionUnfinishedError,
    GenerationError,
    InputError,
    KeyDestroyedError,
    KeyNotFoundError,
    KeystoreError,
    KeyUriError,
    KmsError,
    NameTakenError,
    NameUnknownError,
    NodeClosedError,
    NodeExistsError,
    NodeUnreachableError,
    PageRangeError,
    RoleError,
    SnapshotMissingError,
    StoreDamagedError,
)
from keystore.kms.connect import connector
from keystore.node.directory import Node
from tests.agents.running import Cluster, ServedNode
from tests.key_files import new_key
from tests.snapshots.test_damaged_store import damage_page

PAGE = 4096


def pages_of(*numbers: int) -> dict[int, bytes]:
    return {number: bytes([number + 1]) * PAGE for number in numbers}


# -- data -------------------------------------------------------------------------------------------------------------


def test_pages_written_are_read_and_holes_are_zeros(node: ServedNode) -> None:
    client = node.client(Role.CLIENT)
    made = client.create_file("db", "pages", page_size=PAGE)
    assert (made.page_size, made.page_count) == (PAGE, 0)
    first = client.write_pages("db", "pages", pages_of(0, 7), byte_length=30_000)
    assert client.write_pages("db", "pages", {0: None}) == first + 1
    assert client.read_pages("db", "pages", [7, 0]) == {**pages_of(7), 0: bytes(PAGE)}
    (listed,) = client.list_files("db")
    assert (listed.page_count, listed.byte_length, listed.sequence, listed.problem) == (8, 30_000, first + 1, "")


def test_files_go_in_and_out_whole_and_in_parts(node: ServedNode) -> None:
    client, content = node.client(Role.CLIENT), os.urandom(3_000_001)
    made = client.write_file("db", "file", content, page_size=PAGE)
    assert made.byte_length == len(content)
    assert b"".join(client.read_file("db", "file")) == content
    assert b"".join(client.read_file("db", "file", offset=1_500_000, length=1_200_000)) == content[1_500_000:2_700_000]
    client.write_file("db", "file", [b"abc", b"def"], offset=2)
    assert b"".join(client.read_file("db", "file", length=10)) == content[:2] + b"abcdef" + content[8:10]
    assert list(client.read_file("db", "file", offset=len(content))) == []


def test_a_store_is_opened_once_for_many_calls(node: ServedNode) -> None:
    client = node.client(Role.CLIENT)
    client.create_file("db", "pages", page_size=PAGE)
    with node.node.using_store("db", "pages") as store:
        epoch = store.epoch
    for number in range(5):
        client.write_pages("db", "pages", pages_of(number))
        client.read_pages("db", "pages", [number])
    with node.node.using_store("db", "pages") as store:
        assert store.epoch == epoch


def test_stores_kept_open_are_in_nobodys_way(node: ServedNode) -> None:
    client = node.client(Role.CLIENT)
    client.write_file("db", "file", b"content")
    client.drop_file("db", "file")
    assert client.list_files() == []
    client.write_file("db", "file", b"another")
    assert b"".join(client.read_file("db", "file")) == b"another"


def test_writers_of_one_file_do_not_lose_each_others_parts(node: ServedNode) -> None:
    client, size = node.client(Role.CLIENT), 1000
    client.write_file("db", "file", bytes(8 * size), page_size=PAGE)

    def write(number: int) -> None:
        client.write_file("db", "file", bytes([number + 1]) * size, offset=number * size)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert b"".join(client.read_file("db", "file")) == b"".join(bytes([number + 1]) * size for number in range(8))


def test_a_file_whose_writer_ends_half_way_is_not_there(node: ServedNode) -> None:
    client = node.client(Role.CLIENT)

    def broken() -> Iterator[bytes]:
        yield bytes(100_000)
        raise OSError("the source is gone")

    with pytest.raises((AgentError, OSError)):
        client.write_file("db", "file", broken())
    assert client.list_files() == []


def test_verify_says_what_is_damaged(node: ServedNode) -> None:
    client = node.client(Role.CONTROL)
    data = node.client(Role.CLIENT)
    data.write_file("good", "file", bytes(50_000), page_size=PAGE)
    data.write_file("bad", "file", os.urandom(50_000), page_size=PAGE)
    told: list[tuple[int, int]] = []
    assert client.verify_file("good", "file", lambda *progress: told.append(progress)) == []
    assert told[-1][0] == told[-1][1] == 13
    page_no = damage_page(node.node, "bad", "file", 5)
    (damaged,) = client.verify_file("bad", "file")
    assert (damaged.store, damaged.part, damaged.number) == ("bad/file", "page", page_no)


# -- errors -----------------------------------------------------------------------------------------------------------

ERRORS: list[tuple[Callable[[NodeClient], object], type[KeystoreError]]] = [
    (lambda client: client.read_pages("db", "none", [0]), NameUnknownError),
    (lambda client: client.list_files("none"), NameUnknownError),
    (lambda client: client.read_pages("db", "file", [99]), PageRangeError),
    (lambda client: client.read_pages("db", "file", [2**64 - 1]), PageRangeError),
    (lambda client: client.read_pages("db", "file", range(5000)), InputError),
    (lambda client: client.write_pages("db", "file", {0: b"short"}), InputError),
    (lambda client: client.create_file("db", "file"), NameTakenError),
    (lambda client: client.create_file("db", "new", page_size=5), InputError),
    (lambda client: client.create_file("db", "\0"), InputError),
    (lambda client: client.drop_file("db", "none"), NameUnknownError),
]


@pytest.mark.parametrize(("call", "kind"), ERRORS)
def test_an_error_comes_as_its_class_and_message_and_changes_nothing(
    node: ServedNode, call: Callable[[NodeClient], object], kind: type[KeystoreError]
) -> None:
    client = node.client(Role.CLIENT)
    client.write_file("db", "file", b"content")
    before = client.list_files()
    with pytest.raises(kind) as raised:
        call(client)
    assert type(raised.value) is kind
    assert len(str(raised.value)) > 20
    assert client.list_files() == before


def test_damage_comes_with_what_it_names(node: ServedNode) -> None:
    client = node.client(Role.CLIENT)
    client.write_file("db", "file", os.urandom(400_000), page_size=PAGE)
    page_no = damage_page(node.node, "db", "file", 5)
    node.end()
    again = ServedNode(Node.open(node.node.directory, connector()), node.cluster, node.name)
    with again, pytest.raises(StoreDamagedError) as raised:
        list(again.client(Role.CLIENT).read_file("db", "file"))
    assert (raised.value.store, raised.value.part, raised.value.number) == ("db/file", "page", page_no)


def test_a_store_that_was_found_damaged_takes_no_more_commits(node: ServedNode) -> None:
    client = node.client(Role.CLIENT)
    client.write_file("db", "file", os.urandom(100_000), page_size=PAGE)
    page_no = damage_page(node.node, "db", "file", 5)
    with pytest.raises(StoreDamagedError):
        client.read_pages("db", "file", [page_no])
    with pytest.raises(StoreDamagedError):
        client.write_pages("db", "file", {0: bytes(PAGE)})
    assert client.read_pages("db", "file", [page_no + 1]).keys() == {page_no + 1}


# -- keys -------------------------------------------------------------------------------------------------------------


def test_status_tells_node_and_key(node: ServedNode, cmk: str) -> None:
    node.client(Role.CLIENT).write_file("db", "file", b"content")
    status = node.client().status()
    assert (status.node_id, status.name, status.pid) == (node.node.node_id, "node-1", os.getpid())
    assert (status.master_key, status.key_state) == (node.node.master_info, "valid")
    assert (status.master_key.key_id, status.file_count, status.volume_key_id) == (cmk, 1, "")
    assert status.stored_bytes > 0


@pytest.mark.row("R28")
def test_a_rotation_touches_no_data_file(node: ServedNode) -> None:
    node.client(Role.CLIENT).write_file("db", "file", b"content")
    client = node.client()

    def files() -> dict[str, tuple[bytes, int]]:
        found = [path for path in node.node.directory.rglob("*") if path.is_file()]
        return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in found}

    before = files()
    assert len([name for name in before if name.endswith(".store")]) == 1
    assert client.rotate_master().master_key.generation == 2
    after = files()
    assert {name for name in before | after if before.get(name) != after.get(name)} == {"keystore", "anchors"}


def test_a_rotation_with_an_expected_generation_is_made_once(node: ServedNode) -> None:
    client = node.client()
    first = client.rotate_master(expected_generation=1)
    again = client.rotate_master(expected_generation=1)
    assert (first.already_done, again.already_done) == (False, True)
    assert first.master_key == again.master_key == node.node.master_info
    assert again.master_key.generation == 2


def test_many_requests_for_the_same_rotation_make_one(node: ServedNode) -> None:
    client, answers = node.client(), []
    threads = [
        threading.Thread(target=lambda: answers.append(client.rotate_master(expected_generation=1))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.already_done for answer in answers) == [False] + [True] * 7
    assert node.node.master_info.generation == 2


@pytest.mark.parametrize("expected", [0, 2, 3, 9])
def test_a_change_of_another_generation_is_refused(node: ServedNode, other_cmk: str, expected: int) -> None:
    before = node.node.master_info
    for change in (node.client().rotate_master, lambda number: node.client().change_cmk(other_cmk, number)):
        with pytest.raises(GenerationError, match=f"generation {expected} was expected"):
            change(expected)
    assert node.node.master_info == before


def test_a_change_of_the_cmk_is_made_once_and_only_for_the_same_key(node: ServedNode, cmk: str, other_cmk: str) -> None:
    client = node.client()
    changed = client.change_cmk(other_cmk, expected_generation=1)
    assert (changed.master_key.key_id, changed.master_key.generation, changed.already_done) == (other_cmk, 2, False)
    assert client.change_cmk(other_cmk, expected_generation=1).already_done
    with pytest.raises(GenerationError):
        client.change_cmk(cmk, expected_generation=1)
    assert client.status().master_key == changed.master_key


def test_a_key_that_refuses_leaves_the_node_and_is_told(node: ServedNode, other_cmk: str, cmk: str) -> None:
    client = node.client()
    with pytest.raises(KeyUriError):
        client.change_cmk("aws://nowhere")
    assert client.status().key_state == "valid"
    with pytest.raises(KmsError) as refused:
        client.change_cmk("local:///nowhere/cmk")
    assert isinstance(refused.value, KeyNotFoundError | KeyDestroyedError)
    status = client.status()
    assert (status.key_state, status.master_key.key_id, status.master_key.generation) == ("invalid", cmk, 1)
    client.rotate_master()
    assert client.status().key_state == "valid"


def test_a_conversion_goes_on_and_back_beside_readers(node: ServedNode, tmp_path: Path, cmk: str) -> None:
    client, content = node.client(), bytes(range(256)) * 4000
    customer, platform = new_key(tmp_path / "customer"), new_key(tmp_path / "platform")
    for name in ("a", "b"):
        node.client(Role.CLIENT).write_file("db", name, content)
    told: list[tuple[int, int]] = []
    done = client.convert(customer, platform, 1, progress=lambda *progress: told.append(progress))
    assert (done.master_key.key_id, done.master_key.generation, done.already_done) == (customer, 2, False)
    assert (done.moved_files, done.destroyed_data_keys) == (2, 1)
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1]
    status = client.status()
    assert (status.master_key, status.volume_key_id, status.is_converting) == (done.master_key, platform, False)
    again = client.convert(customer, platform, 1)
    assert (again.already_done, again.master_key) == (True, done.master_key)
    assert client.convert(customer).already_done, "the layer stays as it is"
    assert b"".join(node.client(Role.CLIENT).read_file("db", "a")) == content
    back = client.convert(cmk, None, 2)
    assert (back.moved_files, client.status().volume_key_id) == (2, "")
    assert b"".join(node.client(Role.CLIENT).read_file("db", "b")) == content


def test_a_conversion_that_was_cut_off_is_told_and_goes_on(node: ServedNode, tmp_path: Path) -> None:
    client, customer = node.client(), new_key(tmp_path / "customer")
    node.client(Role.CLIENT).write_file("db", "file", b"content")
    with (
        node.node.using_store("db", "file") as store,
        store.pin(),
        pytest.raises(ConversionUnfinishedError, match="pin"),
    ):
        client.convert(customer, None, 1)
    assert client.status().is_converting
    with pytest.raises(GenerationError):
        client.convert(new_key(tmp_path / "another"), None, 1)
    done = client.convert(customer, None, 1)
    assert (done.already_done, done.destroyed_data_keys, client.status().is_converting) == (False, 1, False)


def test_a_conversion_that_cannot_begin_changes_nothing(node: ServedNode, tmp_path: Path) -> None:
    client, before = node.client(), node.node.master_info
    with pytest.raises(KeyUriError):
        client.convert("nonsense", None, 1)
    with pytest.raises(KmsError):
        client.convert("local:///nowhere/cmk", None, 1)
    with pytest.raises(GenerationError):
        client.convert(new_key(tmp_path / "customer"), None, 7)
    with pytest.raises(RoleError):
        node.client(Role.CLIENT).convert(new_key(tmp_path / "other"), None, 1)
    assert node.node.master_info == before
    assert not client.status().is_converting


def test_a_new_data_key_is_told(node: ServedNode) -> None:
    node.client(Role.CLIENT).write_file("db", "file", b"content")
    assert node.client().rotate_data_key("db") == 2
    with pytest.raises(NameUnknownError):
        node.client().rotate_data_key("none")


# -- snapshots --------------------------------------------------------------------------------------------------------


def test_a_snapshot_is_taken_listed_and_restored_under_the_key_of_its_day(
    node: ServedNode, tmp_path: Path, other_cmk: str, cmk: str
) -> None:
    content = os.urandom(200_000)
    node.client(Role.CLIENT).write_file("db", "file", content)
    client, target = node.client(), str(tmp_path / "snapshots")
    made = client.create_snapshot(target)
    client.change_cmk(other_cmk)
    (listed,) = client.list_snapshots(target)
    assert (listed.snapshot_id, listed.key_id, listed.master_generation) == (made.snapshot_id, cmk, 1)
    told: list[tuple[int, int]] = []
    client.restore(target, made.snapshot_id, tmp_path / "restored", lambda *progress: told.append(progress))
    assert told
    assert told == sorted(told)
    with Node.open(tmp_path / "restored", connector()) as restored, restored.using_store("db", "file") as store:
        assert store.byte_length == len(content)


def test_snapshots_and_restores_that_cannot_be_are_refused(node: ServedNode, tmp_path: Path) -> None:
    client, target = node.client(), str(tmp_path / "snapshots")
    with pytest.raises(InputError):
        client.create_snapshot("")
    with pytest.raises(InputError):
        client.create_snapshot(str(node.node.directory / "inside"))
    made = client.create_snapshot(target)
    with pytest.raises(SnapshotMissingError):
        client.restore(target, "ff" * 16, tmp_path / "restored")
    with pytest.raises(InputError, match="not an absolute path"):
        client.restore(target, made.snapshot_id, "restored")
    for place in ("null\0character", "long" * 100):
        with pytest.raises(KeystoreError, match=r"null character|File name too long"):
            client.create_snapshot(str(tmp_path / place))
        with pytest.raises(KeystoreError, match=r"null character|File name too long"):
            client.restore(target, made.snapshot_id, tmp_path / place)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    with pytest.raises(NodeExistsError):
        client.restore(target, made.snapshot_id, tmp_path / "taken")
    assert not (tmp_path / "restored").exists()


# -- who may ----------------------------------------------------------------------------------------------------------

CALLS: dict[str, Callable[[NodeClient], object]] = {
    "GetStatus": lambda client: client.status(),
    "CreateFile": lambda client: client.create_file("db", "made"),
    "ListFiles": lambda client: client.list_files(),
    "DropFile": lambda client: client.drop_file("db", "file"),
    "ReadPages": lambda client: client.read_pages("db", "file", [0]),
    "WritePages": lambda client: client.write_pages("db", "file", {0: None}),
    "ReadFile": lambda client: list(client.read_file("db", "file")),
    "WriteFile": lambda client: client.write_file("db", "file", b"x"),
    "VerifyFile": lambda client: client.verify_file("db", "file"),
    "RotateMasterKey": lambda client: client.rotate_master(),
    "ChangeCmk": lambda client: client.change_cmk("local:///x"),
    "RotateDataKey": lambda client: client.rotate_data_key("db"),
    "Convert": lambda client: client.convert("local:///x"),
    "CreateSnapshot": lambda client: client.create_snapshot("/x"),
    "ListSnapshots": lambda client: client.list_snapshots("/x"),
    "Restore": lambda client: client.restore("/x", "id", "/y"),
    "RestoreInto": lambda client: client.restore_into("/x", "id"),
    "GetLog": lambda client: client.log(),
    "SetLog": lambda client: client.set_log(""),
    "GiveCredentials": lambda client: client.give_credentials(b"{}"),
    "Stop": lambda client: client.stop(),
}


def test_every_call_is_in_the_table_of_roles() -> None:
    assert CALLS.keys() == ALLOWED.keys()
    assert all(ALLOWED.values())


@pytest.mark.parametrize("role", Role)
def test_a_role_may_not_make_the_calls_of_others(node: ServedNode, role: Role) -> None:
    node.client(Role.CLIENT).write_file("db", "file", b"content")
    client, before = node.client(role), node.node.master_info
    refused = {name for name in CALLS if role not in ALLOWED[name]}
    assert refused
    for name in refused:
        with pytest.raises(RoleError, match=f"Node.{name} of node node-1"):
            CALLS[name](client)
    assert b"".join(node.client(Role.CLIENT).read_file("db", "file")) == b"content"
    assert node.node.master_info == before
    assert client.is_serving()


def test_control_reads_no_data_and_clients_change_no_key() -> None:
    data = {"ReadPages", "WritePages", "ReadFile", "WriteFile", "CreateFile", "DropFile"}
    keys = {"RotateMasterKey", "ChangeCmk", "RotateDataKey", "Convert", "GiveCredentials", "Stop"}
    keys |= {"CreateSnapshot", "Restore", "RestoreInto", "SetLog"}
    assert not any(Role.CONTROL in ALLOWED[name] for name in data)
    assert not any({Role.CLIENT, Role.ROUTER} & ALLOWED[name] for name in keys)


def test_a_certificate_of_another_cluster_under_the_same_authority_is_refused(
    node: ServedNode, cluster: Cluster, tmp_path: Path
) -> None:
    shutil.rmtree(cluster.tls(Role.CONTROL))
    cluster.authority.cluster = "billing"
    cluster.authority.issue(cluster.tls(Role.CONTROL), Role.CONTROL, "control")
    with pytest.raises(RoleError, match="control control of cluster billing"):
        node.client().status()


# -- the end ----------------------------------------------------------------------------------------------------------


def test_stop_ends_and_wipes_every_key(node: ServedNode) -> None:
    client = node.client()
    node.client(Role.CLIENT).write_file("db", "file", b"content")
    master, databases = node.node.master, node.node.databases
    keys = [master.key, *(key.key for database in databases.values() for key in database.data_keys)]
    assert all(len(key.view()) == 32 for key in keys)
    client.stop()
    node.stopping.wait()
    node.end()
    for key in keys:
        with pytest.raises(ValueError, match="wiped"):
            key.view()
    with pytest.raises(NodeClosedError):
        _ = node.node.master
    with pytest.raises((NodeUnreachableError, CertificateError)):
        node.client().status()
