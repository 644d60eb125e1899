"""Grant tokens: each names a grant. A grant holds at once here, so that a token is checked, and needed for nothing."""

import base64
import binascii
from collections.abc import Iterable

from kms_emulator.model.grants import Grant
from kms_emulator.wire.aws.errors import aws_error

_MAGIC = b"KMSG\x01"
_UID_BYTES, _ID_BYTES = 16, 32


def token_of(grant: Grant) -> str:
    """Return the token of a grant."""
    return base64.b64encode(_MAGIC + grant.key_uid + bytes.fromhex(grant.id)).decode()


def read_token(token: str) -> tuple[bytes, str]:
    """Return the key's uid and the grant's id, of a grant that may have ended; InvalidGrantTokenException."""
    try:
        raw = base64.b64decode(token, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != len(_MAGIC) + _UID_BYTES + _ID_BYTES or not raw.startswith(_MAGIC):
        raise aws_error("InvalidGrantTokenException", "The grant token is not valid.")
    rest = raw[len(_MAGIC) :]
    return rest[:_UID_BYTES], rest[_UID_BYTES:].hex()


def check_tokens(request: object) -> None:
    """Refuse a request that carries a token which was never given out; InvalidGrantTokenException."""
    tokens: Iterable[str] = getattr(request, "grant_tokens", ())
    for token in tokens:
        read_token(token)
