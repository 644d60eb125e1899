"""Asks a KMS whether a customer master key can be used, before anything depends on it.

A KMS sees random probes here, never a master key. The three permissions that are used are the three that are checked:
describe, encrypt, decrypt.
"""

from contextlib import closing

from keystore.crypto.secret import SecretKey
from keystore.errors import CiphertextError, InputError, KeyDisabledError
from keystore.kms.protocol import SECRET_BYTES, KmsConnector
from keystore.kms.uri import KeyUri, parse

PROBE_CONTEXT = {"purpose": "probe"}


def require_enabled(key_uri: str, connect: KmsConnector) -> None:
    """Ask for the state of a key; one call, and none for a passphrase, which has no state.

    Raises:
        KmsError: nobody answers, or the key is not to be used.
    """
    if parse(key_uri).passphrase:
        return
    with closing(connect(key_uri)) as kms:
        found = kms.describe()
    if not found.usable:
        raise KeyDisabledError(
            f"{key_uri}: the key's state is {found.state}. Nothing was changed; make it usable again in the KMS."
        )


def require_usable(key_uri: str, connect: KmsConnector) -> None:
    """Have a key wrap and unwrap a random probe.

    Raises:
        KmsError: nobody answers, or something is refused, by name.
    """
    require_enabled(key_uri, connect)
    with (
        closing(connect(key_uri)) as kms,
        SecretKey.generate(SECRET_BYTES) as probe,
        kms.unwrap(kms.wrap(probe, PROBE_CONTEXT), PROBE_CONTEXT) as returned,
    ):
        if returned != probe:
            raise CiphertextError(
                f"{key_uri}: the KMS unwrapped other bytes than it was given. Nothing was changed; ask whoever runs it."
            )


def require_successor(current: str, new: str) -> None:
    """Make sure that a new key can follow the current one: another key, at the same provider, in the same vault.

    Raises:
        KeyUriError: it cannot be parsed.
        InputError: it is another provider's, in another vault, or the same key.
    """
    former, wanted = parse(current), parse(new)
    if former.provider != wanted.provider:
        raise InputError(
            f"{new} is a key of {wanted.provider}, and the cluster's is one of {former.provider}. Nothing was changed; "
            "turn customer keys off, then on under the new key."
        )
    if former.provider == "azure" and former.place != wanted.place:
        raise InputError(
            f"{new} is in the vault {wanted.place}, and the cluster's vault is {former.place}. Nothing was changed; "
            "make the new key in the same vault."
        )
    if _identity(former) == _identity(wanted):
        raise InputError(
            f"{new} is the key that the cluster is under already. Nothing was changed; for new master keys under it, "
            "rotate."
        )


def _identity(uri: KeyUri) -> tuple[str, str, str]:
    """Return what names the key, without what of it may be written in two ways."""
    key = uri.key.rpartition("/")[2] if uri.provider == "aws" else uri.key
    return uri.place, key.lower() if uri.provider == "azure" else key, uri.version
