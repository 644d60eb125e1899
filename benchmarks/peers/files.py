"""Libraries that seal files, and ours: 16 MiB sealed to a synced file and opened, beside a plain file."""

import io
import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

from keystore.bench.result import Result

PIECE_BYTES = 1 << 20
TURNS = 5


@dataclass(frozen=True)
class Ways:
    """How a file is written, durable on return, and how it is read; both of all its bytes."""

    write: Callable[[Path, bytes], None]
    read: Callable[[Path], int]


@dataclass(frozen=True)
class FileLibrary:
    distribution: str
    ways: Callable[[], Ways]

    def measure(self, place: Path, label: str, total_bytes: int) -> Iterator[Result]:
        """Yield writing and reading; the plain file takes turns with it."""
        data = random.Random(1).randbytes(total_bytes)
        kinds = {"sealed": self.ways(), "plain": Ways(_write_plain, _read_plain)}
        took: dict[tuple[str, str], list[float]] = {}
        for turn in range(TURNS):
            for kind, ways in kinds.items():
                path = place / f"{kind}-{turn}"
                start = time.perf_counter()
                ways.write(path, data)
                written = time.perf_counter()
                read = ways.read(path)
                took.setdefault((kind, "write"), []).append(written - start)
                took.setdefault((kind, "read"), []).append(time.perf_counter() - written)
                assert read == total_bytes
                path.unlink()
        for what in ("write", "read"):
            seconds = median(took["sealed", what])
            ratio = median(took["plain", what]) / seconds
            yield Result(f"peer: {what} a file", label, 0, 1, seconds, total_bytes / seconds / 1e9, of_plain=ratio)


def _write_plain(path: Path, data: bytes) -> None:
    with path.open("wb", buffering=0) as file:
        for at in range(0, len(data), PIECE_BYTES):
            file.write(data[at : at + PIECE_BYTES])
        os.fsync(file.fileno())


def _read_plain(path: Path) -> int:
    with path.open("rb", buffering=0) as file:
        return _drain(file)


def _drain(file: Any) -> int:
    total = 0
    while piece := file.read(PIECE_BYTES):
        total += len(piece)
    return total


def _ours() -> Ways:
    from keystore.pages.file import EncryptedFile
    from keystore.pages.store import PageStore
    from keystore.testing import ThrowawayKeys

    keys = ThrowawayKeys()

    def write(path: Path, data: bytes) -> None:
        with PageStore.create(path, name="f", keys=keys) as store, EncryptedFile(store) as file:
            for at in range(0, len(data), PIECE_BYTES):
                file.write(data[at : at + PIECE_BYTES])

    def read(path: Path) -> int:
        with PageStore.open(path, name="f", keys=keys) as store, EncryptedFile(store) as file:
            return _drain(file)

    return Ways(write, read)


def _tink() -> Ways:
    tink, streaming = import_module("tink"), import_module("tink.streaming_aead")
    streaming.register()
    template = streaming.streaming_aead_key_templates.AES256_GCM_HKDF_1MB
    primitive = tink.new_keyset_handle(template).primitive(streaming.StreamingAead)

    def write(path: Path, data: bytes) -> None:
        with path.open("wb") as raw:
            with primitive.new_encrypting_stream(_Kept(raw), b"") as sealed:
                for at in range(0, len(data), PIECE_BYTES):
                    sealed.write(data[at : at + PIECE_BYTES])
            raw.flush()
            os.fsync(raw.fileno())

    def read(path: Path) -> int:
        with path.open("rb") as raw, primitive.new_decrypting_stream(raw, b"") as opened:
            return _drain(opened)

    return Ways(write, read)


class _Kept(io.RawIOBase):
    """A file that is written through, and not closed with what writes to it, because it must be synced first."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        written: int = self._file.write(data)
        return written


def _aws() -> Ways:
    sdk = import_module("aws_encryption_sdk")
    raw = import_module("aws_encryption_sdk.key_providers.raw")
    identifiers = import_module("aws_encryption_sdk.identifiers")

    class Provider(raw.RawMasterKeyProvider):  # type: ignore[misc, name-defined]
        provider_id = "benchmark"

        def _get_raw_key(self, key_id: bytes) -> Any:
            wrapping = import_module("aws_encryption_sdk.internal.crypto.wrapping_keys")
            return wrapping.WrappingKey(
                wrapping_algorithm=identifiers.WrappingAlgorithm.AES_256_GCM_IV12_TAG16_NO_PADDING,
                wrapping_key=bytes(range(32)),
                wrapping_key_type=identifiers.EncryptionKeyType.SYMMETRIC,
            )

    provider = Provider()
    provider.add_master_key(b"key")
    suite = identifiers.Algorithm.AES_256_GCM_HKDF_SHA512_COMMIT_KEY
    client = sdk.EncryptionSDKClient()

    def write(path: Path, data: bytes) -> None:
        options = {"key_provider": provider, "algorithm": suite, "frame_length": 16384}
        with path.open("wb") as out, client.stream(mode="e", source=io.BytesIO(data), **options) as sealed:
            for piece in iter(lambda: sealed.read(PIECE_BYTES), b""):
                out.write(piece)
            out.flush()
            os.fsync(out.fileno())

    def read(path: Path) -> int:
        with path.open("rb") as source, client.stream(mode="d", source=source, key_provider=provider) as opened:
            return _drain(opened)

    return Ways(write, read)


FILES: dict[str, FileLibrary] = {
    "keystore, a file": FileLibrary("cmk-keystore", _ours),
    "Tink streaming AEAD": FileLibrary("tink", _tink),
    "AWS Encryption SDK": FileLibrary("aws-encryption-sdk", _aws),
}
