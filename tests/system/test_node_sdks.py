"""The clouds' SDKs for JavaScript, unmodified, against the emulator: each program in `node/` lives a key's life."""

from pathlib import Path

import pytest

from tests.emulator.running import process
from tests.system.led_here import run_led_here

pytestmark = pytest.mark.system

SOURCE = Path(__file__).parent / "node"
MODULES = Path(__file__).parents[2] / ".venv" / "node-sdks" / "node_modules"
"""Where .ci/system-packages installs what package-lock.json names, and nothing else."""

STEPS = {"aws": 9, "azure": 12, "google": 8}


@pytest.mark.parametrize("cloud", STEPS)
def test_life_of_a_key(tmp_path: Path, cloud: str) -> None:
    for program in ("steps", cloud):
        (tmp_path / f"{program}.mjs").write_bytes((SOURCE / f"{program}.mjs").read_bytes())
    (tmp_path / "node_modules").symlink_to(MODULES)  # where node looks for packages: beside the program
    with process(tmp_path) as running:
        ended = run_led_here(running, tmp_path, ["node", str(tmp_path / f"{cloud}.mjs")])
    assert ended.returncode == 0, ended.stdout + ended.stderr
    steps = ended.stdout.splitlines()
    assert (steps[0], steps[-1]) == ("create", "a key that is not there is refused")
    assert len(steps) == STEPS[cloud]
