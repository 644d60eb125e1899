"""One group in a fresh process: `python -m keystore.bench GROUP quick|full`; prints a JSON array of results."""

import json
import sys

from keystore.bench.running import run_here

if __name__ == "__main__":
    print(json.dumps([result.encode() for result in run_here(sys.argv[1], quick=sys.argv[2] == "quick")]))
