"""One process that a host looks after: started, watched, stopped by order, and started again when it died.

The process says that it serves by a ready file, and removes it when it ends in order. A host that was killed leaves its
processes running; the next one finds them by their ready files and takes them over.

Invariants:
1. One thread starts the process and sees its end; orders come one after the other, wake it up and wait for what it
   makes of them. So there are never two.
2. What was stopped by an order is remembered before the process is told. An end that the process was called upon by
   another way (the node's own `Stop`, a signal) is not: the next host starts it again.
3. Credentials are in memory only, until an order stops the process. They go to it through a pipe, neither by its
   arguments nor by its environment, which others on the machine may read.
"""

import fcntl
import json
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from keystore.agents.host_state import HostState, ProcessMemory
from keystore.agents.restarting import ExitCodes, ProcessState, judge
from keystore.errors import InputError
from keystore.kms.given import MESSAGE_BYTES_MAX

START_S = 60.0
"""LIMIT: seconds from the start of a process to its ready file; then it is killed, and counts as failed."""
STOP_S = 30.0
"""LIMIT: seconds that a process gets to end in order; then it is killed. Its own limit for running calls is 10."""
STABLE_S = 60.0
"""How long a process must have served for its next failure to count as the first."""
POLL_S = 0.02
LOG_BYTES_MAX = 1 << 20
"""LIMIT: bytes of a log before a start makes it the former one."""
ERROR_BYTES = 4096

NEEDS_CREDENTIALS = "it needs its credentials, which this host has not: whoever looks after the cluster gives them"

Command = Callable[[str, Path], Sequence[str]]
"""``(address to listen on, ready file)`` to the arguments of the process."""


@dataclass(frozen=True)
class ProcessReport:
    """A process as its host sees it.

    Attributes:
        reason: of a failure, or of having stopped.
        address: HOST:PORT, the same after every start; empty before the first.
        pid: 0 where there is none.
        changed_ns: since when it is in this state.
        failures: in a row.
        next_start_ns: of a failed one; None: not before an order.
    """

    name: str
    state: ProcessState
    reason: str
    address: str
    pid: int
    changed_ns: int
    failures: int = 0
    next_start_ns: int | None = None

    @property
    def is_at_rest(self) -> bool:
        return self.state != "starting"


class Supervised:
    """One process of a host. `begin` it; `start`, `stop` and `restart` are orders; `end` it with the host."""

    def __init__(
        self,
        name: str,
        command: Command,
        listen: str,
        state: HostState,
        codes: ExitCodes,
        awaits_credentials: bool = False,
    ) -> None:
        self.name, self._awaits_credentials = name, awaits_credentials
        self._command, self._listen, self._state, self._codes = command, listen, state, codes
        self._ready_file, self._log = state.directory / f"{name}.ready", state.directory / f"{name}.log"
        self._orders, self._changed = threading.RLock(), threading.Condition()
        self._ending = False
        self._wanted = not state.of(name).stopped
        self._popen: subprocess.Popen[bytes] | None = None
        self._due_s, self._log_start = 0.0, 0
        self._credentials = bytearray()
        first: ProcessState = "starting" if self._wanted else "stopped"
        reason = "" if self._wanted else "by an order"
        self._report = ProcessReport(name, first, reason, state.of(name).listen, 0, time.time_ns())
        self._thread = threading.Thread(target=self._keep, name=f"keystore-host-{name}")

    def begin(self) -> None:
        """Take over the process if it runs, or start it unless it was stopped by an order."""
        self._thread.start()

    def report(self) -> ProcessReport:
        with self._changed:
            return self._report

    # -- orders -------------------------------------------------------------------------------------------------------

    def start(self, credentials: bytes | None = None) -> ProcessReport:
        """Start it, at once also after failures, and return what came of it. Nothing happens where it runs.

        Args:
            credentials: kept for this start and those to come; empty ones mean that it needs none from now on.

        Raises:
            InputError: the order cannot be remembered, or there are too many credentials; nothing was changed.
        """
        if len(credentials or b"") > MESSAGE_BYTES_MAX:
            raise InputError(f"credentials have at most {MESSAGE_BYTES_MAX} bytes. Nothing was changed.")
        with self._orders, self._changed:
            self._remember(stopped=False, credentials=None if credentials is None else bool(credentials))
            if credentials is not None:
                self._forget()
                self._credentials = bytearray(credentials)
            if not self._wanted or self._report.state == "failed":
                self._wanted, self._due_s = True, 0.0
                self._set("starting", failures=0)
            return self._at_rest()

    def stop(self) -> ProcessReport:
        """Have it end, forget its credentials, and keep it down; return when it has ended. Errors as `start`."""
        with self._orders:
            stopped = self._stop()
            with self._changed:
                self._forget()
            return stopped

    def _stop(self) -> ProcessReport:
        with self._orders:
            with self._changed:
                self._remember(stopped=True)
                self._wanted = False
                if not self._report.pid:
                    self._set("stopped", "by an order", failures=0)
            self._make_end()
            return self.report()

    def restart(self) -> ProcessReport:
        """Stop it if it runs, and start it, with the credentials that it has."""
        with self._orders:
            self._stop()
            return self.start()

    def end(self) -> None:
        """Have the process end with its host; the next host starts it again unless an order had stopped it."""
        with self._changed:
            self._ending = True
            self._changed.notify_all()
        self._make_end()
        self._thread.join()
        self._forget()

    def _remember(self, *, stopped: bool, credentials: bool | None = None) -> None:
        needs = self._state.of(self.name).credentials if credentials is None else credentials
        self._state.remember(self.name, ProcessMemory(self._report.address, stopped, needs))

    def _lacks_credentials(self) -> bool:
        needs = self._state.of(self.name).credentials
        return (self._awaits_credentials if needs is None else needs) and not self._credentials

    def _forget(self) -> None:
        """Wipe the credentials; the caller has the lock, or is the last."""
        self._credentials[:] = bytes(len(self._credentials))
        self._credentials = bytearray()

    def _at_rest(self) -> ProcessReport:
        """Wait until a start has succeeded or failed; the caller has the lock."""
        self._changed.wait_for(lambda: self._report.is_at_rest or self._ending, START_S + STOP_S)
        return self._report

    def _make_end(self) -> None:
        """Tell the process to end, and kill it when it takes too long."""
        for number, patience_s in ((signal.SIGTERM, STOP_S), (signal.SIGKILL, STOP_S)):
            with self._changed:
                self._signal(number)
                if self._changed.wait_for(lambda: not self._report.pid, patience_s):
                    return

    def _signal(self, number: signal.Signals) -> None:
        """Send a signal to the process, if there is one; the caller has the lock."""
        with suppress(ProcessLookupError):
            if self._popen is not None:
                self._popen.send_signal(number)
            elif self._report.pid:
                os.kill(self._report.pid, number)

    # -- the one thread -----------------------------------------------------------------------------------------------

    def _keep(self) -> None:
        self._adopt()
        while True:
            with self._changed:
                while not self._ending and not (self._wanted and time.monotonic() >= self._due_s):
                    self._changed.wait(max(0.0, self._due_s - time.monotonic()) if self._wanted else None)
                if self._ending:
                    return
            if self._adopt():
                continue  # an earlier host was killed before that process was ready
            with self._changed:
                if not self._wanted or self._ending:
                    continue
                if self._lacks_credentials():
                    self._wanted = False
                    self._set("failed", NEEDS_CREDENTIALS)
                    continue
                try:
                    self._spawn()
                except OSError as error:
                    self._judge(None, f"it cannot be started: {error.strerror}")
                    continue
            self._watch()

    def _adopt(self) -> bool:
        """Take over a process that an earlier host started, and watch it to its end; return whether there was one."""
        try:
            found = json.loads(self._ready_file.read_bytes())
            pid, address = int(found["pid"]), str(found["address"])
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError, KeyError, TypeError):
            return False
        if os.fsencode(self._ready_file) not in arguments:
            return False  # another process has got that number
        with self._changed:
            self._set("running", pid=pid, address=address)
            if not self._wanted or self._ending:
                self._signal(signal.SIGTERM)
        self._watch()
        return True

    def _spawn(self) -> None:
        """Start the process; the caller has the lock."""
        self._ready_file.unlink(missing_ok=True)
        if self._log.exists() and self._log.stat().st_size > LOG_BYTES_MAX:
            self._log.replace(self._log.with_suffix(".log.1"))
        listen = self._state.of(self.name).listen or self._listen
        opened = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        with os.fdopen(opened, "ab") as log, _pipe_with(self._credentials) as pipe:
            self._log_start = log.tell()
            given = () if pipe is None else ("--credentials-fd", str(pipe))
            self._popen = subprocess.Popen(
                [*self._command(listen, self._ready_file), *given],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # what is sent to the host's terminal is for the host
                pass_fds=() if pipe is None else (pipe,),
            )
        self._set("starting", pid=self._popen.pid, failures=self._report.failures)

    def _watch(self) -> None:
        """See the process become ready, and end."""
        pid, give_up_s, late = self._report.pid, time.monotonic() + START_S, ""
        try:
            watched = os.pidfd_open(pid)
        except ProcessLookupError:
            self._ended()
            return
        try:
            ended = select.poll()
            ended.register(watched, select.POLLIN)
            while self._report.state == "starting" and not ended.poll(POLL_S * 1000):
                self._look_for_ready(pid)
                if time.monotonic() > give_up_s:
                    late = f"it did not serve within {START_S:.0f} s"
                    os.kill(pid, signal.SIGKILL)
                    break
            ended.poll()
        finally:
            os.close(watched)
        self._ended(late)

    def _look_for_ready(self, pid: int) -> None:
        try:
            found = json.loads(self._ready_file.read_bytes())
        except (OSError, ValueError):
            return
        if found.get("pid") != pid:
            return
        with self._changed:
            memory = self._state.of(self.name)
            with suppress(Exception):  # told again by the next start; the process serves all the same
                self._state.remember(self.name, replace(memory, listen=str(found["address"])))
            self._set("running", pid=pid, address=str(found["address"]))

    def _ended(self, late: str = "") -> None:
        popen = self._popen
        # An end in order removes the ready file; of a process that an earlier host started no code is known.
        code = popen.wait() if popen is not None else None if self._ready_file.exists() else self._codes.in_order
        with self._changed:
            self._popen = None
            said = late or (_last_error(self._log, self._log_start) if popen is not None else "")
            self._judge(code, said)

    def _judge(self, code: int | None, said: str) -> None:
        """Note the end of the process, and when it is started again; the caller has the lock."""
        ordered = not self._wanted or self._ending
        served_s = (time.time_ns() - self._report.changed_ns) / 1e9 if self._report.state == "running" else 0.0
        failures = 0 if served_s > STABLE_S else self._report.failures
        verdict = judge(self._codes, code, said, ordered=ordered, failures=failures)
        self._wanted = self._wanted and verdict.pause_s is not None
        self._due_s = time.monotonic() + (verdict.pause_s or 0.0)
        next_start_ns = None if verdict.pause_s is None else time.time_ns() + round(verdict.pause_s * 1e9)
        self._set(verdict.state, verdict.reason, failures=verdict.failures, next_start_ns=next_start_ns)

    def _set(
        self,
        state: ProcessState,
        reason: str = "",
        *,
        pid: int = 0,
        address: str | None = None,
        failures: int | None = None,
        next_start_ns: int | None = None,
    ) -> None:
        """Note a new state; the caller has the lock."""
        if failures is None:
            failures = self._report.failures
        at = self._report.address if address is None else address
        self._report = ProcessReport(self.name, state, reason, at, pid, time.time_ns(), failures, next_start_ns)
        self._changed.notify_all()


@contextmanager
def _pipe_with(content: bytearray) -> Iterator[int | None]:
    """Give the reading end of a pipe that holds all of `content` and ends there; None where there is nothing."""
    if not content:
        yield None
        return
    reading, writing = os.pipe()
    try:
        try:
            fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, len(content))  # so that nobody need read for it to be written
            os.write(writing, content)
        finally:
            os.close(writing)
        yield reading
    finally:
        os.close(reading)


def _last_error(log: Path, start: int) -> str:
    """Return the last error that a process printed to its log from `start` on, on one line, or nothing."""
    try:
        with log.open("rb") as file:
            file.seek(max(start, file.seek(0, os.SEEK_END) - ERROR_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    _, found, error = text.rpartition("error: ")
    return " ".join(error.split()) if found else ""
