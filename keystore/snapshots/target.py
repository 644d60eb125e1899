"""Where snapshots are kept: objects with write-once names, and a manifest that appears last, whole or not at all.

    TARGET/<snapshot id>/manifest
    TARGET/<snapshot id>/<pack id>.pack

Invariants:
1. A manifest is published after everything it names is durable, so a snapshot with a manifest is complete (S-1).
2. No name is written twice. What lies in a place without a manifest belongs to nobody and harms nothing.
"""

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from keystore.errors import PathMissingError, SnapshotDamagedError, SnapshotError, SnapshotMissingError
from keystore.format.manifest import MANIFEST_BYTES_MAX, PackObject
from keystore.keys.files import Files

MANIFEST = "manifest"


class PackWriter(Protocol):
    """A pack being written."""

    def write(self, data: bytes | memoryview) -> None: ...

    def finish(self) -> tuple[int, bytes]:
        """Make the pack durable; return its length and SHA-256."""
        ...


class SnapshotTarget(Protocol):
    """A place for snapshots. Errors are of type `SnapshotError`; every id has 16 bytes."""

    def ids(self) -> list[bytes]:
        """Return the ids of all snapshots, incomplete ones too, ascending."""
        ...

    def begin(self, snapshot_id: bytes) -> None:
        """Make a place for a new snapshot.

        Raises:
            PathMissingError: there is no directory to make the target in.
        """
        ...

    def create_pack(self, snapshot_id: bytes, pack_id: bytes) -> contextlib.AbstractContextManager[PackWriter]:
        """Begin a pack in the place of that snapshot."""
        ...

    def publish(self, snapshot_id: bytes, manifest: bytes) -> None:
        """Put the manifest in place: durable on return, whole or absent after a crash, never a second time."""
        ...

    def discard(self, snapshot_id: bytes) -> None:
        """Remove a snapshot that was begun and not published."""
        ...

    def read_manifest(self, snapshot_id: bytes) -> bytes:
        """Return a manifest.

        Raises:
            SnapshotMissingError: no such snapshot, or one that was never completed.
        """
        ...

    def open_pack(self, pack: PackObject) -> contextlib.AbstractContextManager[BinaryIO]:
        """Open a pack for reading.

        Raises:
            SnapshotDamagedError: it is missing, or of another length.
        """
        ...


class _LocalPackWriter:
    def __init__(self, files: Files, fd: int) -> None:
        self._files, self._fd = files, fd
        self._digest, self._bytes = hashlib.sha256(), 0

    def write(self, data: bytes | memoryview) -> None:
        self._files.write(self._fd, self._bytes, data)
        self._digest.update(data)
        self._bytes += len(data)

    def finish(self) -> tuple[int, bytes]:
        self._files.sync(self._fd)
        return self._bytes, self._digest.digest()


class LocalTarget:
    """Snapshots in a directory of this machine."""

    def __init__(self, path: str | os.PathLike[str], files: Files | None = None) -> None:
        """`files` does what has to be durable."""
        self.path = Path(path)
        self._files = files or Files()

    def __str__(self) -> str:
        return str(self.path)

    def ids(self) -> list[bytes]:
        with self._errors("list"):
            if not self.path.is_dir():
                raise SnapshotMissingError(f"{self.path} is not a directory of snapshots. Nothing was changed.")
            entries = [(_decode_id(entry), entry) for entry in os.scandir(self.path)]
        return sorted(found for found, entry in entries if found is not None and not _is_foreign(entry))

    def complete_ids(self) -> list[bytes]:
        """Return the ids of the snapshots that have a manifest, ascending."""
        return [snapshot_id for snapshot_id in self.ids() if (self._place(snapshot_id) / MANIFEST).is_file()]

    def begin(self, snapshot_id: bytes) -> None:
        with self._errors("write"):
            try:
                self._files.make_directory(self.path)
            except FileNotFoundError:
                raise PathMissingError.parent_of(self.path) from None
            # CRASH: also where it was there: who made it may have died before its name was durable. A parent that may
            # not be read is none that we made it in.
            with contextlib.suppress(PermissionError):
                self._files.sync_directory(self.path.parent)
            self._files.make_directory(self._place(snapshot_id), exist_ok=False)

    @contextlib.contextmanager
    def create_pack(self, snapshot_id: bytes, pack_id: bytes) -> Iterator[PackWriter]:
        with self._errors("write"), self._created(self._place(snapshot_id) / _pack_name(pack_id)) as fd:
            yield _LocalPackWriter(self._files, fd)

    def publish(self, snapshot_id: bytes, manifest: bytes) -> None:
        place = self._place(snapshot_id)
        temporary = place / f"{MANIFEST}.new"
        with self._errors("write"):
            with self._created(temporary) as fd:
                self._files.write(fd, 0, manifest)
                self._files.sync(fd)
            # CRASH: the names of the packs and the place itself are durable before a manifest can name them.
            self._files.sync_directory(place)
            self._files.sync_directory(self.path)
            self._files.rename(temporary, place / MANIFEST)
            self._files.sync_directory(place)

    @contextlib.contextmanager
    def _created(self, path: Path) -> Iterator[int]:
        fd = self._files.create(path)
        try:
            yield fd
        finally:
            self._files.close(fd)

    def discard(self, snapshot_id: bytes) -> None:
        place = self._place(snapshot_id)
        if not (place / MANIFEST).exists():
            shutil.rmtree(place, ignore_errors=True)

    def read_manifest(self, snapshot_id: bytes) -> bytes:
        path = self._place(snapshot_id) / MANIFEST
        with self._errors("read"):
            try:
                data = Files().read(path, MANIFEST_BYTES_MAX)
            except FileNotFoundError:
                raise self._missing(snapshot_id) from None
        if len(data) > MANIFEST_BYTES_MAX:
            raise SnapshotDamagedError(
                f"{path} has more than {MANIFEST_BYTES_MAX} bytes: no manifest has. It is unread."
            )
        return data

    @contextlib.contextmanager
    def open_pack(self, pack: PackObject) -> Iterator[BinaryIO]:
        path = self._place(pack.home) / _pack_name(pack.pack_id)
        with self._errors("read"):
            try:
                file = path.open("rb")
            except FileNotFoundError:
                raise SnapshotDamagedError(
                    f"pack {path} is missing. Nothing was restored; bring the file back, or use another snapshot."
                ) from None
            with file:
                found = os.fstat(file.fileno()).st_size
                if found != pack.byte_length:
                    raise SnapshotDamagedError(
                        f"pack {path} has {found} bytes, the manifest says {pack.byte_length}. Nothing was restored; "
                        "use another snapshot."
                    )
                yield file

    def _place(self, snapshot_id: bytes) -> Path:
        return self.path / snapshot_id.hex()

    def _missing(self, snapshot_id: bytes) -> SnapshotMissingError:
        if self._place(snapshot_id).is_dir():
            return SnapshotMissingError(
                f"snapshot {snapshot_id.hex()} in {self.path} has no manifest: it was never completed and cannot be "
                "restored. Nothing was changed; its directory may be removed."
            )
        return SnapshotMissingError(f"{self.path} has no snapshot {snapshot_id.hex()}. Nothing was changed.")

    @contextlib.contextmanager
    def _errors(self, action: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise SnapshotError(
                f"cannot {action} {error.filename or self.path}: {error.strerror}. No snapshot was changed."
            ) from error


def _pack_name(pack_id: bytes) -> str:
    return f"{pack_id.hex()}.pack"


def _decode_id(entry: os.DirEntry[str]) -> bytes | None:
    if len(entry.name) != 32 or entry.name != entry.name.lower() or not entry.is_dir():
        return None
    try:
        return bytes.fromhex(entry.name)
    except ValueError:
        return None


def _is_foreign(entry: os.DirEntry[str]) -> bool:
    """Tell whether a directory named like a snapshot is none: no manifest in it, and files that no snapshot has."""
    try:
        names = [path.name for path in Path(entry.path).iterdir()]
    except OSError:
        return False  # it may be one: reading its manifest tells
    return MANIFEST not in names and not all(name.endswith(".pack") or name == f"{MANIFEST}.new" for name in names)
