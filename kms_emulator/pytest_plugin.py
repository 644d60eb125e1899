"""The pytest plugin: fixtures `kms_emulator`, `aws_kms_client`, `azure_key_client` and `gcp_kms_client`.

It is loaded in every pytest run of an environment that has this package. So nothing but pytest is imported here; the
emulator is, when the first test asks for it.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from azure.keyvault.keys import KeyClient
    from google.cloud.kms import KeyManagementServiceClient
    from mypy_boto3_kms import KMSClient

    from kms_emulator.embedded import KmsEmulator

SEED_FILE_OPTION = "kms_emulator_seed_file"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini(
        SEED_FILE_OPTION, "YAML or JSON file of users and keys that the kms_emulator fixture begins with.", "paths"
    )


@pytest.fixture(scope="session")
def _kms_emulator_server(pytestconfig: pytest.Config) -> "Iterator[KmsEmulator]":
    """The one emulator of this process: with pytest-xdist each worker has its own."""
    from kms_emulator.embedded import KmsEmulator

    files = pytestconfig.getini(SEED_FILE_OPTION)
    if len(files) > 1:
        raise pytest.UsageError(f"{SEED_FILE_OPTION} takes one file")
    if files and not files[0].is_file():
        raise pytest.UsageError(f"{SEED_FILE_OPTION} names {files[0]}, which is not a file; name the seed there is")
    with KmsEmulator(seed_file=files[0] if files else None) as emulator:
        yield emulator


@pytest.fixture
def kms_emulator(_kms_emulator_server: "KmsEmulator") -> "KmsEmulator":
    """A KMS emulator in its first state: the seed's keys or none, no calls, no faults, the host's time."""
    _kms_emulator_server.reset()
    return _kms_emulator_server


@pytest.fixture
def aws_kms_client(kms_emulator: "KmsEmulator") -> "Iterator[KMSClient]":
    """A boto3 client for KMS that talks to the emulator of `kms_emulator`."""
    client = kms_emulator.boto3_client("kms")
    yield client
    client.close()


@pytest.fixture
def azure_key_client(kms_emulator: "KmsEmulator") -> "Iterator[KeyClient]":
    """A client of azure-keyvault-keys for the first vault of the emulator of `kms_emulator`."""
    client = kms_emulator.azure.key_client()
    yield client
    client.close()


@pytest.fixture
def gcp_kms_client(
    kms_emulator: "KmsEmulator", request: pytest.FixtureRequest
) -> "Iterator[KeyManagementServiceClient]":
    """A client of google-cloud-kms for the emulator of `kms_emulator`, over gRPC.

    Parametrized indirectly it speaks over ``grpc-tls`` or ``rest``.
    """
    client = kms_emulator.gcp.kms_client(getattr(request, "param", "grpc"))
    yield client
    transport: Any = client.transport  # its close has no types
    transport.close()
