"""The process `keystore control serve`: its parts, in the order in which they begin and end.

Leaves to others: what is served besides clusters (`Extension`).
"""

import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import sqlalchemy as sa

from keystore.agents.process import Stopping, remove_ready, write_ready
from keystore.control.clock import Clock, MovableClock, SystemClock
from keystore.control.cluster_keys import ClusterKeys
from keystore.control.database import Database, open_database
from keystore.control.dbos_engine import DbosEngine
from keystore.control.dbos_status import EXTENDED_QUEUE, QUEUE
from keystore.control.engine import WorkflowEngine
from keystore.control.executors import fenced
from keystore.control.jobs import ROTATION_JOB
from keystore.control.plane import Plane
from keystore.control.requests import OPERATION_JOB
from keystore.control.service import LOOK_EVERY_S, ControlService
from keystore.control.workflows import register_jobs
from keystore.kms.protocol import KmsConnector

FENCED_LOOK_S = 0.2
"""Seconds between two looks whether this process was taken for dead."""

LOOK_WAIT_S = 10.0
"""LIMIT: seconds that the end waits for jobs that are just being started."""


BEATS = 10
"""Signs of life in the time without one after which a process counts as dead."""


class Extension(Protocol):
    """What a control process does besides the jobs of clusters."""

    @property
    def keys(self) -> ClusterKeys:
        """The way of clusters to their keys."""
        ...

    @property
    def kinds(self) -> Sequence[str]:
        """The kinds of jobs that it does."""
        ...

    def register(self, engine: WorkflowEngine) -> None:
        """Tell the engine what they are."""
        ...

    def start(self) -> Mapping[str, object]:
        """Begin to serve; return what the ready file is to say of it."""
        ...

    def stop(self) -> None:
        """Serve no more; may be called without `start`."""
        ...


Extend = Callable[[Database, Clock], Extension]
"""Gives what a process does besides."""


@dataclass(frozen=True)
class Parts:
    """How to serve.

    Attributes:
        name: of this process; no other one on the database has it.
        ready_file: appears when work is taken, and is removed at the end.
        dead_after_s: without a sign of life for that long another process counts as dead.
        look_every_s: pause between two looks at what is due, and between two looks at what is to run.
        extend: gives what it does besides; None for nothing.
        tell: is told once work is taken, with what the ready file holds.
        require: raises `ControlSetupError` where the jobs of the database are not for this process; asked at the start
            and before each job.
    """

    name: str
    connect: KmsConnector
    ready_file: Path | None
    dead_after_s: float
    movable_clock: bool
    look_every_s: float = LOOK_EVERY_S
    extend: Extend | None = None
    tell: Callable[[Mapping[str, object]], None] = lambda values: None
    require: Callable[[sa.Connection], None] = lambda connection: None


def serve(url: str, parts: Parts) -> bool:
    """Serve until SIGTERM or SIGINT; return whether nothing of it runs any more.

    Raises:
        ControlUrlError, ControlSchemaError, ControlUnreachableError: nothing was begun.
        ControlSetupError: nothing was begun, or nothing since `Parts.require` raised it.
        FencedError: the process was taken for dead, or started again elsewhere; it did nothing since.
        InputError: the ready file cannot be written.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(message)s")
    stopping, ended = Stopping(), list[bool]()
    with closing(open_database(url)) as database:
        with database.read() as connection:
            parts.require(connection)
        clock = MovableClock(database) if parts.movable_clock else SystemClock()
        extension = None if parts.extend is None else parts.extend(database, clock)
        plane = Plane(database, parts.connect, clock=clock, keys=None if extension is None else extension.keys)
        times = {"beat_s": parts.dead_after_s / BEATS, "dead_after_s": parts.dead_after_s}
        queue = QUEUE if extension is None else EXTENDED_QUEUE
        engine = DbosEngine(database, parts.name, **times, poll_s=parts.look_every_s, queue=queue)
        register_jobs(engine, plane.jobs)
        values = dict[str, object](name=parts.name, pid=os.getpid(), database=database.shown)
        kinds = [ROTATION_JOB, OPERATION_JOB]
        with ExitStack() as stack:
            if extension is not None:
                stack.callback(extension.stop)
                extension.register(engine)
                kinds += extension.kinds
            stopping.on_signals()
            engine.launch()
            stack.callback(lambda: ended.append(engine.close()))
            service = ControlService(database, engine, plane.clock, kinds, parts.look_every_s, parts.require)
            stack.callback(service.stop, LOOK_WAIT_S)
            if extension is not None:
                values |= extension.start()
            if parts.ready_file is not None:
                stack.callback(remove_ready, parts.ready_file, values)
                write_ready(parts.ready_file, values)
            service.start()
            parts.tell(values)
            while not stopping.wait(FENCED_LOOK_S):
                if engine.fenced():
                    raise fenced(engine.executor)
                if service.refused is not None:
                    raise service.refused
    return all(ended)
