"""Gives the client for a key URI."""

from keystore.errors import KmsEndpointError
from keystore.kms.aws import AwsKms, AwsWire
from keystore.kms.aws_boto3 import open_wire
from keystore.kms.aws_grpc import GrpcWire
from keystore.kms.azure import AzureKms
from keystore.kms.channel import open_channel
from keystore.kms.endpoints import ENDPOINT_ENVIRONMENT, aws_endpoint, grpc_endpoint, is_url
from keystore.kms.gcp import GcpKms
from keystore.kms.local import AskPassphrase, KeyFileKms, PassphraseKms
from keystore.kms.protocol import Kms, KmsConnector
from keystore.kms.uri import KeyUri, parse


def connect(
    uri: KeyUri | str,
    endpoint: str | None = None,
    passphrase: AskPassphrase | None = None,
) -> Kms:
    """Return the client for `uri`; nothing is asked of the KMS yet, and the caller closes it.

    Args:
        endpoint: HOST:PORT of the KMS's gRPC on this machine, or for AWS keys a URL; default the environment's
            `KEYSTORE_AWS_ENDPOINT` (AWS keys only), then `KEYSTORE_KMS_ENDPOINT`. Without any, AWS keys are looked for
            at AWS.
        passphrase: asks for a passphrase; default the environment's `KEYSTORE_PASSPHRASE`.

    Raises:
        KeyUriError: `uri` cannot be parsed.
        KmsEndpointError: there is no endpoint, or secrets would cross a network in clear on the way there.
        KmsSetupError: the key is at AWS, and boto3 is missing or cannot be set up.
    """
    key = parse(uri) if isinstance(uri, str) else uri
    if key.provider == "local":
        return PassphraseKms(key, passphrase) if key.passphrase else KeyFileKms(key)
    if key.provider == "aws":
        return AwsKms(key, _aws_wire(key.place, aws_endpoint(endpoint)))
    address = grpc_endpoint(endpoint)
    if not address:
        raise KmsEndpointError(
            f"{key}: no KMS endpoint is known. Start one with `kms-emulator serve` and set {ENDPOINT_ENVIRONMENT} to "
            "its HOST:PORT. Nothing was sent."
        )
    channel = open_channel(address)
    return AzureKms(key, channel) if key.provider == "azure" else GcpKms(key, channel)


def connector(endpoint: str | None = None, passphrase: AskPassphrase | None = None) -> KmsConnector:
    """Return a function that gives the client for a key URI, all with the same `endpoint` and `passphrase`."""
    return lambda uri: connect(uri, endpoint, passphrase)


def _aws_wire(region: str, endpoint: str | None) -> AwsWire:
    """Return AWS's own protocol for a URL or no endpoint, gRPC for HOST:PORT."""
    if endpoint is None or is_url(endpoint):
        return open_wire(region, endpoint)
    return GrpcWire(open_channel(endpoint), region)
