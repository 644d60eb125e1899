"""Master keys: bound to node and generation whatever the KMS binds, proven before they are used."""

from collections.abc import Mapping

import pytest

from keystore.crypto.secret import SecretKey
from keystore.errors import CiphertextError, WrongKeyError
from keystore.format.wrapped import WrappedKey
from keystore.keys.fingerprint import key_name
from keystore.keys.master import generate_master, master_context, open_master

NODE, OTHER = b"n" * 16, b"o" * 16


class UnboundKms:
    """A KMS that binds no context and checks nothing, as RSA wrapping does; keeps what it saw."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int, dict[str, str]]] = []

    def wrap(self, secret: SecretKey, context: Mapping[str, str]) -> WrappedKey:
        self.seen.append(("wrap", len(secret), dict(context)))
        return WrappedKey("azure", "azure://v/k/1", "kid", bytes(b ^ 0x5A for b in secret.view()))

    def unwrap(self, wrapped: WrappedKey, context: Mapping[str, str]) -> SecretKey:
        self.seen.append(("unwrap", len(wrapped.ciphertext), dict(context)))
        return SecretKey(bytes(b ^ 0x5A for b in wrapped.ciphertext))


class LossyKms(UnboundKms):
    """Gives back something else than it was given."""

    def unwrap(self, wrapped: WrappedKey, context: Mapping[str, str]) -> SecretKey:
        return SecretKey.generate()


def test_master_key_comes_back() -> None:
    kms = UnboundKms()
    master = generate_master(kms, NODE, 1)
    assert open_master(kms, master.wrapped, NODE, 1, master.commitment).key == master.key


@pytest.mark.row("R7")
def test_kms_sees_32_bytes_that_are_not_the_master_key() -> None:
    kms = UnboundKms()
    master = generate_master(kms, NODE, 1)
    assert kms.seen == [("wrap", 32, master_context(NODE, 1)), ("unwrap", 32, master_context(NODE, 1))]
    with kms.unwrap(master.wrapped, {}) as secret:
        assert secret != master.key


@pytest.mark.parametrize(("node", "generation"), [(OTHER, 1), (NODE, 2), (NODE, 11)])
def test_another_context_gives_no_key_even_if_the_kms_binds_none(node: bytes, generation: int) -> None:
    kms = UnboundKms()
    master = generate_master(kms, NODE, 1)
    with pytest.raises(WrongKeyError, match="another node, or was changed"):
        open_master(kms, master.wrapped, node, generation, master.commitment)


@pytest.mark.parametrize("at", range(32))
def test_any_other_secret_is_told_by_the_commitment(at: int) -> None:
    kms = UnboundKms()
    master = generate_master(kms, NODE, 1)
    changed = bytearray(master.wrapped.ciphertext)
    changed[at] ^= 1
    wrapped = WrappedKey("azure", master.wrapped.key_id, "kid", bytes(changed))
    with pytest.raises(WrongKeyError):
        open_master(kms, wrapped, NODE, 1, master.commitment)


def test_kms_that_does_not_give_back_what_it_wrapped_is_refused() -> None:
    with pytest.raises(CiphertextError, match="did not give back"):
        generate_master(LossyKms(), NODE, 1)


def test_each_master_key_is_new() -> None:
    kms = UnboundKms()
    first, second = generate_master(kms, NODE, 1), generate_master(kms, NODE, 2)
    assert first.key != second.key
    assert first.wrapped.ciphertext != second.wrapped.ciphertext


def test_snapshot_keys_differ_and_are_derived_without_the_kms() -> None:
    kms = UnboundKms()
    master = generate_master(kms, NODE, 1)
    calls = len(kms.seen)
    one, again, two = (master.snapshot_key(number) for number in (b"1" * 16, b"1" * 16, b"2" * 16))
    assert one == again
    assert one != two
    assert one != master.key
    assert len(kms.seen) == calls


def test_names_for_people_tell_keys_apart_and_reveal_nothing() -> None:
    one, two = SecretKey.generate(), SecretKey.generate()
    assert key_name(one) == key_name(one) != key_name(two)
    assert len(key_name(one)) == 16
    assert key_name(one) not in bytes(one.view()).hex()
