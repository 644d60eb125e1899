"""What the kernel sees of a commit, by strace: one fdatasync and no other sync."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.system

COMMITS = """
import sys
from keystore.testing import new_store
with new_store(sys.argv[1], 4096) as store:
    for number in range(int(sys.argv[2])):
        store.commit({number: b"x" * 4096})
"""


def count_syncs(place: Path, commits: int) -> dict[str, int]:
    """Return how often a process that makes so many one-page commits calls each kind of sync."""
    trace = place / f"trace-{commits}"
    command = ["strace", "-f", "-o", str(trace), "-e", "trace=fdatasync,fsync,sync,syncfs,sync_file_range,msync"]
    subprocess.run(
        [*command, sys.executable, "-c", COMMITS, str(place / f"store-{commits}"), str(commits)],
        check=True,
        timeout=120,
    )
    calls = re.findall(r"^\d+ +(\w+)\(.*\) += 0$", trace.read_text(), re.MULTILINE)
    return {name: calls.count(name) for name in set(calls)}


def test_one_fdatasync_for_a_one_page_commit(tmp_path: Path) -> None:
    few, many = count_syncs(tmp_path, 5), count_syncs(tmp_path, 25)
    assert many["fdatasync"] - few["fdatasync"] == 20
    assert {name: count for name, count in many.items() if name != "fdatasync"} == {
        name: count for name, count in few.items() if name != "fdatasync"
    }
