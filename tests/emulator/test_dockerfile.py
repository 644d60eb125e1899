"""The Dockerfile's install and start steps in a clean virtual environment. NOT A BUILD: no image is made here."""

import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.emulator.running import wait_until

ROOT = Path(__file__).parents[2]
INSTALL_S_MAX = 280
OUTSIDE = "install -d -o 10001 -g 10001 -m 0700 /data"
"""The one step that only an image can take."""

Step = tuple[str, str]


def steps() -> list[Step]:
    """Return instruction and argument of each line of the Dockerfile, in order."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in lines)]


def only(name: str) -> str:
    [argument] = [argument for found, argument in steps() if found == name]
    return argument


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Take COPY, WORKDIR, ENV and RUN steps below a folder; return the environment in which programs are found."""
    root = tmp_path_factory.mktemp("image")
    venv.create(root / "venv", with_pip=True)
    variables = {"PATH": f"{root / 'venv' / 'bin'}:{os.environ['PATH']}", "HOME": str(root)}
    variables |= {
        name: value for name, value in os.environ.items() if name.startswith("PIP_") or name.endswith("_proxy")
    }
    here = root
    for name, argument in steps():
        if name == "WORKDIR":
            here = root / argument.lstrip("/")
            here.mkdir(exist_ok=True)
        elif name == "COPY":
            copy(argument.split(), here)
        elif name == "ENV":
            key, _, value = argument.partition("=")
            variables[key] = value
        elif name == "RUN" and argument != OUTSIDE:
            command = argument.replace("--no-cache-dir ", "")  # what pip fetched once it need not fetch again
            done = subprocess.run(
                ["/bin/sh", "-c", command],
                cwd=here,
                env=variables | pip_settings(),
                capture_output=True,
                text=True,
                timeout=INSTALL_S_MAX,
                check=False,
            )
            assert done.returncode == 0, done.stdout + done.stderr
    return variables


def pip_settings() -> dict[str, str]:
    """Return where pip of this machine gets packages, if it is told so by a file of its user."""
    shown = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    pairs = [line.partition("=") for line in shown.stdout.splitlines() if line.startswith("global.")]
    return {
        f"PIP_{name.removeprefix('global.').upper().replace('-', '_')}": value.strip("'") for name, _, value in pairs
    }


def copy(names: list[str], here: Path) -> None:
    """Copy as COPY does: files into a folder, a folder's content to a name."""
    *sources, target = names
    for source in sources:
        if (ROOT / source).is_dir():
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / source, here / target, ignore=ignore, dirs_exist_ok=True)
        else:
            shutil.copy(ROOT / source, here / target)


def test_it_runs_as_nobody_from_a_slim_image() -> None:
    assert only("FROM") == "python:${PYTHON}-slim"
    assert only("USER") == "10001:10001"
    names = [name for name, _ in steps()]
    assert names.index("USER") > max(number for number, name in enumerate(names) if name == "RUN")
    assert [argument for name, argument in steps() if name == "RUN"][1:] == [OUTSIDE]


def test_install_and_start_steps_work(installed: dict[str, str], tmp_path: Path) -> None:
    command = json.loads(only("ENTRYPOINT")) + json.loads(only("CMD"))
    ready = tmp_path / "ready.json"
    command += ["--port", "0", "--http-port", "0", "--ready-file", str(ready)]
    server = subprocess.Popen(
        command, cwd=tmp_path, env=installed, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        wait_until(lambda: ready.exists() or server.poll() is not None)
        assert server.poll() is None, server.communicate()[1]
        port = json.loads(ready.read_text())["aws"].rpartition(":")[2]
        check = json.loads(only("HEALTHCHECK").partition(" CMD ")[2])
        for wanted, code in ((port, 0), ("1", 1)):
            asked = [part.replace("4711", wanted) for part in check]
            done = subprocess.run(asked, cwd=tmp_path, env=installed, capture_output=True, timeout=30, check=False)
            assert done.returncode == code
    finally:
        server.terminate()
        server.communicate(timeout=30)
    assert server.returncode == 0


def test_default_ports_are_the_exposed_ones() -> None:
    from kms_emulator.cli.endpoint import PORT_DEFAULT, default_grpc_tls_port, default_http_port, default_https_port

    http = default_http_port(PORT_DEFAULT)
    https = default_https_port(http)
    assert [int(port) for port in only("EXPOSE").split()] == [PORT_DEFAULT, http, https, default_grpc_tls_port(https)]
