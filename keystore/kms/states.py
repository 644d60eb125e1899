"""In which state a customer master key is right now: the one that wrapped a key, whatever an alias points at by now.

It is asked for to be shown. Whether a wrapped key opens is told by `unwrap` alone.
"""

from contextlib import closing
from dataclasses import dataclass

from keystore.errors import (
    InputError,
    KeyDestroyedError,
    KeyDisabledError,
    KeyNotFoundError,
    KeyPendingDeletionError,
    KmsCredentialsError,
    KmsError,
    KmsPermissionError,
    KmsUnreachableError,
    cause_of,
)
from keystore.format.wrapped import WrappedKey
from keystore.kms.protocol import KmsConnector
from keystore.kms.uri import parse

UNREACHABLE = "unreachable"
NOT_ASKED = "not asked"

_WORDS: tuple[tuple[type[KmsError], str], ...] = (
    (KmsUnreachableError, UNREACHABLE),
    (KeyDisabledError, "disabled"),
    (KeyPendingDeletionError, "pending deletion"),
    (KeyDestroyedError, "destroyed"),
    (KeyNotFoundError, "not found"),
    (KmsPermissionError, "permission missing"),
    (KmsCredentialsError, "credentials refused"),
)


@dataclass(frozen=True)
class KeyNow:
    """What the KMS says of a key.

    Attributes:
        state: its own word, such as `Enabled` or `DESTROY_SCHEDULED`; or why there is none, such as `unreachable`.
        problem: the message that came instead of a state, or nothing.
    """

    state: str
    problem: str = ""


def key_now(wrapped: WrappedKey, connect: KmsConnector) -> KeyNow:
    """Ask the KMS in which state the key is that made `wrapped`; one call. A passphrase is not asked for."""
    uri = uri_of(wrapped)
    try:
        if parse(uri).passphrase:
            return KeyNow(NOT_ASKED, "a passphrase has no state")
        with closing(connect(uri)) as kms:
            return KeyNow(kms.describe().state)
    except KmsError as error:
        word = next((word for kind, word in _WORDS if isinstance(error, kind)), "unusable")
        return KeyNow(word, cause_of(error))
    except InputError as error:  # no endpoint, no SDK, a key URI that nobody can parse any more
        return KeyNow(NOT_ASKED, cause_of(error))


def uri_of(wrapped: WrappedKey) -> str:
    """Return the URI of the key, or version, that the KMS used, where it said so; else what was configured."""
    if not wrapped.key_version:
        return wrapped.key_id
    if wrapped.provider == "aws":
        region = [*wrapped.key_version.split(":"), "", "", "", ""][3]
        return f"aws://{region}/{wrapped.key_version}"
    if wrapped.provider == "gcp":
        return f"gcp://{wrapped.key_version}"
    return wrapped.key_version if wrapped.provider == "azure" else wrapped.key_id
