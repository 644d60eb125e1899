"""Reads and seals manifests.

Leaves to others: which key is right (`opened`, `parent`), and whether the signer is who it should be (`keystore.node`).
"""

from dataclasses import dataclass

from keystore.crypto.secret import SecretKey
from keystore.crypto.signing import SignatureError, SigningKey, verify
from keystore.crypto.wrap import OVERHEAD_BYTES, unwrap, wrap
from keystore.errors import ObjectDamagedError, ObjectMissingError, SnapshotError, SnapshotMissingError
from keystore.format.cursor import NotDecodableError
from keystore.format.manifest import MANIFEST_BYTES_MAX, ManifestHead, ManifestParts, UnknownVersionError
from keystore.format.snapshot_map import ManifestBody, ManifestKeys
from keystore.objects.place import Place
from keystore.snapshots.damage import damage, damaged
from keystore.snapshots.keys import KEYS_PURPOSE, MAP_PURPOSE
from keystore.snapshots.names import begun_name, manifest_name, partial_name


@dataclass(frozen=True)
class Manifest:
    """A manifest whose clear part was read and whose signature was verified; the rest is sealed."""

    head: ManifestHead
    parts: ManifestParts

    @property
    def where(self) -> str:
        return f"snapshot {self.head.snapshot_id.hex()}: its manifest"

    def open_map(self, map_key: SecretKey) -> ManifestBody:
        """Open the map part.

        Raises:
            SnapshotDamagedError: it was sealed under another key, or says nonsense.
        """
        with damage(self.where):
            data = unwrap(map_key, self.parts.sealed_map, MAP_PURPOSE, self.parts.head)
            return ManifestBody.decode(data, len(self.head.packs))

    def open_keys(self, snapshot_key: SecretKey) -> ManifestKeys:
        """Open the key part; errors as `open_map`."""
        with damage(self.where):
            context = (self.parts.head, self.parts.sealed_map)
            return ManifestKeys.decode(unwrap(snapshot_key, self.parts.sealed_keys, KEYS_PURPOSE, *context))


def read_manifest(place: Place, snapshot_id: bytes) -> Manifest:
    """Read a manifest; needs no key.

    Raises:
        SnapshotMissingError: there is none.
        SnapshotDamagedError: it was changed or cut, or belongs to another snapshot.
        SnapshotError: it has a version that this program does not know.
        PlaceError: the place cannot be read.
    """
    where = f"snapshot {snapshot_id.hex()}: its manifest"
    try:
        data = place.get(manifest_name(snapshot_id), MANIFEST_BYTES_MAX)
    except ObjectMissingError:
        raise _missing(place, snapshot_id) from None
    except ObjectDamagedError as error:
        raise damaged(where, str(error)) from None
    manifest = _decode(data, where)
    if manifest.head.snapshot_id != snapshot_id:
        raise damaged(where, f"it belongs to snapshot {manifest.head.snapshot_id.hex()}")
    return manifest


def read_partial(place: Place, partial_id: bytes) -> Manifest:
    """Read what a snapshot that was cut off had noted: a manifest without data keys; errors as `read_manifest`."""
    where = f"what is noted in {partial_name(partial_id)}"
    try:
        return _decode(place.get(partial_name(partial_id), MANIFEST_BYTES_MAX), where)
    except ObjectMissingError:
        raise SnapshotMissingError(f"{place} has no {partial_name(partial_id)}. Nothing was changed.") from None
    except ObjectDamagedError as error:
        raise damaged(where, str(error)) from None


def _decode(data: bytes, where: str) -> Manifest:
    try:
        parts = ManifestParts.split(data)
        head = ManifestHead.decode(parts.head)
        verify(head.signer, parts.signed, parts.signature)
    except UnknownVersionError as error:
        raise SnapshotError(
            f"{where} cannot be read: {error}. Nothing was changed; use the keystore that wrote it, or a later one."
        ) from None
    except NotDecodableError as error:
        raise damaged(where, str(error)) from None
    except SignatureError as error:
        raise damaged(where, f"its signature is not its signer's: {error}") from None
    return Manifest(head, parts)


def seal_manifest(
    head: ManifestHead,
    body: ManifestBody,
    keys: ManifestKeys,
    *,
    map_key: SecretKey,
    snapshot_key: SecretKey,
    signing: SigningKey,
) -> bytes:
    """Return a whole manifest, signed by `signing`, which is `head.signer`."""
    map_part, key_part = body.encode(), keys.encode()
    encoded = head.encode(len(map_part) + OVERHEAD_BYTES, len(key_part) + OVERHEAD_BYTES)
    sealed_map = wrap(map_key, map_part, MAP_PURPOSE, encoded)
    sealed_keys = wrap(snapshot_key, key_part, KEYS_PURPOSE, encoded, sealed_map)
    return ManifestParts(encoded, sealed_map, sealed_keys, signing.sign(encoded + sealed_map + sealed_keys)).join()


def _missing(place: Place, snapshot_id: bytes) -> SnapshotMissingError:
    if place.length(begun_name(snapshot_id)) is not None:
        return SnapshotMissingError(
            f"snapshot {snapshot_id.hex()} in {place} has no manifest: it was never completed and cannot be restored. "
            f"Nothing was changed; what is left of it may be removed (`keystore snapshot gc`)."
        )
    return SnapshotMissingError(f"{place} has no snapshot {snapshot_id.hex()}. Nothing was changed.")
