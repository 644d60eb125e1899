"""What the system sees of a commit, by strace: two writes, begun together, one fdatasync and no
other sync, one random draw.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.system

COMMITS = """
import sys
from keystore.pages import log
from keystore.testing import new_store
log.WATERMARK_S = 3600  # the first commit writes the watermark, and no other within that time
with new_store(sys.argv[1], 4096) as store:
    for number in range(int(sys.argv[2])):
        store.commit({number: b"x" * 4096})
"""


CALLS = "pwrite64,pwritev,getrandom,fallocate,fdatasync,fsync,sync,syncfs,sync_file_range,msync"


def count_calls(place: Path, commits: int) -> dict[str, int]:
    """Return how often a process that makes so many one-page commits makes each of these calls."""
    trace = place / f"trace-{commits}"
    command = ["strace", "-f", "-o", str(trace), "-e", f"trace={CALLS}"]
    subprocess.run(
        [*command, sys.executable, "-c", COMMITS, str(place / f"store-{commits}"), str(commits)],
        check=True,
        timeout=120,
    )
    calls = re.findall(r"^\d+ +(\w+)\(.*\) += \d+$", trace.read_text(), re.MULTILINE)
    return {name: calls.count(name) for name in set(calls)}


def test_calls_of_a_one_page_commit(tmp_path: Path) -> None:
    few, many = count_calls(tmp_path, 5), count_calls(tmp_path, 25)
    more = {name: count - few.get(name, 0) for name, count in many.items() if count != few.get(name, 0)}
    assert more == {"pwrite64": 2 * 20, "sync_file_range": 20, "fdatasync": 20, "getrandom": 20}
