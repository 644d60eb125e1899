"""Attacks on a closed node: its keystore file, its anchors, its stores among each other, and all of it at once."""

import hashlib
import io
import shutil
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

from keystore.errors import KeystoreError
from keystore.format.keyfile import CHECKSUM_BYTES
from keystore.keys.files import Files
from keystore.keys.hierarchy import Keystore
from keystore.keys.keyfile import load
from keystore.keys.master import generate_master
from keystore.kms.connect import connector
from keystore.kms.local import create_key_file
from keystore.kms.protocol import KmsConnector
from keystore.node.directory import Node
from keystore.node.known_nodes import KnownNodes
from keystore.node.layout import Layout
from keystore.node.opening import write_first
from keystore.node.restoring import restore
from keystore.node.signers import Trust
from keystore.objects.directory import DirectoryPlace
from keystore.snapshots.names import snapshot_ids
from tests.attacks.cells import Cells
from tests.attacks.forging import forged_snapshot

CELLS = Cells()
FORGED_CELLS = Cells()
FILES = (("d", "f"), ("d", "g"), ("e", "h"))
RECORD_BYTES = 512
SEALED_END = 188
PAGE_BYTES = 4096


class NodeScene:
    """A node with an outside anchor; `old` is a copy of it from before a rotation, an import and a commit."""

    def __init__(self, directory: Path) -> None:
        self._directory, self._copies = directory, count()
        self.connect: KmsConnector = connector()
        create_key_file(directory / "cmk")
        self.cmk = f"local://{directory / 'cmk'}"
        (directory / "outside").mkdir()
        self.outside = DirectoryPlace(directory / "outside")
        self.now, self.old, self.other = (directory / name for name in ("now", "old", "other"))
        self._make(self.now, self.outside)
        self.old_contents = contents(self.now, self.connect)
        shutil.copytree(self.now, self.old)
        with Node.open(self.now, self.connect) as node:
            node.rotate_master()
            self._write(node)
            self.stores = {name: _store_path(node, database, name) for database, name in FILES}
        self.contents = contents(self.now, self.connect)
        assert self.contents != self.old_contents
        self._make(self.other, None)

    def _make(self, directory: Path, outside: DirectoryPlace | None) -> None:
        with Node.init(directory, self.cmk, self.connect, name="n", outside_anchor=outside) as node:
            for database, name in FILES:
                node.import_file(database, name, io.BytesIO(name.encode() * 3 * PAGE_BYTES), page_size=PAGE_BYTES)

    @staticmethod
    def _write(node: Node) -> None:
        for database, name in FILES:
            with node.using_store(database, name) as store:
                store.commit({0: b"new" + bytes(PAGE_BYTES - 3)})

    def copy(self, source: Path | None = None) -> Path:
        """Return a copy of the node, or of another directory, to attack."""
        place = self._directory / f"attacked-{next(self._copies)}"
        shutil.copytree(source or self.now, place)
        return place

    def found(self, directory: Path, *, place: DirectoryPlace | None = None) -> str:
        """Open a node, verify it and read everything; say what was found. The outside anchor at `place` is asked."""
        before = _bytes_of(directory)
        try:
            node = Node.open(directory, self.connect, outside_anchor=place, ignore_outside_anchor=place is None)
        except KeystoreError as error:
            _require_named(error, directory)
            assert _bytes_of(directory) == before
            return f"refused: {type(error).__name__}"
        with node:
            checks = node.verify().stores
        problems = {f"{check.database}/{check.name}": problem for check in checks for problem in check.problems}
        if problems:
            assert all(name in str(problem) or str(directory) in str(problem) for name, problem in problems.items())
            return f"found: {', '.join(sorted({type(problem).__name__ for problem in problems.values()}))}"
        read = contents(directory, self.connect)
        known = {"unchanged": self.contents, "old contents": self.old_contents}
        return next((name for name, each in known.items() if each == read), "other contents")

    def outside_of(self, directory: Path) -> DirectoryPlace:
        """Return a copy of the outside anchor for a copy of the node: opening that writes to it."""
        return DirectoryPlace(shutil.copytree(self.outside.path, directory.with_suffix(".outside")))

    def replaced(self, path: str, data: bytes) -> str:
        """Put `data` in the place of a file of a copy; say what was found."""
        directory = self.copy()
        (directory / path).write_bytes(data)
        return self.found(directory)


def contents(directory: Path, connect: KmsConnector) -> dict[str, bytes]:
    with Node.open(directory, connect, ignore_outside_anchor=True) as node:
        found = {}
        for file in node.list_files():
            out = io.BytesIO()
            node.export_file(file.database, file.name, out)
            found[f"{file.database}/{file.name}"] = out.getvalue()
        return found


def _require_named(error: KeystoreError, directory: Path) -> None:
    """Require that an error names the directory, or the key or the outside anchor that refused."""
    assert str(directory) in str(error) or "://" in str(error) or "outside anchor" in str(error)


def _store_path(node: Node, database: str, name: str) -> Path:
    entry = node.databases[database]
    path = Layout(node.directory).store(entry.database_id, entry.stores[name].store_id)
    return path.relative_to(node.directory)


def _bytes_of(directory: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :]


def with_checksum(content: bytes) -> bytes:
    return content + hashlib.sha256(content).digest()


# -- keystore file ----------------------------------------------------------------------------------------------------


@CELLS.add("keystore file", "bit flip, truncated, extended, zeroed", "refused: KeyFileDamagedError")
def _(scene: NodeScene) -> Iterator[str]:
    data = (scene.now / "keystore").read_bytes()
    directory = scene.copy()
    variants = [flipped(data, at) for at in range(0, len(data), 13)]
    variants += [b"", data[:1], data[:100], data[:-1], data + b"\0", bytes(len(data))]
    for changed in variants:
        (directory / "keystore").write_bytes(changed)
        yield scene.found(directory)


@CELLS.add(
    "keystore file",
    "bit flip with a checksum that fits",
    "refused: KeyFileDamagedError",
    "refused: WrongKeyError",
    "refused: CiphertextError",
)
def _(scene: NodeScene) -> Iterator[str]:
    content = (scene.now / "keystore").read_bytes()[:-CHECKSUM_BYTES]
    wrapped = load(Files(), scene.now / "keystore").head.wrapped
    clear = content.index(wrapped.ciphertext) + len(wrapped.ciphertext)
    for at in (*range(20, 72, 3), *range(clear, len(content), 11)):
        yield scene.replaced("keystore", with_checksum(flipped(content, at)))


@CELLS.add("keystore file", "version or suite lowered, with a checksum that fits", "refused: KeyFileDamagedError")
def _(scene: NodeScene) -> Iterator[str]:
    content = (scene.now / "keystore").read_bytes()[:-CHECKSUM_BYTES]
    for at in (8, 10):
        for lower in range(content[at]):
            yield scene.replaced("keystore", with_checksum(content[:at] + bytes([lower]) + content[at + 1 :]))


@CELLS.add("keystore file", "removed", "refused: KeyFileMissingError")
def _(scene: NodeScene) -> Iterator[str]:
    directory = scene.copy()
    (directory / "keystore").unlink()
    yield scene.found(directory)


@CELLS.add("keystore file", "an old one with new stores and anchors", "refused: KeyFileStaleError")
def _(scene: NodeScene) -> Iterator[str]:
    yield scene.replaced("keystore", (scene.old / "keystore").read_bytes())


@CELLS.add("keystore file", "the new one with old stores", "found: StoreRolledBackError")
def _(scene: NodeScene) -> Iterator[str]:
    directory = scene.copy()
    shutil.copytree(scene.old / "databases", directory / "databases", dirs_exist_ok=True)
    yield scene.found(directory)


@CELLS.add("keystore file", "another node's, under the same CMK", "refused: AnchorsDamagedError")
def _(scene: NodeScene) -> Iterator[str]:
    yield scene.replaced("keystore", (scene.other / "keystore").read_bytes())


@CELLS.add("keystore file", "the wrapped master key of another node", "refused: CiphertextError")
def _(scene: NodeScene) -> Iterator[str]:
    content = (scene.now / "keystore").read_bytes()[:-CHECKSUM_BYTES]
    ours, theirs = (load(Files(), node / "keystore").head.wrapped.ciphertext for node in (scene.now, scene.other))
    assert len(ours) == len(theirs)
    yield scene.replaced("keystore", with_checksum(content.replace(ours, theirs)))


# -- anchors file -----------------------------------------------------------------------------------------------------


@CELLS.add("anchors file", "bit flip in the record of the keystore file", "refused: AnchorsDamagedError")
def _(scene: NodeScene) -> Iterator[str]:
    data = (scene.now / "anchors").read_bytes()
    for at in (*range(0, SEALED_END, 7), 300, RECORD_BYTES - 1):
        yield scene.replaced("anchors", flipped(data, at))


@CELLS.add("anchors file", "bit flip in the record of a store, or it zeroed", "found: AnchorsDamagedError")
def _(scene: NodeScene) -> Iterator[str]:
    data = (scene.now / "anchors").read_bytes()
    for at in (0, 5, 7, 9, 13, 20, 40, 70, 90, 150, SEALED_END - 1, 300, RECORD_BYTES - 1):
        yield scene.replaced("anchors", flipped(data, RECORD_BYTES + at))
    yield scene.replaced("anchors", data[:RECORD_BYTES] + bytes(RECORD_BYTES) + data[2 * RECORD_BYTES :])


@CELLS.add("anchors file", "records exchanged, or one repeated over another", "found: AnchorsDamagedError")
def _(scene: NodeScene) -> Iterator[str]:
    first, one, two, three = _records(scene.now)
    yield scene.replaced("anchors", first + two + one + three)
    yield scene.replaced("anchors", first + one + one + three)


def _records(directory: Path) -> list[bytes]:
    data = (directory / "anchors").read_bytes()
    return [data[at : at + RECORD_BYTES] for at in range(0, len(data), RECORD_BYTES)]


@CELLS.add("anchors file", "truncated", "refused: AnchorsDamagedError", "found: AnchorsMissingError")
def _(scene: NodeScene) -> Iterator[str]:
    data = (scene.now / "anchors").read_bytes()
    yield from (scene.replaced("anchors", data[:length]) for length in (0, 1, 511, 512, 1024, len(data) - 512))


@CELLS.add("anchors file", "extended", "unchanged", why="a record that belongs to no store is what a crash left (A-4)")
def _(scene: NodeScene) -> Iterator[str]:
    data = (scene.now / "anchors").read_bytes()
    yield from (scene.replaced("anchors", data + more) for more in (b"\0", bytes(512), data[512:1024], b"x" * 512))


@CELLS.add("anchors file", "zeroed, version lowered, another node's", "refused: AnchorsDamagedError")
def _(scene: NodeScene) -> Iterator[str]:
    data = (scene.now / "anchors").read_bytes()
    yield scene.replaced("anchors", bytes(len(data)))
    yield scene.replaced("anchors", data[:4] + b"\0" + data[5:])
    yield scene.replaced("anchors", (scene.other / "anchors").read_bytes())


@CELLS.add("anchors file", "removed", "refused: AnchorsMissingError")
def _(scene: NodeScene) -> Iterator[str]:
    directory = scene.copy()
    (directory / "anchors").unlink()
    yield scene.found(directory)


@CELLS.add("anchors file", "an old one", "refused: KeyFileStaleError")
def _(scene: NodeScene) -> Iterator[str]:
    yield scene.replaced("anchors", (scene.old / "anchors").read_bytes())


@CELLS.add("anchors file", "an old record of a store that has gone on", "found: StoreDivergedError")
def _(scene: NodeScene) -> Iterator[str]:
    records, old = _records(scene.now), _records(scene.old)
    yield scene.replaced("anchors", b"".join([*records[:1], *old[1:2], *records[2:]]))


# -- stores of a node -------------------------------------------------------------------------------------------------


@CELLS.add("store of a node", "removed", "found: StoreMissingError")
def _(scene: NodeScene) -> Iterator[str]:
    directory = scene.copy()
    (directory / scene.stores["f"]).unlink()
    yield scene.found(directory)
    assert not (directory / scene.stores["f"]).exists()


@CELLS.add(
    "store of a node", "exchanged with one of the same, or of another database", "found: StoreDamagedError",
    "found: WrongKeyError",
)  # fmt: skip
def _(scene: NodeScene) -> Iterator[str]:
    for other in ("g", "h"):
        directory = scene.copy()
        one, two = directory / scene.stores["f"], directory / scene.stores[other]
        data = one.read_bytes()
        one.write_bytes(two.read_bytes())
        two.write_bytes(data)
        yield scene.found(directory)


@CELLS.add("store of a node", "another node's, under the same CMK", "found: WrongKeyError")
def _(scene: NodeScene) -> Iterator[str]:
    for theirs in scene.other.glob("databases/*/*.store"):
        yield scene.replaced(str(scene.stores["f"]), theirs.read_bytes())


@CELLS.add("store of a node", "a branch that was written to elsewhere", "found: StoreDivergedError")
def _(scene: NodeScene) -> Iterator[str]:
    """Two copies of the directory go on; a store of the one is put into the other."""
    here, twin = scene.copy(), scene.copy()
    for directory, commits in ((here, 1), (twin, 2)):
        with (
            Node.open(directory, scene.connect, ignore_outside_anchor=True) as node,
            node.open_store("d", "f") as store,
        ):
            for _ in range(commits):
                store.commit({0: directory.name.encode().ljust(PAGE_BYTES)})
    shutil.copy(twin / scene.stores["f"], here / scene.stores["f"])
    yield scene.found(here)


# -- everything at once -----------------------------------------------------------------------------------------------

BESIDE = "the anchors lie beside the data; an outside anchor tells it"


def _old_store_with_its_record(scene: NodeScene) -> Path:
    directory, records, old = scene.copy(), _records(scene.now), _records(scene.old)
    (directory / scene.stores["f"]).write_bytes((scene.old / scene.stores["f"]).read_bytes())
    (directory / "anchors").write_bytes(b"".join([*records[:1], *old[1:2], *records[2:]]))
    return directory


@CELLS.add("node directory", "an old store with its own record of the anchors", "limit 1: the old contents", why=BESIDE)
def _(scene: NodeScene) -> Iterator[str]:
    directory = _old_store_with_its_record(scene)
    assert scene.found(directory) == "other contents"
    read = contents(directory, scene.connect)
    assert read == {**scene.contents, "d/f": scene.old_contents["d/f"]}
    yield "limit 1: the old contents"


@CELLS.add("node directory", "an old store with its own record, with an outside anchor", "found: StoreRolledBackError")
def _(scene: NodeScene) -> Iterator[str]:
    directory = _old_store_with_its_record(scene)
    yield scene.found(directory, place=scene.outside_of(directory))


@CELLS.add("node directory", "an old one as a whole", "limit 1: the old contents", why=BESIDE)
def _(scene: NodeScene) -> Iterator[str]:
    assert scene.found(scene.copy(scene.old)) == "old contents"
    yield "limit 1: the old contents"


@CELLS.add("node directory", "an old one as a whole, with an outside anchor", "refused: KeyFileStaleError")
def _(scene: NodeScene) -> Iterator[str]:
    directory = scene.copy(scene.old)
    yield scene.found(directory, place=scene.outside_of(directory))


# -- forged with a public key -----------------------------------------------------------------------------------------


class ForgedScene:
    """A node under an RSA key in Azure's shape, and what somebody forged who has the public key and no more.

    Wrapping is the public half of the key; the forger is given no answer of the private half.
    """

    def __init__(self, directory: Path, key: str, endpoint: str) -> None:
        (directory / "outside").mkdir()
        self._directory, self.connect, self.key = directory, connector(endpoint), key
        self.outside = DirectoryPlace(directory / "outside")
        self.node = directory / "node"
        with Node.init(self.node, key, self.connect, outside_anchor=self.outside) as node:
            node.import_file("d", "f", io.BytesIO(b"f" * PAGE_BYTES), page_size=PAGE_BYTES)
            self.node_id = node.node_id
        self.forged = {True: self._forge(key, self.node_id), False: self._forge(key, b"f" * 16)}

    def _forge(self, key: str, node_id: bytes) -> Path:
        directory = self._directory / f"forged-{node_id.hex()}"
        directory.mkdir()
        with closing(self.connect(key)) as kms, generate_master(kms, node_id, 1) as master:
            keystore = Keystore.generate("n", 1)
            write_first(Layout(directory), Files(), keystore, master, 1)
            keystore.wipe()
        return directory

    def found(self, directory: Path, *, outside: bool = False) -> str:
        try:
            place = self.outside if outside else None
            with Node.open(directory, self.connect, outside_anchor=place, ignore_outside_anchor=not outside) as node:
                return "nothing of the data" if not node.list_files() else "data"
        except KeystoreError as error:
            return f"refused: {type(error).__name__}"


@FORGED_CELLS.add("forged with a public RSA key", "the keystore file alone", "refused: AnchorsDamagedError")
def _(scene: ForgedScene) -> Iterator[str]:
    directory = scene._directory / "alone"
    shutil.copytree(scene.node, directory)
    for forged in scene.forged.values():
        shutil.copy(forged / "keystore", directory / "keystore")
        yield scene.found(directory)


@FORGED_CELLS.add(
    "forged with a public RSA key",
    "the whole node directory",
    "limit 7: an empty node, and nothing of the data",
    why="it is a valid node under that key; an outside anchor whose place is named tells it",
)
def _(scene: ForgedScene) -> Iterator[str]:
    for directory in scene.forged.values():
        assert scene.found(directory) == "nothing of the data"
        yield "limit 7: an empty node, and nothing of the data"


@FORGED_CELLS.add(
    "forged with a public RSA key",
    "the whole node directory, with an outside anchor that is named",
    "refused: KeyFileStaleError",
    "refused: OutsideAnchorMissingError",
)
def _(scene: ForgedScene) -> Iterator[str]:
    yield from (scene.found(directory, outside=True) for directory in scene.forged.values())


def _restored(scene: ForgedScene, trust: Trust) -> str:
    """Restore a snapshot that was forged in the name of the node; say what came of it."""
    place, evil_key = DirectoryPlace(scene._directory / "snapshots"), scene._directory / "evil-cmk"
    if not evil_key.exists():
        create_key_file(evil_key)
        with Node.init(scene._directory / "evil", f"local://{evil_key}", scene.connect) as evil:
            evil.import_file("d", "f", io.BytesIO(b"x" * PAGE_BYTES), page_size=PAGE_BYTES)
            forged_snapshot(place, scene.node_id, scene.key, scene.connect, evil)
    try:
        restore(place, snapshot_ids(place)[-1], scene._directory / "restored", scene.connect, trust=trust)
    except KeystoreError as error:
        assert not (scene._directory / "restored").exists()
        return f"refused: {type(error).__name__}"
    return "what the forger made"


@FORGED_CELLS.add("forged with a public RSA key", "a snapshot, where the node is known", "refused: SignerChangedError")
def _(scene: ForgedScene) -> Iterator[str]:
    for trust in (Trust(), Trust(first_use=True), Trust(signer=bytes(32))):
        yield _restored(scene, trust)


@FORGED_CELLS.add(
    "forged with a public RSA key", "a snapshot, where the node is not known", "refused: SignerUnknownError"
)
def _(scene: ForgedScene) -> Iterator[str]:
    yield _restored(scene, Trust(KnownNodes(scene._directory / "known")))


@FORGED_CELLS.add(
    "forged with a public RSA key",
    "a snapshot, where the node is not known and its signer is taken on trust",
    "limit 7: what the forger made",
    why="nobody said who signs the snapshots of that node",
)
def _(scene: ForgedScene) -> Iterator[str]:
    trust = Trust(KnownNodes(scene._directory / "known"), first_use=True)
    assert _restored(scene, trust) == "what the forger made"
    yield "limit 7: what the forger made"
