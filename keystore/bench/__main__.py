"""One group in a fresh process: `python -m keystore.bench GROUP quick|full PLACE`; prints a JSON array of results."""

import json
import sys
from pathlib import Path

from keystore.bench.running import run_here

if __name__ == "__main__":
    _, group, form, place = sys.argv
    print(json.dumps([result.encode() for result in run_here(group, Path(place), quick=form == "quick")]))
