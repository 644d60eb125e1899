"""Orders to the hosts of a cluster: every process down or up, by calls, all hosts at once.

The hosts stay up and answer while their processes are down, and what an order has stopped stays down until an order
starts it, whatever happens to the host. Each order may be given again.

Leaves to others: starting the hosts (`keystore.control.local_hosts`), and when to give which order.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from keystore.agents.host_client import HostClient
from keystore.agents.identity import Role
from keystore.agents.supervised import ProcessReport
from keystore.control.clusters import ROUTER, MemberRecord, NewCluster
from keystore.control.creation import ClusterFiles
from keystore.errors import KeystoreError, cause_of

AT_ONCE_MAX = 8
"""LIMIT: hosts that are asked at the same time."""


@dataclass(frozen=True)
class Told:
    """What a host told of its process; without a report, `problem` is why it told nothing."""

    name: str
    report: ProcessReport | None
    problem: str = ""

    @property
    def runs(self) -> bool:
        return self.report is not None and self.report.state == "running"

    @property
    def is_down(self) -> bool:
        """Whether no process runs, by a report and not by silence."""
        return self.report is not None and not self.report.pid and self.report.state != "starting"

    @property
    def why(self) -> str:
        """Why it does not run."""
        return self.report.reason if self.report is not None else self.problem


class HostOrders:
    """The hosts of one cluster, under the control plane's certificate."""

    def __init__(self, cluster: NewCluster) -> None:
        self._processes = cluster.processes
        self._tls = ClusterFiles(Path(cluster.directory)).tls(Role.CONTROL, "control")

    def reports(self) -> dict[str, Told]:
        """Ask every host how its process is."""
        return self._all(lambda client, name: client.status().processes[name])

    def stop(self) -> dict[str, Told]:
        """Have every process end, and stay down."""
        return self._all(lambda client, name: client.stop(name))

    def start(self, credentials: bytes | None = None) -> dict[str, Told]:
        """Start every process that does not run; return what came of each.

        Args:
            credentials: for the nodes, as `HostClient.start` takes them; a router needs none.
        """
        return self._all(lambda client, name: client.start(name, credentials=None if name == ROUTER else credentials))

    def _all(self, order: Callable[[HostClient, str], ProcessReport]) -> dict[str, Told]:
        with ThreadPoolExecutor(AT_ONCE_MAX) as pool:
            told = pool.map(lambda record: self._one(record, order), self._processes)
            return {each.name: each for each in told}

    def _one(self, record: MemberRecord, order: Callable[[HostClient, str], ProcessReport]) -> Told:
        try:
            with HostClient(record.host_address, self._tls, record.name) as client:
                return Told(record.name, order(client, record.name))
        except KeystoreError as error:
            return Told(record.name, None, cause_of(error))


def serving_members(told: dict[str, Told]) -> list[str]:
    """Return the members whose process runs."""
    return [name for name, each in told.items() if name != ROUTER and each.runs]
