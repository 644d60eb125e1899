"""Access that ends: a principal that is removed is refused on every wire of its cloud, a network on those of all."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError
from botocore.config import Config
from botocore.exceptions import ClientError
from google.api_core.exceptions import Forbidden, GoogleAPICallError, Unauthorized

from kms_emulator.embedded import KmsEmulator

ALLOW_ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "kms:*", "Resource": "*"}]}
LOCATION = "projects/p/locations/global"
Uses = dict[str, Callable[[], object]]
Removals = dict[str, Callable[[], None]]


class World:
    """One principal of each cloud, what it does over each wire, and how it is removed; nobody else may do anything."""

    def __init__(self, emulator: KmsEmulator, closing: ExitStack) -> None:
        self.emulator, self._closing = emulator, closing
        self.uses: Uses = {}
        self.removals: Removals = {}
        self._aws()
        self._azure()
        self._google()

    def refused(self) -> set[str]:
        """Return the wires over which a use is refused, as having no right to it."""
        return {wire for wire, use in self.uses.items() if _is_refused(use)}

    def _aws(self) -> None:
        self.emulator.users.put("app", policy=ALLOW_ALL)
        client = self.emulator.boto3_client("kms", user="app", config=Config(retries={"total_max_attempts": 1}))
        self._closing.callback(client.close)
        sealed = client.encrypt(KeyId=client.create_key()["KeyMetadata"]["KeyId"], Plaintext=b"x")["CiphertextBlob"]
        self.uses["aws"] = lambda: client.decrypt(CiphertextBlob=sealed)
        self.removals["aws"] = lambda: self.emulator.users.remove("app")

    def _azure(self) -> None:
        application = self.emulator.azure.put_application("all")
        keys = self._closing.enter_context(self.emulator.azure.key_client(application=application, retry_total=0))
        keys.create_ec_key("k")
        self.uses["azure"] = lambda: keys.get_key("k")
        self.removals["azure"] = lambda: self.emulator.azure.remove_application(application)

    def _google(self) -> None:
        account = self.emulator.gcp.put_account("app", "roles/owner")
        for transport in ("grpc", "rest"):
            client: Any = self.emulator.gcp.kms_client(transport, account=account)
            self._closing.callback(client.transport.close)
            ring = client.create_key_ring(parent=LOCATION, key_ring_id=transport, key_ring={}).name
            self.uses[f"google {transport}"] = lambda client=client, ring=ring: client.get_key_ring(  # type: ignore[misc]
                name=ring, retry=None
            )
        self.removals["google"] = lambda: self.emulator.gcp.remove_account(account)


def _is_refused(use: Callable[[], object]) -> bool:
    try:
        use()
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 403)
    except HttpResponseError as error:
        return error.status_code in (401, 403)
    except GoogleAPICallError as error:
        return isinstance(error, Forbidden | Unauthorized)
    return False


@pytest.fixture
def world() -> Iterator[World]:
    with KmsEmulator(strict_auth=True) as emulator, ExitStack() as closing:
        yield World(emulator, closing)


@pytest.mark.parametrize("cloud", ["aws", "azure", "google"])
def test_removed_principal_is_refused_on_every_wire_of_its_cloud(world: World, cloud: str) -> None:
    assert world.refused() == set()
    world.removals[cloud]()
    assert world.refused() == {wire for wire in world.uses if wire.startswith(cloud)}


def test_network_that_is_shut_out_is_refused_on_all_wires(world: World) -> None:
    elsewhere = world.emulator.faults.add("addresses", networks=["10.0.0.0/8"])
    assert world.refused() == set(world.uses)
    world.emulator.faults.remove(elsewhere)
    world.emulator.faults.add("addresses", networks=["127.0.0.0/8"])
    assert world.refused() == set()
