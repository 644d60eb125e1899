"""Programs that kill themselves at a point of an operation: python -m tests.control.killed WHAT POINT ARGUMENTS…

WHAT is `control` or `node`; ARGUMENTS are those of `keystore`. Points are counted from 0: of a control process around
each transaction and each question to a member; of a node the file operations of a change of its master key.
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from keystore.agents import master_changes
from keystore.cli.main import main
from keystore.control import serving
from keystore.control.clock import Clock
from keystore.control.cluster_keys import ClusterKeys
from keystore.control.clusters import Cluster
from keystore.control.database import Database
from keystore.control.due import Due
from keystore.control.jobs import Jobs
from keystore.control.members import Member
from keystore.control.node_members import connect_node
from keystore.control.operations import Guard
from keystore.control.plane import Plane
from keystore.control.rolling import Action
from keystore.kms.protocol import KmsConnector
from keystore.node.directory import Node
from keystore.progress import Progress
from tests.node.test_kill import KillingFiles


class Point:
    """Counts, and kills this process when the number is reached."""

    def __init__(self, number: int) -> None:
        self._left = number

    def __call__(self) -> None:
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
            signal.pause()
        self._left -= 1

    def before(self, guard: Guard) -> Guard:
        def guarded(connection: sa.Connection) -> None:
            self()
            guard(connection)

        return guarded


class KilledMember:
    """A member, with a point before and after each change."""

    def __init__(self, inner: Member, point: Point) -> None:
        self._point = point
        self.status, self.close = inner.status, inner.close
        self._inner = inner

    def give_credentials(self, credentials: bytes) -> None:
        self._inner.give_credentials(credentials)

    def rotate_master(self, expected_generation: int) -> int:
        return self._around(lambda: self._inner.rotate_master(expected_generation))

    def change_cmk(self, key_uri: str, expected_generation: int) -> int:
        return self._around(lambda: self._inner.change_cmk(key_uri, expected_generation))

    def convert(self, key_uri: str, volume_key: str | None, expected_generation: int, progress: Progress) -> int:
        return self._around(lambda: self._inner.convert(key_uri, volume_key, expected_generation, progress))

    def _around(self, change: Callable[[], int]) -> int:
        self._point()
        generation = change()
        self._point()
        return generation


class KilledJobs(Jobs):
    """The jobs, with a point in each transaction."""

    point: Point

    def advance(self, job: Due, guard: Guard) -> Action:
        return super().advance(job, self.point.before(guard))

    def conclude(self, job: Due, action: Action, guard: Guard) -> None:
        super().conclude(job, action, self.point.before(guard))


def kill_control(number: int) -> None:
    point = Point(number)

    def connect(cluster: Cluster, name: str) -> Member:
        return KilledMember(connect_node(cluster, name), point)

    def make(database: Database, connect_kms: KmsConnector, clock: Clock, keys: ClusterKeys | None) -> Plane:
        plane = Plane(database, connect_kms, connect, clock, keys)
        plane.jobs = KilledJobs(database, plane.clock, plane.operator)
        plane.jobs.point = point
        return plane

    setattr(serving, "Plane", make)  # noqa: B010


class ArmedFiles(KillingFiles):
    """Counts only while the master key is being changed."""

    armed = False

    def _step(self) -> None:
        if self.armed:
            super()._step()


def kill_node(number: int) -> None:
    files, open_node = ArmedFiles(number), Node.open

    def open_armed(*arguments: Any, **named: Any) -> Node:
        return open_node(*arguments, files=files, **named)

    Node.open = open_armed  # type: ignore[method-assign]
    for name in ("change", "convert"):
        setattr(master_changes.MasterChanges, name, _armed(files, getattr(master_changes.MasterChanges, name)))


def _armed(files: ArmedFiles, function: Callable[..., Any]) -> Callable[..., Any]:
    def armed(*arguments: Any) -> Any:
        files.armed = True
        try:
            return function(*arguments)
        finally:
            files.armed = False

    return armed


if __name__ == "__main__":
    what, number = sys.argv[1], int(sys.argv[2])
    sys.argv[1:3] = []
    (kill_control if what == "control" else kill_node)(number)
    main()
