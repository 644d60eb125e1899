"""The life of one large file, each phase in a process of its own that reports its peak memory and its bytes.

python -m tests.soak.life PHASE DIRECTORY        phases: input import snapshot rotate restore verify
"""

import hashlib
import json
import os
import random
import sys
import time
from pathlib import Path
from typing import Any

CHUNK_BYTES = 1 << 20


def peak_bytes() -> int:
    """Return the peak resident memory of this program. `ru_maxrss` would include the process that started it."""
    return _status("/proc/self/status", "VmHWM:") * 1024


def resident_bytes(pid: int) -> int:
    """Return the present resident memory of a process."""
    return _status(f"/proc/{pid}/status", "VmRSS:") * 1024


def io_counts() -> dict[str, int]:
    """Return bytes that this process asked to read and to write so far."""
    return {"read": _status("/proc/self/io", "rchar:"), "written": _status("/proc/self/io", "wchar:")}


def _status(path: str, name: str) -> int:
    for line in Path(path).read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    raise KeyError(name)


def write_input(path: Path, length: int) -> str:
    """Write `length` bytes that do not compress, the same every time; return their SHA-256."""
    generator, digest = random.Random(2), hashlib.sha256()
    with path.open("wb") as file:
        for at in range(0, length, CHUNK_BYTES):
            chunk = generator.randbytes(min(CHUNK_BYTES, length - at))
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest()


def run(phase: str, place: Path) -> dict[str, Any]:
    """Run one phase in this process; return what it did and what it took."""
    from keystore.kms.connect import connector
    from keystore.node.directory import Node
    from keystore.node.restoring import restore
    from keystore.node.snapshotting import snapshot
    from keystore.objects.directory import DirectoryPlace
    from keystore.snapshots.names import snapshot_ids

    connect, target, found = connector(), DirectoryPlace(place / "snapshots"), {}
    before, started_s = io_counts(), time.monotonic()
    if phase == "restore":
        restore(target, snapshot_ids(target)[-1], place / "restored", connect)
    else:
        with Node.open(place / ("restored" if phase == "export" else "node"), connect) as node:
            if phase == "import":
                found["sha256"] = node.import_file("db", "file", place / "input").sha256
            elif phase == "snapshot":
                snapshot(node, target)
            elif phase == "rotate":
                node.rotate_master()
            elif phase == "export":
                with Path(os.devnull).open("wb") as nowhere:
                    found["sha256"] = node.export_file("db", "file", nowhere).sha256
    seconds, after = time.monotonic() - started_s, io_counts()
    return {
        **found,
        "phase": phase,
        "seconds": round(seconds, 3),
        "peak_bytes": peak_bytes(),
        "read": after["read"] - before["read"],
        "written": after["written"] - before["written"],
    }


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[1], Path(sys.argv[2]))))
