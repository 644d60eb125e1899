"""Tells what a file is from its clear parts: no key, no KMS, and no word about what is sealed."""

from pathlib import Path
from typing import Any

from keystore.errors import InputError, PathMissingError
from keystore.format import keyfile, layout, manifest, pack, volume
from keystore.format.anchors import MAGIC as ANCHORS_MAGIC
from keystore.format.anchors import RECORD_BYTES
from keystore.format.block import HEADER, NotABlockError, Prelude
from keystore.format.cursor import NotDecodableError
from keystore.format.wrapped import WrappedKey
from keystore.keys.files import Files
from keystore.node.places import is_snapshots
from keystore.objects.directory import DirectoryPlace
from keystore.snapshots.names import snapshot_ids

MAGIC_BYTES = 8


def describe(path: Path) -> dict[str, Any]:
    """Return what the clear parts of `path` say: `kind`, then whatever that kind shows; `problem` where it is damaged.

    Raises:
        PathMissingError: it is not there.
        InputError: it cannot be read, or nothing of ours is in it.
    """
    try:
        if path.is_dir():
            return _describe_directory(path)
        start = Files().read(path, layout.RESERVED_BYTES)[: layout.RESERVED_BYTES]
        size = path.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        raise PathMissingError(f"there is no file {path}. Nothing was changed; check the path.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}. Nothing was changed.") from None
    known: dict[bytes, Any] = {
        layout.MAGIC: _describe_store,
        keyfile.MAGIC: _describe_keyfile,
        manifest.MAGIC: _describe_manifest,
        pack.MAGIC: _describe_pack,
        volume.MAGIC: _describe_volume,
    }
    describe_kind = known.get(start[:MAGIC_BYTES])
    if describe_kind is None and start[: len(ANCHORS_MAGIC)] == ANCHORS_MAGIC:
        describe_kind = _describe_anchors
    if describe_kind is None:
        begins = f"begins with {start[:MAGIC_BYTES].hex(' ')}" if start else "is empty"
        raise InputError(
            f"{path} is no page store, keystore file, anchors file, volume key, manifest or pack: it {begins}. Nothing "
            "was changed; a store or pack under a volume layer cannot be told from noise."
        )
    found: dict[str, Any] = describe_kind(path, start)
    return {**found, "bytes": size}


def _describe_directory(path: Path) -> dict[str, Any]:
    if (path / "keystore").is_file():
        found = {"kind": "node directory", "keystore": describe(path / "keystore")}
        return found | ({"volume": describe(path / "volume")} if (path / "volume").is_file() else {})
    if is_snapshots(path):
        return {"kind": "snapshot target", "snapshots": [entry.hex() for entry in snapshot_ids(DirectoryPlace(path))]}
    raise InputError(f"{path} is a directory and neither a node nor a place of snapshots. Nothing was changed.")


def _describe_store(path: Path, start: bytes) -> dict[str, Any]:
    headers: list[Prelude] = []
    problems = []
    for offset in layout.HEADER_OFFSETS:
        try:
            headers.append(Prelude.decode(start[offset : offset + layout.BLOCK_BYTES], HEADER))
        except NotABlockError as error:
            problems.append(f"header copy at {offset}: {error}")
    if not headers:
        return {"kind": "page store", "problem": "; ".join(problems)}
    newest = max(headers, key=lambda header: header.checkpoint)
    found: dict[str, Any] = {
        "kind": "page store",
        "version": layout.VERSION,
        "store_id": newest.store_id.hex(),
        "page_size": newest.page_size,
        "epoch": newest.epoch,
        "sequence_at_checkpoint": newest.sequence,
        "checkpoint": newest.checkpoint,
        "data_key_generation": newest.generation,
    }
    return {**found, "problem": "; ".join(problems)} if problems else found


def _describe_keyfile(path: Path, start: bytes) -> dict[str, Any]:
    try:
        parts = keyfile.split(_read(path, keyfile.FILE_BYTES_MAX))
    except NotDecodableError as error:
        return {"kind": "keystore file", "problem": str(error)}
    head = parts.head
    return {
        "kind": "keystore file",
        "version": parts.version,
        "node_id": head.node_id.hex(),
        "file_generation": head.file_generation,
        "master_key_generation": head.master_generation,
        "written_ns": head.written_ns,
        **_describe_wrapped(head.wrapped),
    }


def _describe_manifest(path: Path, start: bytes) -> dict[str, Any]:
    try:
        parts = manifest.ManifestParts.split(_read(path, manifest.MANIFEST_BYTES_MAX))
        head = manifest.ManifestHead.decode(parts.head)
    except NotDecodableError as error:
        return {"kind": "snapshot manifest", "problem": str(error)}
    return {
        "kind": "snapshot manifest",
        "version": manifest.VERSION,
        "snapshot_id": head.snapshot_id.hex(),
        "node_id": head.node_id.hex(),
        "parent": head.parent.hex() if head.parent != manifest.NO_PARENT else None,
        "snapshot_kind": head.kind.name.lower(),
        "created_ns": head.created_ns,
        **({"expires_ns": head.expires_ns} if head.expires_ns else {}),
        "logical_bytes": head.logical_bytes,
        "signer": head.signer.hex(),
        "credential": head.credential,
        "log_segment": head.log.number or None,
        "master_key_generation": head.era,
        **_describe_wrapped(head.wrapped),
        "volume_encryption_key_id": head.volume.wrapped.key_id if head.volume else None,
        "packs": [
            {"pack_id": row.pack_id.hex(), "bytes": row.byte_length, "sha256": row.digest.hex()} for row in head.packs
        ],
    }


def _describe_pack(path: Path, start: bytes) -> dict[str, Any]:
    try:
        header = pack.PackHeader.decode(start[: pack.HEADER_BYTES])
    except NotDecodableError as error:
        return {"kind": "snapshot pack", "problem": str(error)}
    return {
        "kind": "snapshot pack",
        "version": pack.VERSION,
        "pack_id": header.pack_id.hex(),
        "store_id": header.store_id.hex(),
        "page_size": header.page_size,
    }


def _describe_volume(path: Path, start: bytes) -> dict[str, Any]:
    try:
        record = volume.VolumeRecord.decode(_read(path, volume.RECORD_BYTES_MAX))
    except NotDecodableError as error:
        return {"kind": "volume key", "problem": str(error)}
    return {
        "kind": "volume key",
        "version": volume.VERSION,
        "volume_id": record.volume_id.hex(),
        "generation": record.generation,
        **_describe_wrapped(record.wrapped),
    }


def _describe_anchors(path: Path, start: bytes) -> dict[str, Any]:
    return {"kind": "anchors file", "records": path.stat().st_size // RECORD_BYTES}


def _read(path: Path, bytes_max: int) -> bytes:
    try:
        data = Files().read(path, bytes_max)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}. Nothing was changed.") from None
    if len(data) > bytes_max:
        raise NotDecodableError(f"it has more than {bytes_max} bytes")
    return data


def _describe_wrapped(wrapped: WrappedKey) -> dict[str, Any]:
    return {
        "provider": wrapped.provider,
        "encryption_key_id": wrapped.key_id,
        "key_version": wrapped.key_version,
        "wrapped_key_bytes": len(wrapped.ciphertext),
    }
