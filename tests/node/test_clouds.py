"""Nodes under the keys of the three clouds, against the emulator as a process of its own."""

import io
from itertools import permutations
from pathlib import Path

import pytest

from keystore.errors import KeyDisabledError, KeyPendingDeletionError, KmsUnreachableError
from keystore.kms.connect import connector
from keystore.node.directory import Node
from tests.emulator_process import CLOUDS, Emulator


def exported(node: Node) -> bytes:
    out = io.BytesIO()
    node.export_file("d", "f", out)
    return out.getvalue()


def key_name(uri: str) -> str:
    """What the emulator's log of calls has in the place of the key."""
    return uri.split("/")[3] if not uri.startswith("gcp") else uri[6:].partition("/cryptoKeyVersions/")[0]


@pytest.mark.parametrize("provider", CLOUDS)
def test_life_of_a_node(emulator: Emulator, directory: Path, source: Path, provider: str) -> None:
    uri = emulator.create_key(provider)
    connect = connector(emulator.endpoint)
    with Node.init(directory, uri, connect) as node:
        node.import_file("d", "f", source)
        first = node.master_info
        assert (first.provider, first.key_id, first.generation) == (provider, uri, 1)
        second = node.rotate_master().new
    with Node.open(directory, connect) as node:
        assert node.master_info == second
        assert exported(node) == source.read_bytes()
    calls = [call for call in emulator.calls(key_name(uri)) if call.plaintext_bytes]
    assert {call.plaintext_bytes for call in calls} == {32}
    # init: wrap and proof; rotation: wrap and proof; open again.
    assert len(calls) == 5


@pytest.mark.parametrize(("old", "new"), [*permutations(CLOUDS, 2)])
def test_cmk_of_another_cloud(emulator: Emulator, directory: Path, source: Path, old: str, new: str) -> None:
    uris = [emulator.create_key(old), emulator.create_key(new)]
    connect = connector(emulator.endpoint)
    with Node.init(directory, uris[0], connect) as node:
        node.import_file("d", "f", source)
        rotation = node.change_cmk(uris[1])
        assert [rotation.old.key_id, rotation.new.key_id] == uris
    emulator.schedule_deletion(uris[0])
    with Node.open(directory, connect) as node:
        assert exported(node) == source.read_bytes()
        with pytest.raises(KeyPendingDeletionError):
            node.change_cmk(uris[0])
        assert node.master_info == rotation.new
    with Node.open(directory, connect) as node:
        assert node.master_info == rotation.new


@pytest.mark.parametrize("provider", CLOUDS)
def test_disabled_key_refuses_the_start_and_not_what_runs(
    emulator: Emulator, directory: Path, source: Path, provider: str
) -> None:
    uri = emulator.create_key(provider)
    connect = connector(emulator.endpoint)
    with Node.init(directory, uri, connect) as node:
        emulator.disable(uri)
        node.import_file("d", "f", source)
        with pytest.raises(KeyDisabledError):
            node.rotate_master()
        assert exported(node) == source.read_bytes()
    files = {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}
    with pytest.raises(KeyDisabledError):
        Node.open(directory, connect)
    assert {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()} == files
    emulator.enable(uri)
    with Node.open(directory, connect) as node:
        assert exported(node) == source.read_bytes()


@pytest.mark.parametrize("provider", CLOUDS)
def test_customer_keys_on_and_off(
    emulator: Emulator, directory: Path, source: Path, cmk: str, other_cmk: str, provider: str
) -> None:
    """Once a conversion has begun no KMS is needed; before that its refusal changes nothing."""
    uri = emulator.create_key(provider)
    connect = connector(emulator.endpoint)
    emulator.disable(uri)
    with Node.init(directory, cmk, connect) as node:
        node.import_file("d", "f", source)
        with pytest.raises(KeyDisabledError):
            node.convert(uri, other_cmk)
        assert (node.is_converting, node.master_info.key_id) == (False, cmk)
        emulator.enable(uri)
        node.convert(uri, other_cmk, progress=lambda done, total: emulator.disable(uri))
        assert not node.is_converting
        assert exported(node) == source.read_bytes()
    with pytest.raises(KeyDisabledError):
        Node.open(directory, connect)
    emulator.enable(uri)
    with Node.open(directory, connect) as node:
        emulator.disable(uri)
        node.convert(cmk, None)
        assert exported(node) == source.read_bytes()
    with Node.open(directory, connector("127.0.0.1:1")) as node:
        assert exported(node) == source.read_bytes()
    assert {call.plaintext_bytes for call in emulator.calls(key_name(uri)) if call.plaintext_bytes} == {32}


@pytest.mark.parametrize("provider", CLOUDS)
def test_unreachable_kms_refuses_the_start_and_changes_nothing(
    emulator: Emulator, directory: Path, provider: str
) -> None:
    uri = emulator.create_key(provider)
    Node.init(directory, uri, connector(emulator.endpoint)).close()
    before = (directory / "keystore").read_bytes()
    with pytest.raises(KmsUnreachableError):
        Node.open(directory, connector("127.0.0.1:1"))
    assert (directory / "keystore").read_bytes() == before
    Node.open(directory, connector(emulator.endpoint)).close()


def test_passphrase_and_clouds_change_places(
    emulator: Emulator, directory: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEYSTORE_PASSPHRASE", "long and wide")
    connect = connector(emulator.endpoint)
    with Node.init(directory, emulator.create_key("azure"), connect) as node:
        node.import_file("d", "f", source)
        node.change_cmk("local+passphrase:///laptop")
    with Node.open(directory, connect) as node:
        assert exported(node) == source.read_bytes()
        assert node.change_cmk(emulator.create_key("gcp")).new.generation == 3
