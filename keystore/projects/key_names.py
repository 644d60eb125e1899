"""The Encryption Key ID of a snapshot: the Key Identifier as the project had it configured, out of its key URI.

aws://eu-west-1/KEY                          KEY, an id or ARN
https://VAULT.vault.azure.net/keys/K/V       the same
gcp://projects/…/cryptoKeyVersions/N         projects/…/cryptoKeyVersions/N
"""

from keystore.kms.uri import parse


def key_identifier(key_uri: str) -> str:
    """Return the Key Identifier of a customer's key URI."""
    uri = parse(key_uri)
    if uri.provider == "aws":
        return uri.key
    return key_uri.removeprefix("gcp://")


def region_of(key_uri: str) -> str:
    """Return the region of a key at AWS; nothing for others."""
    uri = parse(key_uri)
    return uri.place if uri.provider == "aws" else ""
