"""Repeated randomness: the same seed gives the same of everything, another seed another, and a reset begins again."""

import pytest

from kms_emulator.core import Core
from kms_emulator.model.entropy import SEED_MAX, RepeatedEntropy
from kms_emulator.model.keypairs import PAIRS, RSA_BITS, read_private
from kms_emulator.model.keys import KeyKind
from kms_emulator.model.repeated import generate

QUICK = [*sorted(PAIRS - set(RSA_BITS), key=lambda kind: kind.value), KeyKind.RSA_2048]


def some_work(core: Core) -> tuple[bytes, bytes]:
    key = core.registry.create("aws", "us-east-1/k", KeyKind.AES_256, 1)
    key = core.registry.add_version(key, core.registry.new_aes(), 1)
    return key.uid, core.registry.seal(key, 1, b"plaintext", b"context")


def test_ids_materials_and_ciphertexts_repeat() -> None:
    first, second, other = (some_work(Core(entropy=RepeatedEntropy(seed))) for seed in (42, 42, 43))
    assert first == second
    assert first[0] != other[0]
    assert first[1] != other[1]


def test_reset_begins_again() -> None:
    core = Core(entropy=RepeatedEntropy(42))
    first = some_work(core)
    core.reset()
    assert some_work(core) == first


def test_nonces_of_one_run_differ() -> None:
    entropy = RepeatedEntropy(1)
    assert len({entropy(12) for _ in range(1000)}) == 1000


@pytest.mark.parametrize("kind", QUICK)
def test_key_pairs_repeat_and_are_of_their_kind(kind: KeyKind) -> None:
    made = generate(kind, RepeatedEntropy(7))
    assert made == generate(kind, RepeatedEntropy(7))
    assert made != generate(kind, RepeatedEntropy(8))
    read_private(kind, made)
    core = Core(entropy=RepeatedEntropy(7))
    assert core.registry.new_material(kind).to_stored() == made


@pytest.mark.parametrize("seed", [-1, SEED_MAX + 1])
def test_seeds_have_bounds(seed: int) -> None:
    with pytest.raises(ValueError, match="a seed is"):
        RepeatedEntropy(seed)
