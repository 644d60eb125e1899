"""The page kernel on the `cryptography` package, which is always there."""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keystore.crypto.buffers import check_apart, check_arrays, check_length, check_room, check_writable, flat
from keystore.crypto.contexts import AeadContexts
from keystore.crypto.protocols import TAG_BYTES, Buffer, TagMismatchError, U8Array
from keystore.crypto.secret import SecretKey


class PortableKernel:
    """The kernel on the `cryptography` package: one library call for each page, no temporary for each page."""

    name = "portable"

    def __init__(self, contexts: AeadContexts[AESGCM]) -> None:
        self._contexts = contexts

    def seal_pages(
        self,
        key: SecretKey,
        plaintext: Buffer,
        page_size: int,
        nonces: U8Array,
        aads: U8Array,
        out: bytearray | memoryview | U8Array,
        tags: U8Array,
    ) -> None:
        count = check_arrays(page_size, nonces, aads, tags)
        source, target = flat(plaintext, "plaintext"), flat(out, "out")
        check_length(source, "plaintext", count * page_size)
        check_room(target, "out", count * page_size + TAG_BYTES)
        check_writable(tags, "tags")
        for other, what in ((source, "plaintext"), (nonces, "nonces"), (aads, "aads"), (tags, "tags")):
            check_apart(target, other, "out", what)
        encrypt_into = self._contexts.get(key).encrypt_into
        data, sealed, tag_bytes = source.data, target.data, tags.reshape(-1).data
        start = at = 0
        for nonce, aad in zip(_rows(nonces), _rows(aads), strict=True):
            end = start + page_size
            encrypt_into(nonce, data[start:end], aad, sealed[start : end + TAG_BYTES])
            # The next page overwrites these 16 bytes.
            tag_bytes[at : at + TAG_BYTES] = sealed[end : end + TAG_BYTES]
            start, at = end, at + TAG_BYTES

    def open_pages(
        self,
        key: SecretKey,
        ciphertext: Buffer,
        page_size: int,
        nonces: U8Array,
        aads: U8Array,
        tags: U8Array,
        out: bytearray | memoryview | U8Array,
    ) -> None:
        count = check_arrays(page_size, nonces, aads, tags)
        source, target = flat(ciphertext, "ciphertext"), flat(out, "out")
        check_length(source, "ciphertext", count * page_size)
        check_room(target, "out", count * page_size)
        for other, what in ((source, "ciphertext"), (nonces, "nonces"), (aads, "aads"), (tags, "tags")):
            check_apart(target, other, "out", what)
        decrypt_into = self._contexts.get(key).decrypt_into
        data, plain = source.data, target.data
        # The library wants ciphertext and tag in one piece: one scratch page for the whole batch.
        scratch = memoryview(bytearray(page_size + TAG_BYTES))
        page_part, tag_part = scratch[:page_size], scratch[page_size:]
        start = 0
        try:
            for nonce, aad, tag in zip(_rows(nonces), _rows(aads), _rows(tags), strict=True):
                end = start + page_size
                page_part[:] = data[start:end]
                tag_part[:] = tag
                decrypt_into(nonce, scratch, aad, plain[start:end])
                start = end
        except InvalidTag:
            # SAFETY: the library has already written the page that it then rejects.
            target[start : start + page_size] = 0
            raise TagMismatchError(start // page_size) from None

    def forget(self, key: SecretKey) -> None:
        self._contexts.forget(key)


def _rows(array: U8Array) -> list[bytes]:
    """Return the rows of `array` as bytes, which the library takes faster than views."""
    width = array.shape[1]
    whole = array.tobytes()
    return [whole[at : at + width] for at in range(0, len(whole), width)] if width else [b""] * len(array)
