"""The native page kernel: built as its wheel is, then put through the tests of the kernel and of the page store."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.system, pytest.mark.timeout(1200)]

ROOT = Path(__file__).parents[2]
CARGO_MIN = (1, 85)
BUILD_MAX_S = 900
RUN_MAX_S = 600
TESTS = ("crypto", *(f"pages/test_{name}.py" for name in ("store", "ranges", "concurrent", "group_commit", "reseal")))
TESTS += ("pages/test_verify.py", "node/test_volume.py")


def cargo_version() -> tuple[int, ...]:
    """Return the version of the cargo on the path, (0,) without one."""
    if shutil.which("cargo") is None:
        return (0,)
    told = subprocess.run(["cargo", "--version"], capture_output=True, text=True, check=True).stdout
    found = re.match(r"cargo (\d+)\.(\d+)", told)
    return tuple(int(part) for part in found.groups()) if found else (0,)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the extension and install it into a directory of its own."""
    if cargo_version() < CARGO_MIN:
        pytest.skip("no cargo of 1.85 or later, and .ci/system-packages could not install one")
    place = tmp_path_factory.mktemp("native")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", "install", "--no-deps"]
    subprocess.run([*pip, "--target", str(place), str(ROOT / "native")], check=True, timeout=BUILD_MAX_S)
    return place


@pytest.mark.parametrize("threads", ["1", "2"])
def test_passes_the_tests_of_the_kernel_and_the_store(site: Path, threads: str) -> None:
    variables = {**os.environ, "PYTHONPATH": str(site), "KEYSTORE_KERNEL": "native", "KEYSTORE_THREADS": threads}
    tests = [str(ROOT / "tests" / name) for name in TESTS]
    run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not system and not soak", *tests]
    ended = subprocess.run(run, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=RUN_MAX_S, check=False)
    assert ended.returncode == 0, ended.stdout[-4000:]


def test_doctor_names_it(site: Path) -> None:
    for wanted, name in (("", "native"), ("portable", "portable")):
        variables = {**os.environ, "PYTHONPATH": str(site), "KEYSTORE_KERNEL": wanted}
        told = subprocess.run(
            [sys.executable, "-m", "keystore.cli.main", "doctor"], env=variables, capture_output=True, text=True,
            timeout=60, check=True,
        ).stdout  # fmt: skip
        assert re.search(rf"page kernel +{name}\b", told)
