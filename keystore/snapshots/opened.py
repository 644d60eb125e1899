"""Opens a snapshot for a restore: manifest, packs, and the master key of its day from the KMS.

Leaves to others: where the data goes (`keystore.node`), opening pages (the store that adopts them).

Invariants:
1. Everything that can refuse a restore without reading the packs through, refuses in `open_snapshot`: a missing or
   damaged manifest, a missing or cut pack, a key that cannot be used (S-12). Nothing of a target exists by then.
2. The only KMS calls are one unwrap, with the key and the context of the snapshot's day, and one for a volume layer.
"""

import hashlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import BinaryIO, Self

from keystore.crypto.secret import SecretKey
from keystore.crypto.wrap import WrapDamagedError, unwrap
from keystore.errors import (
    CiphertextError,
    KeyDestroyedError,
    KeyDisabledError,
    KeyNotFoundError,
    KeyPendingDeletionError,
    KmsCredentialsError,
    KmsError,
    KmsPermissionError,
    KmsUnreachableError,
    PassphraseError,
    SnapshotDamagedError,
    SnapshotError,
    WrongKeyError,
    cause_of,
)
from keystore.format.cursor import NotDecodableError
from keystore.format.manifest import (
    DatabaseEntry,
    ManifestBody,
    ManifestHead,
    PackObject,
    StoreEntry,
    UnknownVersionError,
    split_manifest,
)
from keystore.format.pack import PackHeader
from keystore.keys.hierarchy import DataKey
from keystore.keys.master import MasterKey, open_master
from keystore.keys.volume import VolumeKey, open_volume
from keystore.kms.protocol import KmsConnector
from keystore.kms.refusals import what_failed
from keystore.pages.reading import Batch
from keystore.snapshots.keys import BODY_PURPOSE, unwrap_data_key, unwrap_pack_key
from keystore.snapshots.pack import PackContent, Reader, read_pack
from keystore.snapshots.target import SnapshotTarget
from keystore.snapshots.volume import VolumePackReader


class OpenedSnapshot:
    """A snapshot whose manifest was opened; holds its key until closed. A context manager."""

    def __init__(
        self,
        target: SnapshotTarget,
        head: ManifestHead,
        body: ManifestBody,
        key: SecretKey,
        volume: VolumeKey | None = None,
    ) -> None:
        self._target, self._key, self._volume = target, key, volume
        self.head, self.body = head, body

    @property
    def name(self) -> str:
        return self.head.snapshot_id.hex()

    def data_keys(self, database: DatabaseEntry) -> tuple[DataKey, ...]:
        """Return the data keys of a database, decrypt-only; the caller wipes them."""
        with _damage(f"snapshot {self.name}: data keys of database {database.name}"):
            return tuple(
                DataKey(
                    entry.generation,
                    unwrap_data_key(self._key, entry.wrapped, database.database_id, entry.generation),
                    entry.created_ns,
                    decrypt_only=True,
                )
                for entry in database.data_keys
            )

    def batches(self, store: StoreEntry) -> Iterator[Batch]:
        """Yield the sealed pages of a store, each batch valid until the next.

        Raises:
            SnapshotDamagedError: a pack is not what was written. It may come after the last batch.
        """
        where = f"snapshot {self.name}: store {store.name}"
        for part in store.packs:
            pack = self.head.packs[part.pack]
            with _damage(f"{where}: pack {pack.pack_id.hex()}"):
                pack_key = unwrap_pack_key(self._key, part.wrapped_key, pack.pack_id, store.store_id)
            header = PackHeader(store.page_size, pack.pack_id, store.store_id)
            with pack_key, self._target.open_pack(pack) as file:
                digest = _DigestReader(file)
                with self._without_volume(digest, pack.pack_id) as reader:
                    for batch in read_pack(reader, header, pack_key, PackContent(part.pages, part.batches), where):
                        if int(batch.page_nos[-1]) >= store.page_count:
                            raise _damaged(
                                f"{where}: pack {pack.pack_id.hex()}", "it has a page beyond the store's last"
                            )
                        yield batch
                if digest.digest() != pack.digest:
                    raise _damaged(f"{where}: pack {pack.pack_id.hex()}", "its SHA-256 is not the manifest's")

    @contextmanager
    def _without_volume(self, file: Reader, pack_id: bytes) -> Iterator[Reader]:
        if self._volume is None:
            yield file
            return
        with closing(VolumePackReader(file, self._volume.file_key("pack", pack_id))) as reader:
            yield reader

    def close(self) -> None:
        self._key.wipe()
        if self._volume is not None:
            self._volume.wipe()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_head(target: SnapshotTarget, snapshot_id: bytes) -> tuple[ManifestHead, bytes, bytes]:
    """Read a manifest without any key; return its head, the encoded head, and the sealed body.

    Raises:
        SnapshotMissingError: there is none.
        SnapshotDamagedError: it was changed or cut, or belongs to another snapshot.
        SnapshotError: it has a version that this program does not know.
    """
    data = target.read_manifest(snapshot_id)
    where = f"snapshot {snapshot_id.hex()}: its manifest"
    try:
        encoded, sealed = split_manifest(data)
        head = ManifestHead.decode(encoded)
    except UnknownVersionError as error:
        raise SnapshotError(f"{where} cannot be read: {error}. Nothing was changed; use a later keystore.") from None
    except NotDecodableError as error:
        raise _damaged(where, str(error)) from None
    if head.snapshot_id != snapshot_id:
        raise _damaged(where, f"it belongs to snapshot {head.snapshot_id.hex()}")
    return head, encoded, sealed


def open_snapshot(target: SnapshotTarget, snapshot_id: bytes, connect: KmsConnector) -> OpenedSnapshot:
    """Check what can be checked early, have the KMS unwrap the master key, and open the manifest.

    Raises:
        SnapshotMissingError, SnapshotDamagedError, SnapshotError: as `read_head`; or a pack is missing or cut.
        KmsError: of the type that says why the key of that day cannot be used.
    """
    head, encoded, sealed = read_head(target, snapshot_id)
    for pack in head.packs:
        _require_present(target, pack)
    master = _open_master(head, connect)
    try:
        key = master.snapshot_key(snapshot_id)
    finally:
        master.wipe()
    try:
        with _damage(f"snapshot {snapshot_id.hex()}: its manifest"):
            body = ManifestBody.decode(unwrap(key, sealed, BODY_PURPOSE, encoded), len(head.packs))
            _require_consistent(body)
        volume = _open_volume(head, connect)
    except BaseException:
        key.wipe()
        raise
    return OpenedSnapshot(target, head, body, key, volume)


def _require_present(target: SnapshotTarget, pack: PackObject) -> None:
    with target.open_pack(pack):
        pass


def _require_consistent(body: ManifestBody) -> None:
    for store in body.stores:
        known = {entry.generation for entry in body.databases[store.database].data_keys}
        missing = {session.generation for session in store.sessions} - known
        if missing:
            raise NotDecodableError(f"store {store.name} needs data key generations {sorted(missing)}")


def _open_master(head: ManifestHead, connect: KmsConnector) -> MasterKey:
    try:
        with closing(connect(head.wrapped.key_id)) as kms:
            return open_master(kms, head.wrapped, head.node_id, head.era, head.commitment)
    except KmsError as error:
        raise _explain(head, error) from error
    except WrongKeyError as error:
        raise _damaged(f"snapshot {head.snapshot_id.hex()}: its manifest", str(error)) from None


def _open_volume(head: ManifestHead, connect: KmsConnector) -> VolumeKey | None:
    if head.volume is None:
        return None
    try:
        with closing(connect(head.volume.wrapped.key_id)) as kms:
            return open_volume(kms, head.volume)
    except KmsError as error:
        raise _explain(head, error, "the platform key of its volume layer") from error
    except WrongKeyError as error:
        raise _damaged(f"snapshot {head.snapshot_id.hex()}: its manifest", str(error)) from None


_NEXT_STEP: dict[type[KmsError], str] = {
    KmsUnreachableError: "Restore again once the KMS can be reached.",
    KeyDisabledError: "Re-enable the key, and restore again.",
    KeyPendingDeletionError: "Cancel the deletion of the key, enable it, and restore again.",
    KeyNotFoundError: "Bring the key back; if it was deleted, this is final, and nothing else opens this snapshot.",
    KeyDestroyedError: "This is final: nothing else can open this snapshot.",
    KmsCredentialsError: "Renew the credentials, and restore again.",
    KmsPermissionError: "Give the permission back at the KMS, and restore again.",
    PassphraseError: "Restore again with the passphrase of that day.",
    CiphertextError: "Bring back the manifest, or the key, of that day, or use another snapshot.",
}


def _explain(head: ManifestHead, error: KmsError, key: str = "the key of its day") -> KmsError:
    """Return an error of the same type that tells which snapshot needs which key, and what to do."""
    name, step = head.snapshot_id.hex(), _NEXT_STEP.get(type(error), "Restore again once it is mended.")
    return type(error)(
        f"snapshot {name} cannot be restored without {key}: {what_failed(error)}. Nothing was restored. {step}"
    )


@contextmanager
def _damage(where: str) -> Iterator[None]:
    """Turn what a wrong or changed part raises into `SnapshotDamagedError` about `where`."""
    try:
        yield
    except (NotDecodableError, WrapDamagedError, WrongKeyError) as error:
        raise _damaged(where, str(error)) from None


def _damaged(where: str, found: str) -> SnapshotDamagedError:
    return SnapshotDamagedError(f"{where} is damaged: {cause_of(found)}. Nothing was restored; use another snapshot.")


class _DigestReader:
    """Passes reads on and keeps the SHA-256 of everything read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._digest = file, hashlib.sha256()

    def read(self, length: int) -> bytes:
        data = self._file.read(length)
        self._digest.update(data)
        return data

    def readinto(self, buffer: memoryview) -> int:
        count: int = self._file.readinto(buffer)  # type: ignore[attr-defined]
        self._digest.update(buffer[:count])
        return count

    def digest(self) -> bytes:
        return self._digest.digest()
