"""Keys of the tests at Google's surface: names, and one line to make a key of any algorithm."""

from typing import Any

from google.auth.credentials import AnonymousCredentials
from google.cloud import kms
from google.protobuf.field_mask_pb2 import FieldMask

from tests.emulator.running import Running

LOCATION = "projects/p/locations/global"
RING = f"{LOCATION}/keyRings/r"
Client = Any  # its own types say protobuf where proto-plus gives datetime and int
Purpose: Any = kms.CryptoKey.CryptoKeyPurpose
Algorithm: Any = kms.CryptoKeyVersion.CryptoKeyVersionAlgorithm
State: Any = kms.CryptoKeyVersion.CryptoKeyVersionState


def make(client: Client, purpose: str, algorithm: str, key_id: str = "k", **settings: Any) -> str:
    """Create a key and return the name of its first version."""
    described = {"purpose": Purpose[purpose], "version_template": {"algorithm": Algorithm[algorithm]}, **settings}
    key = client.create_crypto_key(parent=RING, crypto_key_id=key_id, crypto_key=described)
    return f"{key.name}/cryptoKeyVersions/1"


def switch(client: Client, version: str, state: str) -> None:
    """Enable or disable a version."""
    client.update_crypto_key_version(
        crypto_key_version=kms.CryptoKeyVersion(name=version, state=State[state]),
        update_mask=FieldMask(paths=["state"]),
    )


def client_of(emulator: Running) -> Client:
    """Return a client over the emulator's own channel, which lives as long as it does."""
    over_grpc = kms.KeyManagementServiceClient.get_transport_class("grpc")
    return kms.KeyManagementServiceClient(transport=over_grpc(channel=emulator.channel))


def rest_client(http: Running, credentials: Any = None) -> Client:
    """Return a client of the REST form over HTTP, with the credentials or none."""
    transport: Any = kms.KeyManagementServiceClient.get_transport_class("rest")
    anonymous = AnonymousCredentials()  # type: ignore[no-untyped-call]
    host = str(http.server.url).removeprefix("http://")
    made = transport(host=host, url_scheme="http", credentials=credentials or anonymous)
    return kms.KeyManagementServiceClient(transport=made)
