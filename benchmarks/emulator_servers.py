"""The servers to compare, each as a process of its own: our emulator and moto's server, on free ports of this machine.

Both are asked in the same way and measured from outside: `ready` is the first AWS KMS call that was answered.
"""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.emulator_load import Connection, request

READY_MAX_S = 60.0
POLL_S = 0.002
STOP_MAX_S = 10.0
BIN = Path(sys.executable).parent


@dataclass
class Server:
    """A running server.

    Attributes:
        port: where it speaks AWS's HTTP.
        grpc: HOST:PORT, or nothing where it speaks none.
        ready_s: from the start of the process to the first answer.
        where: the ready file's object, of our emulator.
    """

    name: str
    process: subprocess.Popen[bytes]
    port: int
    grpc: str
    ready_s: float
    where: dict[str, Any] = field(default_factory=dict)

    def resident_mb(self) -> float:
        """Return the resident memory of the process, in units of 10^6 bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        (line,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) * 1024 / 1e6

    def cpu_s(self) -> float:
        """Return the processor time that the process has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100


@contextmanager
def emulator(folder: Path, ready: Callable[[dict[str, Any]], bool] | None = None) -> Iterator[Server]:
    """Run our emulator, with its state in memory; `ready` tells from its ready file whether it answers."""
    ready_file = folder / "ready.json"
    ready_file.unlink(missing_ok=True)
    command = [str(BIN / "kms-emulator"), "serve", "--port", "0", "--http-port", "0", "--ready-file", str(ready_file)]
    started = time.perf_counter()
    with _running(command) as process:
        _wait(ready_file.exists, process)
        where = json.loads(ready_file.read_text())
        port = int(where["aws"].rpartition(":")[2])
        _wait((lambda: ready(where)) if ready is not None else (lambda: _answers(port)), process)
        yield Server("emulator", process, port, where["grpc"], time.perf_counter() - started, where)


@contextmanager
def moto(folder: Path) -> Iterator[Server]:
    """Run moto's server as its documentation says."""
    with closing(socket.create_server(("127.0.0.1", 0))) as found:
        port = found.getsockname()[1]
    command = [str(BIN / "moto_server"), "-H", "127.0.0.1", "-p", str(port)]
    started = time.perf_counter()
    with _running(command) as process:
        _wait(lambda: _answers(port), process)
        yield Server("moto", process, port, "", time.perf_counter() - started)


@contextmanager
def _running(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_MAX_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(port: int) -> bool:
    try:
        with closing(Connection(port)) as connection:
            return connection.ask(request(port, "ListKeys", {})).status == 200
    except OSError:
        return False


def _wait(reached: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    end = time.perf_counter() + READY_MAX_S
    while not reached():
        if process.poll() is not None or time.perf_counter() > end:
            raise RuntimeError(f"{process.args!r} did not become ready")
        time.sleep(POLL_S)
