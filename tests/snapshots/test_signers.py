"""Whose snapshots a restore takes: those of nodes that are known, with the keys under which they are known."""

from pathlib import Path

import pytest

from keystore.crypto.signing import SigningKey
from keystore.errors import InputError, KeystoreError, KnownNodesError, SignerChangedError, SignerUnknownError
from keystore.kms.connect import connector
from keystore.node.directory import Node
from keystore.node.known_nodes import KnownNode, KnownNodes
from keystore.node.restoring import restore
from keystore.node.restoring_into import restore_into
from keystore.node.signers import Trust
from keystore.node.snapshot_export import export_from_snapshot
from keystore.node.snapshotting import snapshot
from keystore.objects.directory import DirectoryPlace
from tests.attacks.forging import forged_snapshot
from tests.emulator_process import Emulator
from tests.snapshots.conftest import CountingConnector, Taken, contents


@pytest.fixture
def elsewhere(tmp_path: Path) -> KnownNodes:
    """The list of somebody who knows no node yet."""
    return KnownNodes(tmp_path / "elsewhere" / "known_nodes")


def public(node: Node) -> bytes:
    return node.signing_public


def test_a_node_that_is_not_known_is_refused_before_any_kms_is_asked(
    taken: Taken,
    node: Node,
    target: DirectoryPlace,
    connect: CountingConnector,
    tmp_path: Path,
    elsewhere: KnownNodes,
) -> None:
    connect.asked.clear()
    for form in (
        lambda trust: restore(target, taken.snapshot_id, tmp_path / "r", connect, trust=trust),
        lambda trust: export_from_snapshot(
            target, taken.snapshot_id, "first", "a", tmp_path / "r", connect, trust=trust
        ),
        lambda trust: restore_into(node, target, taken.snapshot_id, connect, trust=trust).__enter__(),
    ):
        with pytest.raises(SignerUnknownError, match="Nothing was opened") as caught:
            form(Trust(elsewhere))
        for part in (node.node_id.hex(), public(node).hex(), "node-key trust", "--trust-on-first-use", "--signer"):
            assert part in str(caught.value)
    assert connect.asked == []
    assert not (tmp_path / "r").exists()
    assert elsewhere.all() == []


def test_trust_on_first_use_is_trust_from_then_on(
    taken: Taken,
    node: Node,
    target: DirectoryPlace,
    connect: CountingConnector,
    tmp_path: Path,
    elsewhere: KnownNodes,
) -> None:
    made = restore(target, taken.snapshot_id, tmp_path / "r", connect, trust=Trust(elsewhere, first_use=True))
    first = KnownNode(node.node_id, public(node), node.name)
    assert elsewhere.find(node.node_id) == first
    assert {known.node_id for known in elsewhere.all()} == {node.node_id, made.node_id}
    restore(target, taken.snapshot_id, tmp_path / "again", connect, trust=Trust(elsewhere))
    assert contents(tmp_path / "again", connect, tmp_path / "out") == taken.content


def test_trust_on_first_use_is_not_for_what_does_not_open(
    taken: Taken, target: DirectoryPlace, tmp_path: Path, cmk: str, elsewhere: KnownNodes
) -> None:
    Path(cmk.removeprefix("local://")).unlink()
    with pytest.raises(KeystoreError):
        restore(target, taken.snapshot_id, tmp_path / "r", connector(), trust=Trust(elsewhere, first_use=True))
    assert elsewhere.all() == []


def test_a_signer_that_is_named_is_the_only_one(
    taken: Taken,
    node: Node,
    target: DirectoryPlace,
    connect: CountingConnector,
    tmp_path: Path,
    elsewhere: KnownNodes,
) -> None:
    right, other = public(node), SigningKey.generate().public
    for trust in (Trust(elsewhere, signer=other), Trust(signer=other), Trust(first_use=True, signer=other)):
        with pytest.raises(SignerChangedError, match=f"is signed by {right.hex()}, not by {other.hex()}"):
            restore(target, taken.snapshot_id, tmp_path / "r", connect, trust=trust)
    restore(target, taken.snapshot_id, tmp_path / "r", connect, trust=Trust(elsewhere, signer=right))
    assert elsewhere.find(node.node_id) is None


def test_a_node_that_is_known_under_another_key_is_refused_whatever_is_said(
    taken: Taken,
    node: Node,
    target: DirectoryPlace,
    connect: CountingConnector,
    tmp_path: Path,
    elsewhere: KnownNodes,
) -> None:
    other = SigningKey.generate().public
    elsewhere.record(KnownNode(node.node_id, other, "n"))
    connect.asked.clear()
    for trust in (
        Trust(elsewhere),
        Trust(elsewhere, first_use=True),
        Trust(elsewhere, signer=public(node)),
        Trust(elsewhere, signer=other),
    ):
        with pytest.raises(SignerChangedError, match="Nothing was opened"):
            restore(target, taken.snapshot_id, tmp_path / "r", connect, trust=trust)
    assert connect.asked == []
    assert elsewhere.all() == [KnownNode(node.node_id, other, "n")]


def test_a_list_that_cannot_be_read_refuses(
    taken: Taken, target: DirectoryPlace, connect: CountingConnector, tmp_path: Path, elsewhere: KnownNodes
) -> None:
    elsewhere.path.parent.mkdir()
    elsewhere.path.write_text("nonsense\n")
    with pytest.raises(KnownNodesError, match="line 1"):
        restore(target, taken.snapshot_id, tmp_path / "r", connect, trust=Trust(elsewhere, first_use=True))
    assert not (tmp_path / "r").exists()


def test_a_list_that_lies_where_the_snapshots_are_says_nothing(
    taken: Taken, target: DirectoryPlace, connect: CountingConnector, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(target.path)
    for path in (target.path / "known_nodes", tmp_path / "link" / "deeper" / "known_nodes"):
        with pytest.raises(InputError, match="where the snapshots are"):
            restore(target, taken.snapshot_id, tmp_path / "r", connect, trust=Trust(KnownNodes(path), first_use=True))
        assert not path.exists()
    assert not (tmp_path / "r").exists()


def test_a_manifest_that_was_forged_with_a_public_rsa_key_is_refused(
    emulator: Emulator, target: DirectoryPlace, tmp_path: Path, cmk: str, elsewhere: KnownNodes
) -> None:
    """Azure's vault unwraps it, as what anybody wrapped; the signature is genuine, and not the node's."""
    connect, key = connector(emulator.endpoint), emulator.create_key("azure")
    (tmp_path / "source").write_bytes(b"genuine" * 1000)
    with Node.init(tmp_path / "node", key, connect) as node:
        node.import_file("d", "f", tmp_path / "source", page_size=4096)
        genuine = snapshot(node, target).snapshot_id
        with Node.init(tmp_path / "evil", cmk, connect) as evil:
            (tmp_path / "source").write_bytes(b"forged" * 1000)
            evil.import_file("d", "f", tmp_path / "source", page_size=4096)
            fake = forged_snapshot(target, node.node_id, key, connect, evil)
        for trust in (Trust(), Trust(first_use=True), Trust(signer=node.signing_public)):
            with pytest.raises(SignerChangedError):
                restore(target, fake, tmp_path / "r", connect, trust=trust)
            with pytest.raises(SignerChangedError), restore_into(node, target, fake, connect, trust=trust):
                pass
        with pytest.raises(SignerUnknownError):
            restore(target, fake, tmp_path / "r", connect, trust=Trust(elsewhere))
    assert not (tmp_path / "r").exists()
    restore(target, genuine, tmp_path / "r", connect)
    assert contents(tmp_path / "r", connect, tmp_path / "out") == {("d", "f"): b"genuine" * 1000}
    # What makes the signature necessary: on trust, the KMS opens it.
    restore(target, fake, tmp_path / "fooled", connect, trust=Trust(elsewhere, first_use=True))
    assert contents(tmp_path / "fooled", connect, tmp_path / "out") == {("d", "f"): b"forged" * 1000}
