"""Attacks on what only some nodes have: the volume key file, a database that was shredded, the position of a check."""

import io
import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from keystore.crypto.derive import COMMITMENT_BYTES
from keystore.crypto.wrap import SALT_BYTES
from keystore.errors import InputError, KeystoreError
from keystore.format.keyfile import CHECKSUM_BYTES
from keystore.format.volume import VolumeRecord
from keystore.keys.files import Files
from keystore.keys.keyfile import load
from keystore.kms.connect import connector
from keystore.kms.local import create_key_file
from keystore.node.directory import Node
from tests.attacks.cells import Cells
from tests.attacks.on_node import PAGE_BYTES, contents, flipped, with_checksum

CELLS = Cells()


class GuardedScene:
    """A node with a volume layer. `old` is a copy of it from before a database was shredded and the volume key wrapped
    under another platform key, and `position` is what a
    check that was cut off left then."""

    def __init__(self, directory: Path) -> None:
        self._directory, self._copies, self.connect = directory, count(), connector()
        self.cmk, self.platform, self.next_platform = (self._key(name) for name in ("cmk", "platform", "next"))
        self.now, self.old, self.other = (directory / name for name in ("now", "old", "other"))
        self.position, self.other_position = directory / "position", directory / "other-position"
        self._make(self.now)
        shutil.copytree(self.now, self.old)
        self._cut_check(self.now, self.position)
        with Node.open(self.now, self.connect) as node:
            node.shred("gone")
            node.rewrap_volume(self.next_platform)
        self.contents = contents(self.now, self.connect)
        self._make(self.other)
        self._cut_check(self.other, self.other_position)

    def _key(self, name: str) -> str:
        create_key_file(self._directory / name)
        return f"local://{self._directory / name}"

    def _make(self, directory: Path) -> None:
        with Node.init(directory, self.cmk, self.connect, volume_key=self.platform) as node:
            for database in ("d", "gone"):
                data = io.BytesIO(database.encode() * 2 * PAGE_BYTES)
                node.import_file(database, "f", data, page_size=PAGE_BYTES)

    def _cut_check(self, directory: Path, position: Path) -> None:
        def cut(done: int, total: int) -> None:
            raise KeyboardInterrupt

        with Node.open(directory, self.connect) as node:
            try:
                node.verify(resume=position, progress=cut)
            except KeyboardInterrupt:
                return
        raise AssertionError("the check was not cut off")

    def copy(self) -> Path:
        place = self._directory / f"attacked-{next(self._copies)}"
        shutil.copytree(self.now, place)
        return place

    def found(self, directory: Path) -> str:
        """Open a node, verify it and read everything; say what was found."""
        try:
            with Node.open(directory, self.connect) as node:
                check = node.verify()
                assert node.databases["gone"].shredded is not None
        except KeystoreError as error:
            _require_named(error, str(directory), "://")
            return f"refused: {type(error).__name__}"
        assert check.ok
        assert contents(directory, self.connect) == self.contents
        return "unchanged"

    def replaced(self, name: str, data: bytes) -> str:
        """Put `data` in the place of a file of a copy; say what was found."""
        directory = self.copy()
        (directory / name).write_bytes(data)
        return self.found(directory)

    def resumed(self, data: bytes) -> str:
        """Go on with a check from a position; say what came of it."""
        place = self._directory / f"position-{next(self._copies)}"
        place.write_bytes(data)
        try:
            with Node.open(self.now, self.connect) as node:
                check = node.verify(resume=place)
        except InputError as error:
            _require_named(error, str(place))
            unchanged = place.read_bytes() == data
            return f"refused: {type(error).__name__}" if unchanged else "changed"
        assert check.begun_ns is not None
        return "unchanged"


def _require_named(error: KeystoreError, *places: str) -> None:
    assert any(place in str(error) for place in places)


# -- volume key file --------------------------------------------------------------------------------------------------


def _volume(directory: Path) -> tuple[bytes, VolumeRecord]:
    data = (directory / "volume").read_bytes()
    return data[:-CHECKSUM_BYTES], VolumeRecord.decode(data)


@CELLS.add("volume key file", "bit flip, truncated, extended, zeroed", "refused: VolumeKeyDamagedError")
def _(scene: GuardedScene) -> Iterator[str]:
    data = (scene.now / "volume").read_bytes()
    variants = [flipped(data, at) for at in range(0, len(data), 7)]
    for changed in [*variants, b"", data[:40], data[:-1], data + b"\0", bytes(len(data))]:
        yield scene.replaced("volume", changed)


@CELLS.add(
    "volume key file",
    "id, commitment or wrapped key changed, with a checksum that fits",
    "refused: VolumeKeyDamagedError",
    "refused: WrongKeyError",
    "refused: CiphertextError",
)
def _(scene: GuardedScene) -> Iterator[str]:
    content, record = _volume(scene.now)
    wrapped = content.index(record.wrapped.ciphertext)
    for at in (8, 10, *range(16, 48, 5), *range(wrapped, wrapped + len(record.wrapped.ciphertext), 9)):
        yield scene.replaced("volume", with_checksum(flipped(content, at)))


@CELLS.add(
    "volume key file",
    "its generation changed, with a checksum that fits",
    "unchanged",
    why="that number is for people; the commitment says which key it is",
)
def _(scene: GuardedScene) -> Iterator[str]:
    yield scene.replaced("volume", with_checksum(flipped(_volume(scene.now)[0], 12)))


@CELLS.add("volume key file", "removed", "refused: VolumeKeyMissingError")
def _(scene: GuardedScene) -> Iterator[str]:
    directory = scene.copy()
    (directory / "volume").unlink()
    yield scene.found(directory)


@CELLS.add("volume key file", "another node's, under the same platform key", "refused: VolumeKeyDamagedError")
def _(scene: GuardedScene) -> Iterator[str]:
    yield scene.replaced("volume", (scene.other / "volume").read_bytes())


@CELLS.add(
    "volume key file",
    "an old one, of before another platform key",
    "limit 14: the use of the former platform key",
    why="the volume key is the same; the former key opens it for as long as it can be used",
)
def _(scene: GuardedScene) -> Iterator[str]:
    assert scene.replaced("volume", (scene.old / "volume").read_bytes()) == "unchanged"
    yield "limit 14: the use of the former platform key"


# -- a database that was shredded -------------------------------------------------------------------------------------


@CELLS.add(
    "shredded database",
    "bit flip in its record, with a checksum that fits",
    "refused: KeyFileDamagedError",
)
def _(scene: GuardedScene) -> Iterator[str]:
    content = (scene.now / "keystore").read_bytes()[:-CHECKSUM_BYTES]
    body_at = len(load(Files(), scene.now / "keystore").parts.head_bytes) + SALT_BYTES + COMMITMENT_BYTES
    for at in range(body_at, len(content), 5):
        yield scene.replaced("keystore", with_checksum(flipped(content, at)))


@CELLS.add("shredded database", "the keystore file of before", "refused: KeyFileStaleError")
def _(scene: GuardedScene) -> Iterator[str]:
    yield scene.replaced("keystore", (scene.old / "keystore").read_bytes())


@CELLS.add(
    "shredded database", "its files brought back", "unchanged", why="no data key opens them; the opening removes them"
)
def _(scene: GuardedScene) -> Iterator[str]:
    directory = scene.copy()
    stores = {path.relative_to(scene.old) for path in scene.old.glob("databases/*/*.store")}
    (gone,) = (store for store in stores if not (directory / store).exists())
    (directory / gone.parent).mkdir(exist_ok=True)
    shutil.copy(scene.old / gone, directory / gone)
    yield scene.found(directory)
    assert not (directory / gone).exists()


# -- position of a check ----------------------------------------------------------------------------------------------


@CELLS.add("position of a check", "bit flip, truncated, extended, zeroed, another node's", "refused: InputError")
def _(scene: GuardedScene) -> Iterator[str]:
    data = scene.position.read_bytes()
    variants = [flipped(data, at) for at in range(0, len(data), 17)]
    for changed in [*variants, b"", data[:8], data[:-1], data + b"\0", bytes(len(data))]:
        yield scene.resumed(changed)
    yield scene.resumed(scene.other_position.read_bytes())


@CELLS.add(
    "position of a check",
    "an old one of the same node",
    "unchanged",
    why="it is taken up, and the report tells since when pages were not read again",
)
def _(scene: GuardedScene) -> Iterator[str]:
    yield scene.resumed(scene.position.read_bytes())
