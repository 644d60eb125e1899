"""Gives the client for a key URI.

An endpoint chooses the wire: HOST:PORT is the emulator's gRPC, which needs no SDK; a URL, or no endpoint at all, is
the cloud's own SDK.
"""

from typing import Protocol, TypeVar

from keystore.errors import KmsSetupError
from keystore.kms import aws_boto3, aws_grpc, azure_grpc, azure_sdk, gcp_grpc, gcp_sdk
from keystore.kms.aws import AwsKms
from keystore.kms.azure import AzureKms
from keystore.kms.channel import open_channel
from keystore.kms.credentials import AwsCredentials, AzureCredentials, Credentials, GcpCredentials
from keystore.kms.credentials_file import Section
from keystore.kms.endpoints import ca_file, endpoint_of, is_url, source_address
from keystore.kms.gcp import GcpKms
from keystore.kms.local import AskPassphrase, KeyFileKms, PassphraseKms
from keystore.kms.protocol import Kms
from keystore.kms.uri import KeyUri, parse

Kind = TypeVar("Kind", AwsCredentials, AzureCredentials, GcpCredentials)


def connect(
    uri: KeyUri | str,
    endpoint: str | None = None,
    passphrase: AskPassphrase | None = None,
    credentials: Credentials | None = None,
    source: str | None = None,
) -> Kms:
    """Return the client for `uri`; nothing is asked of the KMS yet, and the caller closes it.

    Args:
        endpoint: HOST:PORT of an emulator's gRPC on this machine, or a URL for the cloud's SDK; default the
            environment's `KEYSTORE_AWS_ENDPOINT`, `KEYSTORE_AZURE_ENDPOINT` or `KEYSTORE_GCP_ENDPOINT`, then
            `KEYSTORE_KMS_ENDPOINT`. Without any, keys are looked for in the cloud itself.
        passphrase: asks for a passphrase; default the environment's `KEYSTORE_PASSPHRASE`.
        credentials: who calls, for a cloud's SDK; default what the SDK finds.
        source: the address of this machine that connections to Azure come from; default the environment's
            `KEYSTORE_SOURCE_ADDRESS`, then any.

    Raises:
        KeyUriError: `uri` cannot be parsed.
        KmsEndpointError: secrets would cross a network in clear on the way to the endpoint.
        KmsSetupError: the cloud's SDK is missing or cannot be set up, or the credentials are not for this key.
    """
    key = parse(uri) if isinstance(uri, str) else uri
    if key.provider == "local":
        return PassphraseKms(key, passphrase) if key.passphrase else KeyFileKms(key)
    found = endpoint_of(key.provider, endpoint)
    if found is not None and not is_url(found):
        if credentials is not None:
            raise KmsSetupError(
                f"{key}: gRPC at {found} carries no credentials. Nothing was sent; name the emulator's URL instead."
            )
        return _over_grpc(key, found)
    return _by_sdk(key, found, credentials, source_address(source))


class KnownCredentials(Protocol):
    """Credentials by name, of which at most one for each cloud is in use."""

    def section(self, name: str) -> Section | None:
        """Return the section of that name, or None."""
        ...

    def present(self, provider: str) -> Section | None:
        """Return the section that is in use for a provider, or None: then its SDK finds some."""
        ...


class Connector:
    """Gives the client for a key URI; a `KmsConnector` that knows credentials by name."""

    def __init__(
        self,
        endpoint: str | None,
        passphrase: AskPassphrase | None,
        credentials: KnownCredentials | None,
        source: str | None,
    ) -> None:
        self._endpoint, self._passphrase, self._credentials = endpoint, passphrase, credentials
        self._source = source

    def use(self, credentials: KnownCredentials) -> None:
        """Let these stand in for those that were known, for every client from now on."""
        self._credentials = credentials

    def __call__(self, key_id: str) -> Kms:
        section = self._present(key_id)
        return self._connect(key_id, section.credentials if section else None)

    def reference(self, key_id: str) -> str:
        """Return the name of the credentials in use for a key; empty where they have none."""
        section = self._present(key_id)
        return section.name if section else ""

    def by_reference(self, key_id: str, reference: str) -> Kms | None:
        """Return the client for a key under credentials of that name; None where they are not known here."""
        key = parse(key_id)
        known = self._credentials
        section = known.section(reference) if known else None
        if section is None or section.provider != key.provider:
            return None
        found = endpoint_of(key.provider, self._endpoint)
        if found is not None and not is_url(found):
            return None  # gRPC carries none
        return self._connect(key_id, section.credentials)

    def _connect(self, key_id: str, credentials: Credentials | None) -> Kms:
        return connect(key_id, self._endpoint, self._passphrase, credentials, self._source)

    def _present(self, key_id: str) -> Section | None:
        known = self._credentials
        return known.present(parse(key_id).provider) if known else None


def connector(
    endpoint: str | None = None,
    passphrase: AskPassphrase | None = None,
    credentials: KnownCredentials | None = None,
    source: str | None = None,
) -> Connector:
    """Return what gives the client for a key URI, all with the same arguments; see `connect`."""
    return Connector(endpoint, passphrase, credentials, source)


def _over_grpc(key: KeyUri, address: str) -> Kms:
    channel = open_channel(address)
    if key.provider == "aws":
        return AwsKms(key, aws_grpc.GrpcWire(channel, key.place))
    if key.provider == "azure":
        return AzureKms(key, azure_grpc.GrpcWire(channel, key.place))
    return GcpKms(key, gcp_grpc.GrpcWire(channel))


def _by_sdk(key: KeyUri, url: str | None, given: Credentials | None, source: str | None) -> Kms:
    ca = ca_file() if url is not None else None
    if key.provider == "aws":
        return AwsKms(key, aws_boto3.open_wire(key.place, url, _of_kind(key, given, AwsCredentials), ca))
    if key.provider == "azure":
        application = _of_kind(key, given, AzureCredentials)
        return AzureKms(key, azure_sdk.open_wire(key.place, url, application, ca, source))
    return GcpKms(key, gcp_sdk.open_wire(url, _of_kind(key, given, GcpCredentials), ca))


def _of_kind(key: KeyUri, given: Credentials | None, kind: type[Kind]) -> Kind | None:
    """Return the credentials if they are for the key's cloud."""
    if given is None or isinstance(given, kind):
        return given
    raise KmsSetupError(f"{key}: {type(given).__name__} are not for this key. Nothing was sent.")
