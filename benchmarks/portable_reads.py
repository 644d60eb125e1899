"""Random reads and a scan of a page store with the kernel that KEYSTORE_KERNEL names: the report's second kernel.

`python -m benchmarks.portable_reads quick|full PLACE` prints a JSON array of results.
"""

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from keystore.bench import commits, reads, stores
from keystore.bench.result import Result
from keystore.bench.running import BUDGET_QUICK_S, BUDGET_S

PAGE_SIZES_BYTES = (4096, 16384)


def measure(root: Path, *, quick: bool) -> Iterator[Result]:
    """Yield the results of each page size."""
    budget_s, total_bytes = (BUDGET_QUICK_S, stores.STORE_QUICK_BYTES) if quick else (BUDGET_S, stores.STORE_BYTES)
    for page_bytes in PAGE_SIZES_BYTES:
        with tempfile.TemporaryDirectory(dir=root) as place, stores.pair(Path(place), page_bytes, total_bytes) as pair:
            yield reads.random_read(pair, budget_s)
            yield reads.scan(pair, 1, budget_s)
            for count in commits.COMMIT_PAGES:
                yield commits.commit(pair, count, budget_s)


if __name__ == "__main__":
    print(json.dumps([result.encode() for result in measure(Path(sys.argv[2]), quick=sys.argv[1] == "quick")]))
