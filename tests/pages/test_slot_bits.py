"""Bits of a block of the slot map, few and many, against sets of numbers."""

from itertools import groupby
from random import Random

import pytest

from keystore.pages import slot_bits

BITS = 8 * 64


def numbers_in(bits: bytearray) -> set[int]:
    return {at for at in range(8 * len(bits)) if bits[at >> 3] >> (at & 7) & 1}


def runs_of(busy: set[int], start: int, stop: int) -> list[tuple[int, int]]:
    runs = []
    for is_busy, group in groupby(range(start, stop), lambda at: at in busy):
        members = list(group)
        if not is_busy:
            runs.append((members[0], members[-1] + 1))
    return runs


@pytest.mark.parametrize("count", [0, 1, slot_bits.FEW, slot_bits.FEW + 1, 300])
def test_few_and_many_bits_are_set_and_cleared(count: int) -> None:
    random, bits, first = Random(count), bytearray(BITS // 8), 1 << 40
    there = random.sample(range(BITS), count)
    slot_bits.set_bits(bits, [first + at for at in there], first)
    assert numbers_in(bits) == set(there)
    assert slot_bits.count(bits) == count
    assert slot_bits.last_set(bits) == max(there, default=-1)
    gone = there[: -(-count // 2)]
    slot_bits.clear_bits(bits, [first + at for at in gone], first)
    assert numbers_in(bits) == set(there) - set(gone)


def test_bits_of_another_block_are_joined_and_taken_out() -> None:
    one, other = bytearray(8), bytearray(8)
    slot_bits.set_bits(one, [1, 9, 63], 0)
    slot_bits.set_bits(other, [9, 10], 0)
    slot_bits.set_all(one, other)
    assert numbers_in(one) == {1, 9, 10, 63}
    slot_bits.clear_all(one, other)
    assert numbers_in(one) == {1, 63}


@pytest.mark.parametrize("density", [0.0, 0.02, 0.5, 0.98, 1.0])
def test_runs_of_clear_bits_are_found_between_any_two(density: float) -> None:
    random = Random(density)
    busy = {at for at in range(BITS) if random.random() < density}
    bits = bytearray(BITS // 8)
    slot_bits.set_bits(bits, sorted(busy), 0)
    for _ in range(200):
        start = random.randrange(BITS)
        stop = random.randint(start, BITS)
        assert list(slot_bits.clear_runs(bits, start, stop)) == runs_of(busy, start, stop)
