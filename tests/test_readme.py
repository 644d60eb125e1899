"""The examples of the README, of docs/PYTHON.md and of docs/FILES.md, run as they stand, against a real emulator."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from keystore.demo.emulator import EmulatorProcess
from tests.cli.running import environment

README = Path(__file__).parent.parent / "README.md"
FROM_PYTHON, FILES = (README.parent / "docs" / name for name in ("PYTHON.md", "FILES.md"))
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
BLOCKS = BLOCK.findall(README.read_text())
DOCUMENTS = [block for document in (FROM_PYTHON, FILES) for block in BLOCK.findall(document.read_text())]
PYTHON_BLOCKS = [text for language, text in BLOCKS + DOCUMENTS if language == "python"]
FAILS = "# exits with an error"
TIMEOUT_S = 180


def expect_failures(script: str) -> str:
    """Turn each line that the README marks as failing into one that fails if it does not."""
    lines = [
        f"if {line.partition(FAILS)[0]}; then exit 97; fi" if FAILS in line else line for line in script.splitlines()
    ]
    return "\n".join(lines)


def test_the_quick_start(tmp_path: Path) -> None:
    shell = [text for language, text in BLOCKS if language == "sh"]
    script = "".join(text for text in shell if "keystore snapshot" in text)
    assert script.count("keystore init") == 2
    assert FAILS in script
    assert any(text.strip() == "kms-emulator serve" for text in shell)
    with EmulatorProcess(tmp_path / "log") as emulator:
        env = environment({"KMS_EMULATOR_ENDPOINT": emulator.endpoint})
        env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
        (tmp_path / "work").mkdir()
        done = subprocess.run(
            ["bash", "-euxo", "pipefail", "-c", expect_failures(script)],
            check=False,
            cwd=tmp_path / "work",
            env=env,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
    assert done.returncode == 0, done.stderr
    restored = (tmp_path / "work" / "restored.py").read_bytes()
    assert restored == Path(os.__file__).read_bytes() or restored.startswith(b'r"""OS routines')
    assert "KeyDisabled" in done.stderr or "is disabled" in done.stderr


@pytest.mark.parametrize("text", PYTHON_BLOCKS)
def test_the_python_examples(text: str, tmp_path: Path) -> None:
    """A block of tests is run by pytest, as its reader would; any other by Python."""
    (tmp_path / "test_example.py").write_text(text)
    if "def test_" in text:
        command = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "test_example.py"]
    else:
        command = ["test_example.py"]
    subprocess.run([sys.executable, *command], check=True, cwd=tmp_path, timeout=TIMEOUT_S)


def test_every_link_inside_the_repository_leads_somewhere() -> None:
    for link in re.findall(r"\]\(([^)#:]+)\)", README.read_text()):
        assert (README.parent / link).exists(), link
