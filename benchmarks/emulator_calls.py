"""Encrypt and Decrypt of the emulator over every wire, beside sealing as many bytes with the library it stands on.

`python -m benchmarks.emulator_calls quick|full PLACE` prints a JSON array of results: one server in a process of its
own, one turn for each wire. `benchmarks.clouds` and `benchmarks.emulator` say more of the wires, and of moto beside it.
"""

import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from benchmarks.clouds import all_ready, all_wires, make_google_key
from benchmarks.emulator_load import SECRET
from benchmarks.emulator_servers import emulator
from keystore.bench.result import Result
from keystore.bench.timing import in_turns, timed

TURN_S, TURN_QUICK_S = 0.4, 0.1
CALLS = 1000


def measure(folder: Path, turn_s: float) -> Iterator[Result]:
    """Yield calls of each wire; `seconds` is the time in which one more is answered, with several under way."""
    aead, nonce = AESGCM(bytes(32)), bytes(12)
    library = timed(lambda: [aead.encrypt(nonce, SECRET, None) for _ in range(CALLS)])
    primitive_s = in_turns({"library": library}, turn_s).median_s("library") / CALLS
    with emulator(folder, all_ready) as server, ExitStack() as stack:
        make_google_key(server.grpc)
        for wire in all_wires(server, stack):
            wire.per_second(turn_s / 4)
            seconds = 1 / wire.per_second(turn_s)
            name = f"emulator: {wire.cloud} {wire.operation}, {wire.wire}"
            yield Result(name, "emulator", len(SECRET), 1, seconds, of_primitive=primitive_s / seconds)


def main() -> None:
    with tempfile.TemporaryDirectory(dir=sys.argv[2]) as folder:
        found = measure(Path(folder), TURN_QUICK_S if sys.argv[1] == "quick" else TURN_S)
        print(json.dumps([result.encode() for result in found]))


if __name__ == "__main__":
    main()
