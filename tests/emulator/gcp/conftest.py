"""Google's own client, unmodified, over an insecure channel to a fresh emulator with one key ring; or one with HTTP."""

from collections.abc import Iterator

import grpc
import pytest
from google.cloud import kms

from kms_emulator.core import Core
from tests.emulator.gcp.keys import LOCATION, Client
from tests.emulator.running import Running


@pytest.fixture
def client(running: Running) -> Iterator[Client]:
    transport = kms.KeyManagementServiceClient.get_transport_class("grpc")
    channel = grpc.insecure_channel(running.server.endpoint)
    client: Client = kms.KeyManagementServiceClient(transport=transport(channel=channel))
    client.create_key_ring(parent=LOCATION, key_ring_id="r", key_ring={})
    yield client
    channel.close()


@pytest.fixture
def http() -> Iterator[Running]:
    emulator = Running(Core(), http=True)
    yield emulator
    emulator.stop()
