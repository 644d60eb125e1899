"""AWS's Go SDK, unmodified, against the emulator: the program in `go/` lives a key's life and checks every step."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.emulator.clients.environment import environment
from tests.emulator.running import process

pytestmark = pytest.mark.system

SOURCE = Path(__file__).parent / "go"
BUILD_MAX_S = 280
RUN_MAX_S = 120


def test_life_of_a_key(tmp_path: Path) -> None:
    program = tmp_path / "life"
    # The module file names versions, go.sum their hashes: nothing else is built.
    build = ["go", "build", "-mod=readonly", "-trimpath", "-o", str(program), "."]
    subprocess.run(build, cwd=SOURCE, check=True, timeout=BUILD_MAX_S)
    with process(tmp_path) as running:
        url = str(running.ready["aws"])
        variables = {**os.environ, **environment(url)}
        ended = subprocess.run(
            [str(program)], env=variables, capture_output=True, text=True, timeout=RUN_MAX_S, check=False
        )
    assert ended.returncode == 0, ended.stderr
    steps = ended.stdout.splitlines()
    assert len(steps) == 19
    assert (steps[0], steps[-1]) == ("create", "a key that is not there is refused")
