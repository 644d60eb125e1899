"""docs/USING_AZURE.md: its first example runs as it stands, from a shell in which nothing waits but what it says."""

import os
import re
import subprocess
import sys
from pathlib import Path

GUIDE = (Path(__file__).parents[3] / "docs" / "USING_AZURE.md").read_text(encoding="utf-8")
TIMEOUT_S = 120


def test_first_example_needs_no_luck(tmp_path: Path) -> None:
    shell = re.findall(r"^```sh\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)[0]
    python = re.findall(r"^```python\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)[0]
    assert "serve --ready-file" in shell
    (tmp_path / "example.py").write_text(python + "    print(key.name)\n")
    ends = f"trap 'kill $!; wait' EXIT\n{sys.executable} example.py\n"
    script = shell.replace("kms-emulator serve", "kms-emulator serve --port 0") + ends
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "cmk"), done.stderr
