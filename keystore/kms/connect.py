"""Gives the client for a key URI."""

import os
from collections.abc import Callable

from keystore.crypto.secret import SecretKey
from keystore.errors import KmsEndpointError
from keystore.kms.aws import AwsKms
from keystore.kms.azure import AzureKms
from keystore.kms.channel import ENDPOINT_ENVIRONMENT, open_channel
from keystore.kms.gcp import GcpKms
from keystore.kms.local import KeyFileKms, PassphraseKms
from keystore.kms.protocol import Kms, KmsConnector
from keystore.kms.uri import KeyUri, parse


def connect(
    uri: KeyUri | str,
    endpoint: str | None = None,
    passphrase: Callable[[], SecretKey] | None = None,
) -> Kms:
    """Return the client for `uri`; nothing is asked of the KMS yet, and the caller closes it.

    Args:
        endpoint: HOST:PORT of the KMS's gRPC on this machine; default the environment's `KEYSTORE_KMS_ENDPOINT`.
        passphrase: asks for a passphrase; default the environment's `KEYSTORE_PASSPHRASE`.

    Raises:
        KeyUriError: `uri` cannot be parsed.
        KmsEndpointError: there is no endpoint, or it is not on this machine.
    """
    key = parse(uri) if isinstance(uri, str) else uri
    if key.provider == "local":
        return PassphraseKms(key, passphrase) if key.passphrase else KeyFileKms(key)
    address = endpoint or os.environ.get(ENDPOINT_ENVIRONMENT)
    if not address:
        raise KmsEndpointError(
            f"{key}: no KMS endpoint is known. Start one with `kms-emulator serve` and set {ENDPOINT_ENVIRONMENT} to "
            "its HOST:PORT. Nothing was sent."
        )
    channel = open_channel(address)
    if key.provider == "aws":
        return AwsKms(key, channel)
    if key.provider == "azure":
        return AzureKms(key, channel)
    return GcpKms(key, channel)


def connector(endpoint: str | None = None, passphrase: Callable[[], SecretKey] | None = None) -> KmsConnector:
    """Return a function that gives the client for a key URI, all with the same `endpoint` and `passphrase`."""
    return lambda uri: connect(uri, endpoint, passphrase)
