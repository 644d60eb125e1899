"""Ciphertexts, contexts, scheduled rotation, and that nothing shows a secret."""

import pickle
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kms_emulator.model import envelope, lifecycle
from kms_emulator.model.context import encode_fields, encode_map
from kms_emulator.model.errors import (
    CiphertextError,
    KeyMissingError,
    LengthError,
    NameTakenError,
    VersionStateError,
)
from kms_emulator.model.keys import Key, KeyKind, Schedule, VersionState
from kms_emulator.model.material import Material, RsaPadding
from kms_emulator.model.registry import ROTATIONS_PER_ELAPSE_MAX, Registry
from kms_emulator.model.store import MemoryStore, StoredState

DAY = 86_400 * 10**9
MAPS = st.dictionaries(st.text(max_size=4), st.text(max_size=4), max_size=3)


@pytest.fixture
def registry() -> Registry:
    return Registry(MemoryStore(), StoredState())


def new_key(registry: Registry, name: str = "k", schedule: Schedule | None = None) -> Key:
    key = registry.create("cloud", name, KeyKind.AES_256, 0, schedule=schedule)
    return registry.add_version(key, registry.new_aes(), 0)


def open_named(registry: Registry, ciphertext: bytes) -> bytes:
    key, version = registry.named_in("cloud", ciphertext)
    return registry.open(key, version.number, ciphertext, b"c")


@given(MAPS, MAPS)
def test_context_encoding_is_one_to_one(one: dict[str, str], other: dict[str, str]) -> None:
    assert (encode_map(one) == encode_map(other)) == (one == other)


def test_context_does_not_join_keys_and_values(registry: Registry) -> None:
    key = new_key(registry)
    sealed = registry.seal(key, 1, b"secret", encode_map({"a": "bc"}))
    assert registry.open(key, 1, sealed, encode_map({"a": "bc"})) == b"secret"
    for other in ({"ab": "c"}, {"a": "bc", "": ""}, {"a": "b"}, {}, {"A": "bc"}):
        with pytest.raises(CiphertextError):
            registry.open(key, 1, sealed, encode_map(other))


def test_context_order_does_not_matter() -> None:
    assert encode_map({"a": "1", "b": "2"}) == encode_map({"b": "2", "a": "1"})


def test_ciphertext_has_the_documented_layout(registry: Registry) -> None:
    key = new_key(registry)
    sealed = registry.seal(key, 1, b"12345", b"")
    assert sealed[:4] == b"KMS\x01"
    assert sealed[4:20] == key.uid
    assert struct.unpack(">I", sealed[20:24]) == (1,)
    assert len(sealed) == 5 + envelope.OVERHEAD_BYTES == 5 + 24 + 12 + 16


def test_same_plaintext_twice_differs(registry: Registry) -> None:
    key = new_key(registry)
    assert registry.seal(key, 1, b"x", b"") != registry.seal(key, 1, b"x", b"")


def test_any_changed_bit_is_refused(registry: Registry) -> None:
    key = new_key(registry)
    key = registry.add_version(key, registry.new_aes(), 1)
    sealed = registry.seal(key, 1, b"secret", b"c")
    for position in range(len(sealed) * 8):
        changed = bytearray(sealed)
        changed[position // 8] ^= 1 << position % 8
        with pytest.raises((CiphertextError, KeyMissingError)):
            open_named(registry, bytes(changed))


def test_any_truncation_is_refused(registry: Registry) -> None:
    key = new_key(registry)
    sealed = registry.seal(key, 1, b"secret", b"c")
    for length in range(len(sealed)):
        with pytest.raises(CiphertextError):
            open_named(registry, sealed[:length])


def test_version_number_in_ciphertext_is_authenticated(registry: Registry) -> None:
    key = new_key(registry)
    key = registry.add_version(key, registry.new_aes(), 1)
    sealed = registry.seal(key, 1, b"secret", b"")
    moved = sealed[:20] + struct.pack(">I", 2) + sealed[24:]
    with pytest.raises(CiphertextError):
        registry.open(key, 2, moved, b"")


def test_foreign_realm_cannot_name_a_key(registry: Registry) -> None:
    sealed = registry.seal(new_key(registry), 1, b"secret", b"")
    with pytest.raises(CiphertextError):
        registry.named_in("another cloud", sealed)


def test_old_material_opens_after_rotation(registry: Registry) -> None:
    key = new_key(registry)
    old = registry.seal(key, 1, b"old", b"")
    key = registry.add_version(key, registry.new_aes(), 1)
    new = registry.seal(key, 2, b"new", b"")
    assert (registry.open(key, 1, old, b""), registry.open(key, 2, new, b"")) == (b"old", b"new")


def test_name_is_free_again_after_removal_and_uid_is_not(registry: Registry) -> None:
    key = new_key(registry)
    sealed = registry.seal(key, 1, b"secret", b"")
    with pytest.raises(NameTakenError):
        registry.create("cloud", "k", KeyKind.AES_256, 0)
    registry.remove(key)
    assert new_key(registry).uid != key.uid
    with pytest.raises(KeyMissingError):
        registry.named_in("cloud", sealed)


def test_schedule_rotates_and_keeps_its_beat(registry: Registry) -> None:
    new_key(registry, schedule=Schedule(30 * DAY, 30 * DAY))
    registry.elapse(95 * DAY)
    key = registry.key("cloud", "k")
    assert [version.created_ns for version in key.versions] == [0, 30 * DAY, 60 * DAY, 90 * DAY]
    assert (key.primary, key.schedule) == (4, Schedule(30 * DAY, 120 * DAY))


def test_schedule_is_bounded(registry: Registry) -> None:
    new_key(registry, schedule=Schedule(DAY, DAY))
    registry.elapse(5000 * DAY)
    key = registry.key("cloud", "k")
    assert len(key.versions) == 1 + ROTATIONS_PER_ELAPSE_MAX
    assert key.schedule == Schedule(DAY, 5001 * DAY)


def test_destroyed_material_is_gone(registry: Registry) -> None:
    key = new_key(registry)
    sealed = registry.seal(key, 1, b"secret", b"")
    registry.put(lifecycle.schedule_destroy(key, 1, DAY, 0))
    registry.elapse(DAY)
    key = registry.key("cloud", "k")
    assert (key.versions[0].state, key.versions[0].destroyed_ns) == (VersionState.DESTROYED, DAY)
    with pytest.raises(VersionStateError):
        registry.open(key, 1, sealed, b"")
    assert (key.uid, 1) not in registry._materials


@pytest.mark.parametrize(("pad", "length_max"), [(RsaPadding.OAEP_SHA256, 190), (RsaPadding.OAEP_SHA1, 214)])
def test_rsa_holds_what_its_padding_leaves(pad: RsaPadding, length_max: int) -> None:
    material = Material.generate_rsa(KeyKind.RSA_2048)
    full = bytes(range(length_max))
    sealed = material.rsa_encrypt(full, pad)
    assert (len(sealed), material.rsa_decrypt(sealed, pad)) == (256, full)
    with pytest.raises(LengthError, match=str(length_max)):
        material.rsa_encrypt(full + b"x", pad)
    for wrong in (sealed[:-1], sealed + b"x", bytes(256), sealed[:-1] + bytes([sealed[-1] ^ 1])):
        with pytest.raises(CiphertextError):
            material.rsa_decrypt(wrong, pad)
    other = RsaPadding.OAEP_SHA1 if pad is RsaPadding.OAEP_SHA256 else RsaPadding.OAEP_SHA256
    with pytest.raises(CiphertextError):
        material.rsa_decrypt(sealed, other)


def test_material_shows_nothing() -> None:
    material = Material(KeyKind.AES_256, b"\x5a" * 32)
    assert repr(material) == "<Material aes-256>"
    assert "Z" * 4 not in f"{material} {material!r}"
    with pytest.raises(TypeError, match="pickled"):
        pickle.dumps(material)


def test_material_of_another_kind_is_refused(registry: Registry) -> None:
    key = registry.create("cloud", "rsa", KeyKind.RSA_2048, 0)
    with pytest.raises(ValueError, match="rsa-2048"):
        registry.add_version(key, registry.new_aes(), 0)


def test_fields_carry_their_length() -> None:
    assert encode_fields(b"ab", b"") == b"\0\0\0\2ab\0\0\0\0"
