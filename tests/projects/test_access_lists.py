"""Nodes behind the firewall of a customer's vault: a new address waits until it is allowed, and touches nobody else."""

import os
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from keystore.agents.supervised import ProcessReport
from keystore.projects.alert_types import NETWORK_ACCESS_DENIED
from keystore.projects.validation import INTERVAL_NS
from kms_emulator.embedded import KmsEmulator
from tests.agents.running import wait_until
from tests.mail_server import serve_mail
from tests.projects.providers import Azure
from tests.projects.served import Served

CONTROL = "127.0.0.1"
"""Where the control process calls from, unless told otherwise."""
OTHER_CONTROL = "127.0.0.41"


class Walled:
    """A served project whose vault answers the addresses of its list only."""

    def __init__(self, served: Served, kms: KmsEmulator) -> None:
        self.served, self.kms, self.allowed = served, kms, set[str]()

    def allow(self, *addresses: str) -> None:
        self.allowed |= set(addresses)
        self.kms.azure.put_vault(networks=[f"{address}/32" for address in sorted(self.allowed)])

    def addresses(self) -> list[str]:
        """Return what the customer is to allow for the cluster's nodes."""
        found = self.served.api.get(f"{self.served.project}/ipAddresses").body["services"]["clusters"]
        (mine,) = (each["outbound"] for each in found if each["clusterName"] == "orders")
        return list(mine)

    def new_address(self, *known: str) -> str:
        """Wait for an address that is not among the known ones."""
        wait_until(lambda: bool(set(self.addresses()) - set(known)), "the new address")
        (new,) = set(self.addresses()) - set(known)
        return new

    def wait_blocked(self, address: str) -> str:
        """Wait until the open change says that an address is to be allowed; return all that it says."""

        def reasons() -> list[str]:
            changes: list[dict[str, Any]] = self.served.cluster()["pendingChanges"]
            return [change.get("reason", "") for change in changes if f"allow {address}" in change.get("reason", "")]

        wait_until(lambda: bool(reasons()), f"{address} to be named")
        return reasons()[0]

    def process(self, name: str) -> ProcessReport:
        return self.served.hosts()[name].processes[name]

    def come_back(self) -> None:
        """Have what waits be tried again, until the cluster is whole."""
        self.served.clock.advance(INTERVAL_NS)
        self.served.wait_for("IDLE")


@pytest.fixture
def walled(tmp_path: Path) -> Iterator[Walled]:
    url = f"sqlite:///{tmp_path / 'control.db'}"
    with (
        KmsEmulator(strict_auth=True) as kms,
        serve_mail() as mailbox,
        closing(Served(tmp_path, kms, url, mailbox.address, cloud=Azure)) as served,
    ):
        yield Walled(served, kms)


@pytest.mark.row("R113", "R114", "R115", "R116", "R127", "R128", "R129")
def test_each_new_address_waits_until_it_is_allowed_and_touches_nobody_else(walled: Walled) -> None:
    served = walled.served
    walled.allow(CONTROL)
    served.configure_and_create()
    first = walled.new_address()
    assert "n1 cannot reach its KMS" in walled.wait_blocked(first)
    assert served.cluster()["stateName"] == "CREATING"
    walled.allow(first)
    walled.come_back()
    before = walled.process("n1")

    region = {"providerName": "GCP", "regionName": "US", "electableSpecs": {"instanceSize": "M10", "nodeCount": 2}}
    grown = {"replicationSpecs": [{"regionConfigs": [region]}]}
    assert served.api.patch(f"{served.project}/clusters/orders", grown).status == 202
    second = walled.new_address(first)
    assert "n2 cannot reach its KMS" in walled.wait_blocked(second)
    assert "n2" not in served.hosts()
    served.clock.advance(INTERVAL_NS)  # it is tried again, and nothing else happens
    walled.wait_blocked(second)
    assert walled.process("n1") == before
    walled.allow(second)
    walled.come_back()
    assert walled.process("n2").state == "running"

    answered = served.api.post(f"{served.project}/clusters/orders/nodes/n2/replace")
    assert answered.status == 202, answered.body
    third = walled.new_address(first, second)
    assert sorted(walled.addresses()) == sorted([first, third])
    walled.allowed.discard(second)
    reason = walled.wait_blocked(third)
    assert "n2" in reason
    wait_until(lambda: walled.process("n2").state == "failed", "the end of a process without its KMS")
    assert walled.process("n1") == before
    assert served.cluster()["stateName"] == "UPDATING"
    walled.allow(third)
    walled.come_back()
    assert walled.process("n2").state == "running"
    assert walled.process("n1") == before

    walled.allowed.discard(first)  # the customer forgets a node, which is noticed when it starts
    walled.allow()
    assert walled.process("n1").state == "running"
    os.kill(before.pid, signal.SIGKILL)
    wait_until(lambda: "Firewall" in walled.process("n1").reason, "n1 to be refused")
    assert walled.process("n2").state == "running"
    walled.allow(first)
    served.clock.advance(INTERVAL_NS)
    wait_until(lambda: walled.process("n1").state == "running", "n1 to come back")
    events = served.api.get(f"{served.project}/events?itemsPerPage=500").body["results"]
    given = [event for event in events if event["eventTypeName"] == "CLUSTER_IP_ADDRESSES_ADDED"]
    assert any(third in str(event) for event in given)
    released = [event for event in events if event["eventTypeName"] == "CLUSTER_IP_ADDRESSES_RELEASED"]
    assert [event["detail"]["ipAddresses"] for event in released] == [[second]]
    control_plane_moves(walled)


def control_plane_moves(walled: Walled) -> None:
    """Have the control plane call from an address that is not allowed, so that it cannot know that a key is revoked."""
    served = walled.served
    served.kill("one")
    served.env["KEYSTORE_SOURCE_ADDRESS"] = OTHER_CONTROL
    served.start("one")
    assert served.api.get("/controlPlaneIPAddresses").body["controlPlane"]["outbound"] == [OTHER_CONTROL]
    served.cloud.ways["disable"][0]()
    served.tick()
    shown = served.api.get(f"{served.project}/encryptionAtRest").body["azureKeyVault"]
    assert (shown["valid"], shown["state"], served.cluster()["stateName"]) == (False, "UNREACHABLE", "IDLE")
    alerts = served.api.get(f"{served.project}/alerts?status=OPEN").body["results"]
    assert [alert["eventTypeName"] for alert in alerts] == [NETWORK_ACCESS_DENIED]
    assert {walled.process(name).state for name in ("n1", "n2")} == {"running"}
    walled.allow(OTHER_CONTROL)
    served.tick()
    served.wait_for("DISABLED")
