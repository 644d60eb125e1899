"""Fuzzes every decoder for FUZZ_SECONDS in all (300 by default): `make fuzz`.

With atheris, guided by coverage; without it, by random changes of the corpus. What fails is kept as a file, and its
command line is printed: bytes that did harm once belong into the corpus, under the name of the bug.
"""

import os
import secrets
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from random import Random

from tests.fuzz.mutate import BYTES_MAX, mutated
from tests.fuzz.target import Target
from tests.fuzz.targets import TARGETS

SECONDS = int(os.environ.get("FUZZ_SECONDS", "300"))
MEMORY_MIB_MAX = 1024
CALL_SECONDS_MAX = 20
FOUND = Path(".fuzz")
"""Where inputs that fail are kept."""


def main() -> int:
    seconds = max(1, SECONDS // len(TARGETS))
    guided = find_spec("atheris") is not None
    if not guided:
        print("atheris is not installed (no wheel for this Python, or `pip install -e '.[fuzz]'` was not run):")
        print("random changes of the corpus, without coverage")
    FOUND.mkdir(exist_ok=True)
    failed = [name for name in TARGETS if not (_guided(name, seconds) if guided else _blind(TARGETS[name], seconds))]
    print(f"{len(TARGETS)} decoders, {seconds} s each, {len(failed)} failed: {', '.join(failed) or 'none'}")
    return 1 if failed else 0


def _guided(name: str, seconds: int) -> bool:
    with tempfile.TemporaryDirectory() as work:
        for seed, data in TARGETS[name].seeds():
            (Path(work) / seed).write_bytes(data)
        limits = (
            f"-max_total_time={seconds}",
            f"-rss_limit_mb={MEMORY_MIB_MAX}",
            f"-timeout={CALL_SECONDS_MAX}",
            f"-max_len={BYTES_MAX}",
            f"-artifact_prefix={FOUND}/{name}-",
            "-print_final_stats=1",
        )
        done = subprocess.run(
            [sys.executable, "-m", "tests.fuzz.guided", name, *limits, work],
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds + 300,
        )
    lines = done.stderr.splitlines()
    runs = next((line.split()[-1] for line in lines if "number_of_executed_units" in line), "?")
    print(f"{name}: {runs} inputs, {'ok' if done.returncode == 0 else 'FAILED'}", flush=True)
    if done.returncode != 0:
        print(done.stdout[-3000:], "\n".join(lines[-40:]), sep="\n", flush=True)
    return done.returncode == 0


def _blind(target: Target, seconds: int) -> bool:
    seed = secrets.randbits(32)
    random, seeds = Random(seed), [data for _, data in target.seeds()]
    end, runs = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        data, runs = mutated(random.choice(seeds), random.choice(seeds), random), runs + 1
        try:
            target.try_bounded(data)
        except Exception as error:
            path = FOUND / f"{target.name}-{seed}-{runs}"
            path.write_bytes(data)
            print(f"{target.name}: FAILED after {runs} inputs: {type(error).__name__}: {error}; {path}", flush=True)
            return False
    print(f"{target.name}: {runs} inputs, seed {seed}, ok", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main())
