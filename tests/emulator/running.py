"""Emulators for tests, with real sockets: one in a thread of this process, one as the real program."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from kms_emulator.core import Core
from kms_emulator.server import Server, start

WAIT_MAX_S = 30.0
POLL_S = 0.02


class Running:
    """An emulator on a free port, in a thread of this process; with `http`, on one more for AWS's own wire; with
    `https`, on two more, for Azure's and for gRPC over TLS, and one for each of `vault_ports`."""

    def __init__(
        self, core: Core, *, http: bool = False, https: bool = False, vault_ports: Mapping[str, int] | None = None
    ) -> None:
        self.core = core
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        http_port, https_port = (0 if http else None), (0 if https else None)
        starting = start(
            core,
            "127.0.0.1",
            0,
            http_port=http_port,
            https_port=https_port,
            grpc_tls_port=https_port,
            vault_ports=vault_ports or {},
        )
        self.server: Server = asyncio.run_coroutine_threadsafe(starting, self.loop).result(WAIT_MAX_S)
        self.channel = grpc.insecure_channel(self.server.endpoint)

    def stop(self) -> None:
        self.channel.close()
        asyncio.run_coroutine_threadsafe(self.server.stop(), self.loop).result(WAIT_MAX_S)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(WAIT_MAX_S)
        self.loop.close()


class Process:
    """The real program, started with a ready file; `endpoint` is where it serves."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.ready_file = folder / "ready.json"
        self.popen = subprocess.Popen(
            [*PROGRAM, "serve", "--port", "0", "--ready-file", str(self.ready_file), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"TMPDIR": str(folder)},
        )
        wait_until(lambda: self.ready_file.exists() or self.popen.poll() is not None)
        if self.popen.poll() is not None:
            pytest.fail(f"the emulator ended: {self.popen.communicate()[1]}")
        self.ready: dict[str, str | None] = json.loads(self.ready_file.read_text())
        self.endpoint = str(self.ready["grpc"])

    def end(self, number: signal.Signals) -> tuple[int, str, str]:
        """Send a signal and wait; return exit code, output and error output."""
        self.popen.send_signal(number)
        out, error = self.popen.communicate(timeout=WAIT_MAX_S)
        return self.popen.returncode, out, error


PROGRAM = [sys.executable, "-c", "from kms_emulator.cli.main import main; main()"]


@contextmanager
def process(folder: Path, *arguments: str) -> Iterator[Process]:
    """Run the real program; it is killed at the end if it still lives."""
    running = Process(folder, *arguments)
    try:
        yield running
    finally:
        if running.popen.poll() is None:
            running.end(signal.SIGKILL)


def run_cli(*arguments: str, endpoint: str = "", env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command of the real program to its end."""
    variables = {**os.environ, **({"KMS_EMULATOR_ENDPOINT": endpoint} if endpoint else {}), **(env or {})}
    return subprocess.run(
        [*PROGRAM, *arguments], capture_output=True, text=True, timeout=WAIT_MAX_S, env=variables, check=False
    )


def wait_until(reached: Callable[[], bool]) -> None:
    """Return once it is reached; fail after `WAIT_MAX_S`."""
    end_s = time.monotonic() + WAIT_MAX_S
    while not reached():
        if time.monotonic() > end_s:
            pytest.fail("waited too long")
        time.sleep(POLL_S)


class Refused:
    """What `refused` saw."""

    status: grpc.StatusCode
    code: str
    inner_code: str
    message: str


@contextmanager
def refused(code: str, inner_code: str = "") -> Iterator[Refused]:
    """Expect the cloud's error code, and the inner one if given."""
    seen = Refused()
    with pytest.raises(grpc.RpcError) as caught:
        yield seen
    error = caught.value
    assert isinstance(error, grpc.Call)
    trailing = dict(error.trailing_metadata())
    seen.status, seen.message = error.code(), error.details() or ""
    seen.code = str(trailing.get("x-kms-error-code", ""))
    seen.inner_code = str(trailing.get("x-kms-inner-error-code", ""))
    assert (seen.code, seen.inner_code if inner_code else "") == (code, inner_code), seen.message
