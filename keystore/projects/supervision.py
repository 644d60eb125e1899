"""Has the processes of a deployment be what they are to be: all up, or all down.

What they are to be follows from what is stored (`Condition.is_to_run`), and every act here may be repeated: so a
control process that dies leaves nothing undone, and an order that comes meanwhile is seen by the next look.

Leaves to others: when to look (`looks`), and what makes a deployment another one (`applying`).

Invariants:
1. Hosts stay up, whatever their processes are to be: a machine is not switched off because a key is gone.
2. What a look found is recorded only by the process whose look still counts (`Guard`).
"""

from collections.abc import Sequence
from dataclasses import replace

from keystore.control.clock import Clock
from keystore.control.cluster_keys import ClusterKeys
from keystore.control.clusters import ROUTER, Cluster, MemberRecord, cluster_of, set_addresses
from keystore.control.database import Database
from keystore.control.host_orders import HostOrders, Told, serving_members
from keystore.control.operations import Guard
from keystore.control.routers import tell_router
from keystore.errors import AgentError, cause_of
from keystore.projects.conditions import Life
from keystore.projects.deployment_rows import read_deployment
from keystore.projects.keyed_deployments import condition_after_look
from keystore.projects.machines import Machines
from keystore.projects.node_addresses import addresses_of


class Supervisor:
    """Looks after the processes of deployments."""

    def __init__(self, database: Database, clock: Clock, machines: Machines, keys: ClusterKeys) -> None:
        self._database, self._clock, self._machines, self._keys = database, clock, machines, keys

    def keep(self, deployment_id: str, guard: Guard) -> str:
        """Have every process be what it is to be; return why one is not yet, or nothing.

        Raises:
            FencedError: another process looks after it.
            ControlError: the database failed; whoever comes next finds what there is to do.
        """
        with self._database.read() as connection:
            found = read_deployment(connection, deployment_id)
            if found.cluster_id is None or found.condition.life in (Life.DELETING, Life.GONE):
                return ""
            cluster = cluster_of(connection, found.cluster_id)
            addresses = addresses_of(connection, deployment_id)
        launched, problem = self._launched(cluster, addresses)
        if not found.condition.is_to_run:
            told = HostOrders(launched).stop()
            return problem or _shown([each for each in told.values() if not each.is_down])
        return self._up(deployment_id, cluster, launched, problem, guard)

    def _launched(self, cluster: Cluster, addresses: dict[str, str]) -> tuple[Cluster, str]:
        """Have every host run; return the cluster with their addresses, and why one does not."""
        try:
            return _placed(cluster, self._machines.hosts(cluster.name, addresses).launch(cluster.processes)), ""
        except AgentError as error:
            return cluster, cause_of(error)

    def _up(self, deployment_id: str, cluster: Cluster, launched: Cluster, problem: str, guard: Guard) -> str:
        orders = HostOrders(launched)
        told = orders.reports()
        ran = all(each.runs for each in told.values())
        if not ran:
            told = orders.start(self._keys.message(cluster))
        problem = self._record_addresses(cluster, launched, told, tell=not ran, guard=guard) or problem
        problem = problem or _shown([each for each in told.values() if not each.runs])
        with self._database.write() as connection:
            guard(connection)
            serving = len(serving_members(told))
            condition_after_look(connection, deployment_id, serving, problem, self._clock.now_ns())
        return problem

    def _record_addresses(
        self, cluster: Cluster, launched: Cluster, told: dict[str, Told], *, tell: bool, guard: Guard
    ) -> str:
        """Record where processes answer now, and have the router know; return why it does not."""
        records = [replace(record, address=_address(record, told)) for record in launched.processes]
        changed = [record for record, former in zip(records, cluster.processes, strict=True) if record != former]
        if changed:
            with self._database.write() as connection:
                guard(connection)
            set_addresses(self._database, cluster.id, changed)
        if not (changed or tell) or not told[ROUTER].runs:
            return ""
        with self._database.read() as connection:
            cluster = cluster_of(connection, cluster.id)
        try:
            tell_router(cluster)
        except AgentError as error:
            return cause_of(error)
        return ""


def _placed(cluster: Cluster, records: Sequence[MemberRecord]) -> Cluster:
    *members, router = records
    return replace(cluster, members=tuple(members), router=router)


def _address(record: MemberRecord, told: dict[str, Told]) -> str:
    report = told[record.name].report
    return report.address if report is not None and report.address else record.address


def _shown(told: Sequence[Told]) -> str:
    return ", ".join(f"{each.name}: {each.why}" for each in told)
