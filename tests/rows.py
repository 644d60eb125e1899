"""Which tests prove which row of docs/REQUIREMENTS.md: `python -m tests.rows` writes docs/requirements-coverage.md.

Read from the sources: a function or class with `@pytest.mark.row("R1", …)`, or a module with it in `pytestmark`.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COVERAGE = ROOT / "docs" / "requirements-coverage.md"

ROW = re.compile(r"\| (R\d+) \| ([^|]+) \|")

UNPROVEN: dict[str, str] = {}
"""Why a row has no test."""

HEAD = """# Which tests prove which requirement

Written by `python -m tests.rows` from the markers `@pytest.mark.row` of the tests; [REQUIREMENTS.md](REQUIREMENTS.md)
has each row with its proof.

| row | what the system does | tests that prove it |
| --- | -------------------- | ------------------- |
"""


def requirements() -> dict[str, str]:
    """Return what the system does, by row."""
    text = (ROOT / "docs" / "REQUIREMENTS.md").read_text(encoding="utf-8")
    return {found[1]: found[2].strip() for found in ROW.finditer(text)}


def proofs() -> dict[str, list[str]]:
    """Return the tests of each row that has any, as `path::name`."""
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for row, test in _of_module(path):
            found.setdefault(row, []).append(test)
    return found


def coverage() -> str:
    """Return the document."""
    tests = proofs()
    lines = [f"| {row} | {what} | {_shown(row, tests.get(row, []))} |" for row, what in requirements().items()]
    return HEAD + "\n".join(lines) + "\n"


def _shown(row: str, tests: list[str]) -> str:
    return ", ".join(f"[{_short(test)}](../{test.partition('::')[0]})" for test in tests) or f"none: {UNPROVEN[row]}"


def _short(test: str) -> str:
    path, _, name = test.partition("::")
    return f"{Path(path).stem.removeprefix('test_')}: {name.removeprefix('test_')}" if name else Path(path).stem


def _of_module(path: Path) -> Iterator[tuple[str, str]]:
    name = str(path.relative_to(ROOT))
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "pytestmark" for target in node.targets
        ):
            yield from ((row, name) for row in _rows([node.value]))
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from ((row, f"{name}::{node.name}") for row in _rows(node.decorator_list))


def _rows(expressions: list[ast.expr]) -> list[str]:
    """Return the arguments of all calls of `….row` in expressions."""
    calls = [inner for outer in expressions for inner in ast.walk(outer) if isinstance(inner, ast.Call)]
    marks = [call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr == "row"]
    return [ast.literal_eval(argument) for call in marks for argument in call.args]


if __name__ == "__main__":
    COVERAGE.write_text(coverage(), encoding="utf-8")
