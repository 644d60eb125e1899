"""The examples of docs/SQLITE.md run as they stand."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[3] / "docs" / "SQLITE.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=["use", "SQLAlchemy"])
def test_it_runs(example: str) -> None:
    exec(compile(example, str(PAGE), "exec"), {})  # noqa: S102
