"""docs/EMULATOR.md and docs/USING_GOOGLE.md: Python in them runs, commands exist, tables name what there is."""

import re
from pathlib import Path

import pytest

from kms_emulator.cli.main import main
from kms_emulator.embedded import KmsEmulator
from kms_emulator.model.faults import FaultKind
from tests.emulator.running import run_cli

DOCS = Path(__file__).parents[2] / "docs"
GUIDE = "\n".join((DOCS / name).read_text(encoding="utf-8") for name in ("EMULATOR.md", "USING_GOOGLE.md"))


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)


def test_python_runs() -> None:
    names = {"__name__": "guide"}
    for code in blocks("python"):
        exec(compile(code, "the guide", "exec"), names)  # noqa: S102 - our own document


def test_commands_work(kms_emulator: KmsEmulator) -> None:
    for line in "".join(blocks("shell")).splitlines():
        done = run_cli(*line.split()[1:], endpoint=kms_emulator.grpc_endpoint)
        assert done.returncode == 0, (line, done.stderr)


def test_every_command_it_names_exists() -> None:
    named = set(re.findall(r"kms-emulator ([a-z-]+)", GUIDE)) - {"python"}
    assert named <= set(main.commands) | set(main.list_commands(None))  # type: ignore[arg-type] # it asks nothing of it


@pytest.mark.parametrize("kind", list(FaultKind))
def test_every_fault_has_its_row(kind: FaultKind) -> None:
    assert f"| `{kind.value}`" in GUIDE
