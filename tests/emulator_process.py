"""The real emulator as a process of its own, shared by the tests of one pytest process, and what to do to its keys."""

import secrets
from collections.abc import Iterator
from contextlib import closing
from typing import TypeAlias

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from keystore_api.admin.v1 import admin_pb2
from keystore_api.admin.v1.admin_pb2_grpc import AdminStub

from kms_emulator.cli.clouds.aws import AwsKeys
from kms_emulator.cli.clouds.azure import AzureKeys
from kms_emulator.cli.clouds.gcp import GcpKeys
from kms_emulator.cli.uris import AwsUri, AzureUri, GcpUri
from tests.emulator.running import process

CLOUDS = ("aws", "azure", "gcp")
KEY_RING = "projects/local-project/locations/global/keyRings/local-ring"
TIMEOUT_S = 30.0

CloudUri: TypeAlias = AwsUri | AzureUri | GcpUri


class Emulator:
    """A running emulator; keys are named by their URI.

    `endpoint` is its gRPC, `urls` where each cloud's own SDK finds it, `ca` the certificate that they trust.
    """

    def __init__(self, endpoint: str, urls: dict[str, str], ca: str, channel: grpc.Channel) -> None:
        self.endpoint, self.urls, self.ca, self._channel = endpoint, urls, ca, channel
        self.url = urls["aws"]
        self._admin = AdminStub(channel)

    def create_key(self, provider: str) -> str:
        """Make a key in the shape of a cloud and return its URI."""
        name = "k" + secrets.token_hex(8)
        if provider == "aws":
            return AwsKeys(self._channel, "us-east-1").create("", "").uri
        if provider == "azure":
            return AzureKeys(self._channel, "local-vault").create(name, 2048).uri
        return GcpKeys(self._channel, KEY_RING).create(name).uri

    def disable(self, uri: str) -> None:
        keys, key = _of(self._channel, uri)
        keys.disable(key)  # type: ignore[arg-type]

    def enable(self, uri: str) -> None:
        keys, key = _of(self._channel, uri)
        keys.enable(key)  # type: ignore[arg-type]

    def schedule_deletion(self, uri: str) -> None:
        keys, key = _of(self._channel, uri)
        keys.schedule_deletion(key, None)  # type: ignore[arg-type]

    def cancel_deletion(self, uri: str) -> None:
        keys, key = _of(self._channel, uri)
        keys.cancel_deletion(key)  # type: ignore[arg-type]

    def rotate(self, uri: str) -> str:
        """Make new material and return the URI of the new version."""
        keys, key = _of(self._channel, uri)
        return keys.rotate(key).uri  # type: ignore[arg-type]

    def advance(self, days: int) -> None:
        """Move the emulator's clock."""
        by = Duration(seconds=days * 86400)
        self._admin.AdvanceClock(admin_pb2.AdvanceClockRequest(by=by), timeout=TIMEOUT_S)

    def calls(self, key: str = "") -> list[admin_pb2.Call]:
        """Return the log of calls, of one key or all."""
        request = admin_pb2.ListCallsRequest(key=key, limit=10000)
        return list(self._admin.ListCalls(request, timeout=TIMEOUT_S).calls)


def _of(channel: grpc.Channel, uri: str) -> tuple[AwsKeys | AzureKeys | GcpKeys, CloudUri]:
    provider, _, rest = uri.partition("://")
    if provider == "aws":
        region, _, key = rest.partition("/")
        return AwsKeys(channel, region), AwsUri(region, key)
    if provider == "azure":
        vault, name, version = rest.split("/")
        return AzureKeys(channel, vault), AzureUri(vault, name, version)
    key, _, version = rest.partition("/cryptoKeyVersions/")
    return GcpKeys(channel, KEY_RING), GcpUri(key, int(version or 0))


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """The emulator of this pytest process; ends with it."""
    folder = tmp_path_factory.mktemp("emulator")
    with process(folder) as running, closing(grpc.insecure_channel(running.endpoint)) as channel:
        ready = {name: str(place) for name, place in running.ready.items()}
        urls = {"aws": ready["aws"], "azure": ready["azure"], "gcp": f"https://{ready['gcp_tls']}"}
        yield Emulator(running.endpoint, urls, ready["ca"], channel)
