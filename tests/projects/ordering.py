"""What is ordered of a cluster that is disabled: updates that wait for its key, in order, and a patch that does not."""

from typing import Any

from tests.agents.running import wait_until
from tests.projects.served import Served
from tests.rest.test_clusters import specs

CHARGED = ("INSTANCE", "STORAGE", "ADVANCED_SECURITY")


def order_updates(served: Served, disk_gb: int, tier: str) -> None:
    """Order three updates, the last of which makes the disk that large; each is shown as waiting."""
    where = f"{served.project}/clusters/orders"
    changes: list[dict[str, Any]] = [{"diskSizeGB": disk_gb + 5}, specs(tier), {"diskSizeGB": disk_gb}]
    for number, change in enumerate(changes):
        submitted = served.api.patch(where, change)
        assert (submitted.status, submitted.body["stateName"]) == (202, "DISABLED")
        assert len(submitted.body["pendingChanges"]) == number + 1


def order_patch(served: Served, version: str) -> None:
    """Have a maintenance version applied: no node starts for it, nobody asks the KMS, and all else goes on."""
    before, hosts, called = _settled(served), served.hosts(), len(served.cloud.kms.calls())
    patched = served.api.post(f"{served.project}/clusters/orders/patch", {"mongoDBVersion": version})
    assert patched.status == 202, patched.body
    wait_until(lambda: served.cluster()["mongoDBVersion"] == version, "the patch")
    assert {**_settled(served), "revision": 0} == {**before, "mongoDBVersion": version, "revision": 0}
    assert served.states() == {"stopped"}
    assert len(served.cloud.kms.calls()) == called
    identities = {name: host.host_id for name, host in hosts.items()}
    assert {name: host.host_id for name, host in served.hosts().items()} == identities
    charged = served.api.get(f"{served.project}/usage").body["results"]
    assert sorted(line["kind"] for line in charged if "end" not in line) == sorted(CHARGED)


def _settled(served: Served) -> dict[str, Any]:
    """Return the cluster once every process is as it is to be, and nobody looks at them."""
    found = served.cluster()

    def is_settled() -> bool:
        nonlocal found
        found = served.cluster()
        return bool(found["processesSettled"])

    wait_until(is_settled, "the end of the processes")
    return found


def require_applied(served: Served, disk_gb: int, tier: str, updates: int) -> None:
    """Make sure that so many updates were applied in all, each once and in the order in which they were submitted."""
    found = served.cluster()
    shown = found["replicationSpecs"][0]["regionConfigs"][0]["electableSpecs"]["instanceSize"]
    assert (found["diskSizeGB"], shown, found["pendingChanges"]) == (disk_gb, tier, [])
    changes = served.api.get(f"{served.project}/clusters/orders/changes").body["results"]
    submitted = [change["id"] for change in changes if change["kind"] == "update"]
    told = served.api.get(f"{served.project}/events?eventType=CLUSTER_UPDATE_COMPLETED").body["results"]
    applied = [event["detail"]["change"] for event in reversed(told) if event["detail"]["kind"] == "update"]
    assert applied == submitted
    assert len(applied) == updates
