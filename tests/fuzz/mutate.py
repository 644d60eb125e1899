"""Changes genuine bytes a little, as accidents and attackers do."""

from random import Random
from typing import Final

NUMBERS: Final = (0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, 2**64 - 1)
"""Where lengths and counts overflow."""

CHANGES_MAX = 4
BYTES_MAX = 1 << 16
"""LIMIT: bytes of what is made; more shows nothing new, and costs time."""


def mutated(data: bytes, other: bytes, random: Random) -> bytes:
    """Return `data` with up to `CHANGES_MAX` changes; `other` is something of the same kind to take parts from."""
    out = bytearray(data)
    for _ in range(random.randint(1, CHANGES_MAX)):
        random.choice((_flip, _set_number, _cut, _repeat, _insert, _splice))(out, other, random)
    return bytes(out[:BYTES_MAX])


def _place(out: bytearray, random: Random) -> int:
    return random.randrange(len(out) + 1)


def _flip(out: bytearray, _: bytes, random: Random) -> None:
    if out:
        out[random.randrange(len(out))] ^= 1 << random.randrange(8)


def _set_number(out: bytearray, _: bytes, random: Random) -> None:
    size, at = random.choice((1, 2, 4, 8)), _place(out, random)
    number = random.choice(NUMBERS) & (1 << 8 * size) - 1
    out[at : at + size] = number.to_bytes(size, random.choice(("little", "big")))


def _cut(out: bytearray, _: bytes, random: Random) -> None:
    at = _place(out, random)
    del out[at : at + random.choice((1, 4, 16, 1 << 16))]


def _repeat(out: bytearray, _: bytes, random: Random) -> None:
    at = _place(out, random)
    out[at:at] = out[at : at + random.choice((1, 4, 16, 80))] * random.choice((1, 3, 40))


def _insert(out: bytearray, _: bytes, random: Random) -> None:
    at = _place(out, random)
    out[at:at] = random.randbytes(random.choice((1, 4, 16)))


def _splice(out: bytearray, other: bytes, random: Random) -> None:
    if other:
        start = random.randrange(len(other))
        part = other[start : start + random.choice((4, 16, 64))]
        at = _place(out, random)
        out[at : at + len(part)] = part
