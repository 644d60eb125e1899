"""An environment of their own for other software that is measured beside ours; none of it is a dependency of ours.

`python -m benchmarks.peers.environment` makes it, beside this file; needs a package index.
"""

import argparse
import subprocess
import venv
from pathlib import Path
from typing import Final

DIRECTORY: Final = Path(__file__).with_name(".venv")
PYTHON: Final = DIRECTORY / "bin" / "python"
PACKAGES: Final = ("apsw-sqlite3mc", "aws-encryption-sdk>=4", "duckdb", "pyturso", "sqlcipher3-wheels", "tink")
INSTALL_MAX_S = 600


def main() -> None:
    """Make the environment; what cannot be installed is named and left out."""
    argparse.ArgumentParser(prog="python -m benchmarks.peers.environment", description=__doc__).parse_args()
    if not PYTHON.exists():
        venv.create(DIRECTORY, with_pip=True)
    for package in PACKAGES:
        command = [str(PYTHON), "-m", "pip", "install", "-q", "--disable-pip-version-check", package]
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_MAX_S, check=False)
        said = (done.stderr.strip().splitlines() or [""])[-1]
        print(f"{package}: {'installed' if done.returncode == 0 else f'cannot be installed: {said}'}")


if __name__ == "__main__":
    main()
