"""The volume layer of a node and its snapshots (R4 to R6, R79, R84): what shows on the disk, which keys are needed."""

import io
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from keystore.crypto import kernel, sectors
from keystore.errors import (
    CiphertextError,
    InputError,
    KeystoreError,
    KeyUnusableError,
    KmsError,
    NotAStoreError,
    SnapshotDamagedError,
    VolumeKeyDamagedError,
    VolumeKeyMissingError,
    WrongKeyError,
)
from keystore.keys.files import Files
from keystore.keys.keyfile import load
from keystore.kms.protocol import KmsConnector
from keystore.node.directory import Node
from keystore.node.restoring import restore
from keystore.node.snapshotting import snapshot
from keystore.node.usage import keys_usage
from keystore.objects.directory import DirectoryPlace
from keystore.pages.blockfile import OsBlockFile
from keystore.pages.volumefile import VolumeFile
from tests.crypto.recording import record_commits
from tests.key_files import new_key

CANARY = b"canary: nobody may see this on a disk. " * 2000
INNER_MAGICS = (b"CMKPAGES", b"CMKSPACK")


@pytest.fixture
def platform(tmp_path: Path) -> str:
    return new_key(tmp_path / "platform")


@pytest.fixture
def layered(directory: Path, cmk: str, platform: str, connect: KmsConnector) -> Iterator[Node]:
    """A node with the layer and one file in it."""
    with Node.init(directory, cmk, connect, volume_key=platform) as node:
        node.import_file("orders", "canary", io.BytesIO(CANARY), page_size=4096)
        yield node


def exported(node: Node) -> bytes:
    out = io.BytesIO()
    node.export_file("orders", "canary", out)
    return out.getvalue()


def files_in(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file()
    }


def store_of(directory: Path) -> Path:
    (path,) = directory.rglob("*.store")
    return path


def peel(node: Node, path: Path) -> bytes:
    """Strip the volume layer, and nothing else, from a store."""
    with node.held() as custody:
        assert custody.volume is not None
        file = VolumeFile(OsBlockFile.open(path), custody.volume.file_key("store", bytes.fromhex(path.stem)))
    content = bytearray(file.size())
    file.read(0, memoryview(content))
    file.close()
    return bytes(content)


@pytest.mark.row("R4", "R84", "R92")
def test_no_file_shows_the_data_nor_the_form_of_a_store(layered: Node, tmp_path: Path, connect: KmsConnector) -> None:
    snapshot(layered, DirectoryPlace(tmp_path / "snapshots"))
    store_id = layered.databases["orders"].stores["canary"].store_id
    layered.close()
    found = {**files_in(layered.directory), **files_in(tmp_path / "snapshots")}
    sealed = [name for name in found if name.endswith(".store") or name.startswith("packs/")]
    assert len(sealed) == 2
    for name, content in found.items():
        assert CANARY[:39] not in content, name
        assert not any(magic in content for magic in INNER_MAGICS), name
        if name in sealed:
            assert store_id not in content
    with Node.open(layered.directory, connect) as again:
        assert exported(again) == CANARY
        assert [check.problems for check in again.verify().stores] == [()]


@pytest.mark.row("R5")
def test_below_the_layer_the_store_is_still_sealed(layered: Node) -> None:
    with layered.using_store("orders", "canary") as store:
        store.checkpoint()
    layered.close()
    with Node.open(layered.directory, layered._connector) as again:
        inner = peel(again, store_of(again.directory))
    assert inner.startswith(b"CMKPAGES")
    assert CANARY[:39] not in inner


@pytest.mark.row("R8")
@pytest.mark.parametrize("how", ["no file", "no wrapped key"])
def test_without_the_wrapped_master_key_neither_the_node_nor_its_snapshot_opens(
    layered: Node, tmp_path: Path, connect: KmsConnector, how: str
) -> None:
    made = snapshot(layered, DirectoryPlace(tmp_path / "snapshots"))
    wrapped = load(Files(), layered.directory / "keystore").head.wrapped.ciphertext
    secrets = [bytes(key.key.view()) for database in layered.databases.values() for key in database.data_keys]
    with layered.held() as custody:
        secrets.append(bytes(custody.master.key.view()))
    layered.close()
    node, snapshots = (
        shutil.copytree(place, tmp_path / f"copied {place.name}")
        for place in (layered.directory, tmp_path / "snapshots")
    )
    holding = [path for place in (node, snapshots) for path in place.rglob("*") if path.is_file()]
    for path in holding:
        assert not [secret for secret in secrets if secret in path.read_bytes()], path
    holding = [path for path in holding if wrapped in path.read_bytes()]
    assert {path.parent for path in holding} == {node, snapshots / "manifests"}
    for path in holding:
        content = path.read_bytes()
        path.unlink()
        if how == "no wrapped key":
            path.write_bytes(content.replace(wrapped, bytes(len(wrapped))))
    with pytest.raises(KeystoreError):
        Node.open(node, connect).close()
    with pytest.raises(KeystoreError):
        restore(DirectoryPlace(snapshots), made.snapshot_id, tmp_path / "restored", connect)
    assert not (tmp_path / "restored").exists()
    with Node.open(layered.directory, connect) as again:
        assert exported(again) == CANARY
    restore(DirectoryPlace(tmp_path / "snapshots"), made.snapshot_id, tmp_path / "restored", connect)


@pytest.mark.row("R6")
@pytest.mark.parametrize("layers", [1, 2])
def test_a_page_goes_through_as_many_ciphers_as_there_are_layers(
    directory: Path, cmk: str, platform: str, connect: KmsConnector, monkeypatch: pytest.MonkeyPatch, layers: int
) -> None:
    keys: dict[str, set[bytes]] = {"page": set(), "sector": set(), "written": set()}
    seal, run = type(kernel.KERNEL).seal_changes, sectors.SectorCipher._run

    def seal_changes(self: kernel.PageKernel, key, *rest):  # type: ignore[no-untyped-def]
        keys["page"].add(bytes(key.view()))
        return seal(self, key, *rest)

    def encrypt(self: sectors.SectorCipher, offset, data, *, decrypt):  # type: ignore[no-untyped-def]
        keys["sector"].add(bytes(self._key.view()))
        return run(self, offset, data, decrypt=decrypt)

    with Node.init(directory, cmk, connect, volume_key=platform if layers == 2 else None) as node:
        store = node.create_store("d", "f", 4096)
        monkeypatch.setattr(type(kernel.KERNEL), "seal_changes", seal_changes)
        record_commits(monkeypatch, lambda key, _: keys["written"].add(bytes(key.view())))
        monkeypatch.setattr(sectors.SectorCipher, "_run", encrypt)
        store.commit({0: CANARY[:4096]})
        monkeypatch.undo()
    # What the kernel writes itself is a page and its record, each under a key of the session, and no layer below.
    assert (len(keys["page"] or keys["written"]), len(keys["sector"])) == (1 + bool(keys["written"]), layers - 1)
    assert not (keys["page"] and keys["written"])
    assert not any(page in sector for page in keys["page"] for sector in keys["sector"])


@pytest.mark.row("R79", "R93", "R94")
def test_a_snapshot_needs_both_keys_and_restores_with_a_layer_of_its_own(
    layered: Node, tmp_path: Path, cmk: str, platform: str, connect: KmsConnector
) -> None:
    target = DirectoryPlace(tmp_path / "snapshots")
    made = snapshot(layered, target)
    restored = tmp_path / "restored"
    for needed in (cmk, platform):
        path = Path(needed.removeprefix("local://"))
        path.rename(path.with_suffix(".gone"))
        with pytest.raises(KmsError, match=r"cannot be restored without the .*key"):
            restore(target, made.snapshot_id, restored, connect)
        path.with_suffix(".gone").rename(path)
        assert not restored.exists()
    restore(target, made.snapshot_id, restored, connect)
    with Node.open(restored, connect) as node:
        assert exported(node) == CANARY
        assert node.volume_info is not None
        assert layered.volume_info is not None
        assert node.volume_info.key_id == platform
        assert node.volume_info.volume_id != layered.volume_info.volume_id


def test_a_restore_can_add_the_layer_and_put_it_under_another_key(
    directory: Path, tmp_path: Path, cmk: str, other_cmk: str, platform: str, connect: KmsConnector
) -> None:
    target = DirectoryPlace(tmp_path / "snapshots")
    with Node.init(directory, cmk, connect) as plain:
        plain.import_file("orders", "canary", io.BytesIO(CANARY))
        without = snapshot(plain, target)
    assert restore(target, without.snapshot_id, tmp_path / "a", connect, volume_key=platform).stores == 1
    with Node.open(tmp_path / "a", connect) as node:
        assert node.volume_info is not None
        assert exported(node) == CANARY
        layered = snapshot(node, target)
    restore(target, layered.snapshot_id, tmp_path / "b", connect, volume_key=other_cmk)
    with Node.open(tmp_path / "b", connect) as node:
        assert node.volume_info is not None
        assert node.volume_info.key_id == other_cmk
        assert exported(node) == CANARY


@pytest.mark.parametrize("change", ["cut", "end", "middle"])
def test_a_changed_pack_is_damage(layered: Node, tmp_path: Path, connect: KmsConnector, change: str) -> None:
    target = DirectoryPlace(tmp_path / "snapshots")
    made = snapshot(layered, target)
    (pack,) = (tmp_path / "snapshots" / "packs").iterdir()
    content = bytearray(pack.read_bytes())
    at = {"cut": 0, "end": len(content) - 17, "middle": len(content) // 2}[change]
    content[at] ^= 1
    pack.write_bytes(content[:-16] if change == "cut" else content)
    with pytest.raises(SnapshotDamagedError):
        restore(target, made.snapshot_id, tmp_path / "restored", connect)
    assert not (tmp_path / "restored").exists()


# -- the key ----------------------------------------------------------------------------------------------------------


def test_rewrap_moves_one_small_file_to_another_key(
    layered: Node, tmp_path: Path, platform: str, connect: KmsConnector
) -> None:
    other = new_key(tmp_path / "other-platform")
    with layered.using_store("orders", "canary"):
        before = files_in(layered.directory)
        info = layered.rewrap_volume(other)
        after = files_in(layered.directory)
    assert (info.generation, info.key_id, layered.volume_info) == (2, other, info)
    assert {name for name in after if after[name] != before.get(name)} == {"volume"}
    layered.close()
    Path(platform.removeprefix("local://")).unlink()
    with Node.open(layered.directory, connect) as node:
        assert exported(node) == CANARY
        assert node.volume_info == info


def test_a_rewrap_that_fails_leaves_the_former_key_in_force(
    layered: Node, tmp_path: Path, platform: str, connect: KmsConnector
) -> None:
    (tmp_path / "no-key").write_bytes(b"short")
    (tmp_path / "no-key").chmod(0o600)
    before = (layered.directory / "volume").read_bytes()
    with pytest.raises(KeyUnusableError):
        layered.rewrap_volume(f"local://{tmp_path / 'no-key'}")
    assert (layered.directory / "volume").read_bytes() == before
    layered.close()
    with Node.open(layered.directory, connect) as node:
        assert exported(node) == CANARY


def test_a_node_without_the_layer_cannot_rewrap(node: Node, platform: str) -> None:
    assert node.volume_info is None
    with pytest.raises(InputError, match="no volume layer"):
        node.rewrap_volume(platform)


def _remove(path: Path, _: Path) -> None:
    path.unlink()


def _flip(path: Path, _: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _other(path: Path, other: Path) -> None:
    shutil.copyfile(other, path)


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (_remove, VolumeKeyMissingError, "is missing"),
        (_flip, VolumeKeyDamagedError, "checksum"),
        (_other, VolumeKeyDamagedError, "it is the key of volume"),
    ],
)
def test_without_its_own_volume_key_a_node_does_not_open(
    layered: Node,
    tmp_path: Path,
    cmk: str,
    platform: str,
    connect: KmsConnector,
    change: Callable[[Path, Path], None],
    error: type[Exception],
    says: str,
) -> None:
    layered.close()
    with Node.init(tmp_path / "other", cmk, connect, volume_key=platform):
        pass
    change(layered.directory / "volume", tmp_path / "other" / "volume")
    before = files_in(layered.directory)
    with pytest.raises(error, match=says):
        Node.open(layered.directory, connect)
    assert files_in(layered.directory) == before


def test_another_platform_key_is_refused_and_nothing_is_written(
    layered: Node, platform: str, connect: KmsConnector
) -> None:
    layered.close()
    path = Path(platform.removeprefix("local://"))
    path.write_bytes(os.urandom(path.stat().st_size))
    before = files_in(layered.directory)
    with pytest.raises((CiphertextError, WrongKeyError)):
        Node.open(layered.directory, connect)
    assert files_in(layered.directory) == before


def test_a_plain_store_in_the_place_of_a_layered_one_is_refused(layered: Node, connect: KmsConnector) -> None:
    layered.close()
    path = store_of(layered.directory)
    with Node.open(layered.directory, connect) as again:
        inner = peel(again, path)
    path.write_bytes(inner)
    with Node.open(layered.directory, connect) as again, pytest.raises(NotAStoreError):
        again.open_store("orders", "canary")
    assert path.read_bytes() == inner


def test_a_failed_init_leaves_nothing(directory: Path, cmk: str, tmp_path: Path, connect: KmsConnector) -> None:
    with pytest.raises(KmsError):
        Node.init(directory, cmk, connect, volume_key=f"local://{tmp_path / 'missing'}")
    assert not directory.exists()


def test_usage_names_the_platform_key_of_nodes_and_snapshots(layered: Node, tmp_path: Path, platform: str) -> None:
    made = snapshot(layered, DirectoryPlace(tmp_path / "snapshots"))
    report = keys_usage([layered.directory, tmp_path / "snapshots"])
    (key,) = (key for key in report.keys if platform in key.key_ids)
    assert [(user.kind, user.snapshot_id) for user in key.users] == [
        ("node volume", None),
        ("snapshot volume", made.snapshot_id),
    ]
