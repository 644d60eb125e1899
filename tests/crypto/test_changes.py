"""Sealing the pages of a commit in one call, against the library page by page and the layout of a record's rows."""

from random import Random
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keystore.crypto.kernel import KERNEL
from keystore.crypto.secret import SecretKey
from keystore.format.entry import encode_aad
from keystore.format.layout import TREE_PAGES
from keystore.format.record import encode_change

ORIGIN = b"o" * 16
KEY = bytes(range(32))


def arguments(count: int, page_size: int = 4096, **changed: Any) -> dict[str, Any]:
    """Return the arguments of a call that is right, but for what is `changed`."""
    random = Random(count)
    right = {
        "pages": [random.randbytes(page_size) for _ in range(count)],
        "page_size": page_size,
        "aad": encode_aad(TREE_PAGES, 0, ORIGIN, 0),
        "drawn": b"d" * 8,
        "counter": 70_000,
        "session": 7,
        "page_nos": [random.getrandbits(40) for _ in range(count)],
        "slots": [random.getrandbits(50) for _ in range(count)],
        "out": bytearray(b"\xaa" * (count * page_size + 16)),
    }
    return right | changed


def seal(given: dict[str, Any]) -> bytes:
    with SecretKey(KEY) as key:
        try:
            return KERNEL.seal_changes(key, *given.values())
        finally:
            KERNEL.forget(key)


@pytest.mark.parametrize(("count", "page_size"), [(0, 4096), (1, 65536), (2, 16), (3, 4096), (64, 4096)])
def test_seals_as_the_library_does_page_by_page(count: int, page_size: int) -> None:
    given = arguments(count, page_size)
    rows, ciphertext = [], []
    for index in range(count):
        nonce = given["drawn"] + (given["counter"] + index).to_bytes(4, "little")
        aad = encode_aad(TREE_PAGES, 0, ORIGIN, given["page_nos"][index])
        sealed = AESGCM(KEY).encrypt(nonce, given["pages"][index], aad)
        ciphertext.append(sealed[:page_size])
        rows.append(encode_change(given["page_nos"][index], given["slots"][index], 7, nonce, sealed[page_size:]))
    assert seal(given) == b"".join(rows)
    assert given["out"][: count * page_size] == b"".join(ciphertext)


def test_pages_may_be_any_bytes_and_out_longer() -> None:
    given = arguments(3)
    wanted = seal(given)
    mixed = [given["pages"][0], memoryview(bytearray(given["pages"][1])), memoryview(b"x" + given["pages"][2])[1:]]
    again = given | {"pages": mixed, "out": bytearray(b"\xaa" * 20_000)}
    assert seal(again) == wanted
    assert again["out"][: 3 * 4096] == given["out"][: 3 * 4096]
    assert again["out"][3 * 4096 + 16 :] == b"\xaa" * (20_000 - 3 * 4096 - 16)


@pytest.mark.parametrize(
    "wrong",
    [
        {"pages": [bytes(4096), bytes(4095)]},
        {"pages": [bytes(4096), bytes(4097)]},
        {"pages": [bytes(4096)]},
        {"page_size": 0},
        {"aad": bytes(39)},
        {"drawn": bytes(9)},
        {"page_nos": [1]},
        {"slots": [1, 2, 3]},
        {"counter": (1 << 32) - 1},
        {"out": bytearray(b"\xaa" * (2 * 4096 + 15))},
    ],
    ids=lambda wrong: "-".join(wrong),
)
def test_wrong_arguments_are_refused_before_the_first_byte(wrong: dict[str, Any]) -> None:
    given = arguments(2) | wrong
    with pytest.raises((ValueError, OverflowError)):
        seal(given)
    assert set(given["out"]) == {0xAA}


def test_a_wiped_key_seals_nothing() -> None:
    given, key = arguments(1), SecretKey(KEY)
    key.wipe()
    with pytest.raises(ValueError, match="wiped"):
        KERNEL.seal_changes(key, *given.values())
    assert set(given["out"]) == {0xAA}


def test_the_last_counter_is_used() -> None:
    given = arguments(2, counter=(1 << 32) - 2)
    assert seal(given)[48 + 28 : 48 + 32] == b"\xff" * 4
