"""Every decoder gives a value or a typed refusal, in bounded memory, whatever the bytes; `make fuzz` tries more."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.mutate import mutated
from tests.fuzz.target import CORPUS, GENUINE, Target
from tests.fuzz.targets import TARGETS

# Always the same examples: a landing is not the place for a new find.
FIXED = settings(derandomize=True, database=None, max_examples=100, deadline=None)
MUTATIONS = 250

every_target = pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS.keys())


def test_every_target_has_a_corpus_and_the_other_way_round() -> None:
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)


@every_target
def test_genuine_bytes_decode_and_known_harm_does_none(target: Target) -> None:
    seeds = target.seeds()
    assert any(name.startswith(GENUINE) for name, _ in seeds)
    for name, data in seeds:
        accepted = target.try_bounded(data)
        assert accepted or not name.startswith(GENUINE), (
            f"{name} is refused; after a change of the format: python -m tests.fuzz.corpus"
        )


@every_target
def test_arbitrary_bytes(target: Target) -> None:
    @FIXED
    @given(st.binary(max_size=5000))
    def run(data: bytes) -> None:
        target.try_out(data)

    run()


@every_target
def test_mutated_genuine_bytes(target: Target) -> None:
    random, seeds = Random(1), [data for _, data in target.seeds()]
    for _ in range(MUTATIONS):
        target.try_bounded(mutated(random.choice(seeds), random.choice(seeds), random))
