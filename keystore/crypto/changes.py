"""Seals the pages of a commit, each from a buffer of its own, on the `cryptography` package; one call for each page."""

from collections.abc import Callable, Sequence

from keystore.crypto.protocols import NONCE_BYTES, TAG_BYTES
from keystore.format.entry import AAD_BYTES
from keystore.format.record import encode_change

_NUMBER_AT = AAD_BYTES - 8
_DRAWN_BYTES = NONCE_BYTES - 4


def seal_changes(
    encrypt_into: Callable[..., int],
    pages: Sequence[bytes | memoryview],
    page_size: int,
    aad: bytes,
    drawn: bytes,
    counter: int,
    session: int,
    page_nos: Sequence[int],
    slots: Sequence[int],
    out: bytearray,
) -> bytes:
    """As `PageKernel.seal_changes`; `encrypt_into` is that of the key."""
    count = len(pages)
    if page_size < TAG_BYTES or (len(page_nos), len(slots)) != (count, count) or counter + count > 1 << 32:
        given = f"{len(page_nos)} numbers, {len(slots)} slots, from seal {counter} on"
        raise ValueError(f"{count} pages of {page_size} bytes with {given}")
    if (len(aad), len(drawn)) != (AAD_BYTES, _DRAWN_BYTES) or any(len(page) != page_size for page in pages):
        raise ValueError(f"pages have {page_size} bytes, associated data {AAD_BYTES}, what is drawn {_DRAWN_BYTES}")
    if len(out) < count * page_size + TAG_BYTES:
        raise ValueError(f"out has {len(out)} bytes; at least {count * page_size + TAG_BYTES} are needed")
    place, context, rows = memoryview(out), aad[:_NUMBER_AT], []
    for index in range(count):
        page_no, start, end = page_nos[index], index * page_size, (index + 1) * page_size
        nonce = drawn + (counter + index).to_bytes(4, "little")
        # The tag comes behind the page, where the next one begins: it is lifted first.
        encrypt_into(nonce, pages[index], context + page_no.to_bytes(8, "little"), place[start : end + TAG_BYTES])
        rows.append(encode_change(page_no, slots[index], session, nonce, bytes(place[end : end + TAG_BYTES])))
    return b"".join(rows)
