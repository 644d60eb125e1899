"""Runs the command line: in this process where only the outcome counts, in one of its own where the process matters."""

import contextlib
import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from keystore.cli.main import run
from keystore.node.known_nodes import ENVIRONMENT as KNOWN_NODES

PROGRAM = (sys.executable, "-m", "keystore.cli.main")
TIMEOUT_S = 120


@dataclass(frozen=True)
class Run:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one object on stdout."""
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found


def environment(changes: dict[str, str] | None = None) -> dict[str, str]:
    """Return the environment without what configures the programs but for the list of known nodes, then `changes`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("KEYSTORE_", "KMS_EMULATOR_"))}
    return {**kept, KNOWN_NODES: os.environ[KNOWN_NODES], **(changes or {})}


def keystore(*arguments: str | Path, stdin: bytes = b"", env: dict[str, str] | None = None) -> Run:
    """Run `keystore` in this process, as `main` does; an error that it does not know comes out."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    source = io.TextIOWrapper(io.BytesIO(stdin))
    with (
        patch.dict(os.environ, environment(env), clear=True),
        patch.object(sys, "stdin", source),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        code = run([str(argument) for argument in arguments])
        out.flush()
        err.flush()
    return Run(code, text_of(out), text_of(err))


def text_of(stream: io.TextIOWrapper) -> str:
    assert isinstance(stream.buffer, io.BytesIO)
    return stream.buffer.getvalue().decode()


def process(*arguments: str | Path, env: dict[str, str] | None = None) -> Run:
    """Run `keystore` as a process of its own, to its end; it never shows a traceback."""
    done = subprocess.run(
        [*PROGRAM, *map(str, arguments)],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=TIMEOUT_S,
        env=environment(env),
    )
    ended = Run(done.returncode, done.stdout.decode(), done.stderr.decode())
    assert "Traceback" not in ended.err, ended.err
    return ended


def start(*arguments: str | Path) -> subprocess.Popen[bytes]:
    """Start `keystore` with pipes to it."""
    return subprocess.Popen(
        [*PROGRAM, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
