"""Key files and passphrases: what is refused, and how it is told apart."""

import os
import stat
import struct
from hashlib import sha256
from pathlib import Path

import pytest

from keystore.crypto.secret import SecretKey
from keystore.errors import (
    CiphertextError,
    InputError,
    KeyNotFoundError,
    KeyUnusableError,
    KmsPermissionError,
    PassphraseError,
)
from keystore.format.wrapped import WrappedKey
from keystore.kms.connect import connect
from keystore.kms.local import Argon2Cost, PassphraseKms, create_key_file
from keystore.kms.protocol import Kms
from keystore.kms.uri import parse

CONTEXT = {"node": "1"}
CHEAP = Argon2Cost(operations=1, memory_bytes=8192)


def passphrase_kms(text: str, cost: Argon2Cost = CHEAP) -> PassphraseKms:
    return PassphraseKms(parse("local+passphrase:///test"), lambda uri: SecretKey(text.encode()), cost)


def key_file_kms(path: Path) -> Kms:
    return connect(f"local://{path}")


def test_key_file_is_32_random_bytes_for_its_owner_only(tmp_path: Path) -> None:
    previous = os.umask(0)
    try:
        create_key_file(tmp_path / "a")
        create_key_file(tmp_path / "b")
    finally:
        os.umask(previous)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o600
    assert len((tmp_path / "a").read_bytes()) == 32
    assert (tmp_path / "a").read_bytes() != (tmp_path / "b").read_bytes()


def test_key_file_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"something")
    with pytest.raises(InputError, match="never overwritten"):
        create_key_file(tmp_path / "key")
    assert (tmp_path / "key").read_bytes() == b"something"
    with pytest.raises(InputError, match="Nothing was changed"):
        create_key_file(tmp_path / "missing" / "key")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o666])
def test_key_file_that_others_reach_is_refused(tmp_path: Path, mode: int) -> None:
    create_key_file(tmp_path / "key")
    (tmp_path / "key").chmod(mode)
    with pytest.raises(KmsPermissionError, match="chmod 600"):
        key_file_kms(tmp_path / "key").describe()


@pytest.mark.parametrize("length", [0, 1, 31, 33, 64])
def test_file_of_another_length_is_no_key_file(tmp_path: Path, length: int) -> None:
    (tmp_path / "key").write_bytes(bytes(length))
    (tmp_path / "key").chmod(0o600)
    with pytest.raises(KeyUnusableError, match="not a key file"):
        key_file_kms(tmp_path / "key").describe()


def test_directory_and_pipe_are_no_key_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(KeyUnusableError):
            key_file_kms(path).describe()


def test_missing_key_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(KeyNotFoundError, match="bring it back, or for a new node make one"):
        key_file_kms(tmp_path / "key").wrap(SecretKey.generate(), CONTEXT)


def test_wrong_passphrase_is_an_error_of_its_own() -> None:
    with SecretKey.generate() as secret:
        wrapped = passphrase_kms("right").wrap(secret, CONTEXT)
        assert passphrase_kms("right").unwrap(wrapped, CONTEXT) == secret
    with pytest.raises(PassphraseError, match="wrong passphrase"):
        passphrase_kms("Right").unwrap(wrapped, CONTEXT)


def test_empty_passphrase_is_refused() -> None:
    with pytest.raises(PassphraseError, match="empty"):
        passphrase_kms("").describe()


def test_passphrase_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYSTORE_PASSPHRASE", "wörd")
    with SecretKey.generate() as secret:
        wrapped = connect("local+passphrase:///x").wrap(secret, CONTEXT)
        assert passphrase_kms("wörd").unwrap(wrapped, CONTEXT) == secret
    monkeypatch.delenv("KEYSTORE_PASSPHRASE")
    with pytest.raises(PassphraseError, match="KEYSTORE_PASSPHRASE"):
        connect("local+passphrase:///x").describe()


def test_each_wrap_has_its_own_salt() -> None:
    kms = passphrase_kms("word")
    with SecretKey.generate() as secret:
        assert kms.wrap(secret, CONTEXT).ciphertext[:29] != kms.wrap(secret, CONTEXT).ciphertext[:29]


@pytest.mark.parametrize(("operations", "memory_bytes"), [(0, 8192), (65, 8192), (1, 8191), (1, (1 << 30) + 1)])
def test_costs_beyond_the_limits_are_refused(operations: int, memory_bytes: int) -> None:
    """An edited wrapped key, with its checksum made right, must not take the machine's memory."""
    with SecretKey.generate() as secret:
        blob = bytearray(passphrase_kms("word").wrap(secret, CONTEXT).ciphertext)
    struct.pack_into("<IQ", blob, 1, operations, memory_bytes)
    blob[-8:] = sha256(blob[:-8]).digest()[:8]
    with pytest.raises(CiphertextError, match="bytes of memory"):
        passphrase_kms("word").unwrap(WrappedKey("local", "", "", bytes(blob)), CONTEXT)


def test_close_wipes_the_passphrase() -> None:
    held = SecretKey(b"word")
    kms = PassphraseKms(parse("local+passphrase:///x"), lambda uri: held, CHEAP)
    kms.describe()
    kms.close()
    kms.close()
    assert held.wiped


def test_only_secrets_of_32_bytes_are_wrapped(tmp_path: Path) -> None:
    create_key_file(tmp_path / "key")
    for kms in (passphrase_kms("word"), key_file_kms(tmp_path / "key")):
        for length in (0, 16, 31, 33, 4096):
            with pytest.raises(InputError, match="nothing was sent"):
                kms.wrap(SecretKey(bytes(length)), CONTEXT)
