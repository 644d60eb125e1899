"""Azure's SDK for Java, unmodified, against the emulator: the program in `java/` lives a key's life."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.emulator.running import process
from tests.system.led_here import run_led_here

pytestmark = pytest.mark.system

SOURCE = Path(__file__).parent / "java"
BUILD_MAX_S = 280


def test_life_of_a_key(tmp_path: Path) -> None:
    project = tmp_path / "java"
    shutil.copytree(SOURCE, project)
    # The project's file names versions; what they need in turn comes from the same registry.
    build = ["mvn", "-q", "-B", "package", "dependency:copy-dependencies"]
    subprocess.run(build, cwd=project, check=True, timeout=BUILD_MAX_S)
    trusted = tmp_path / "trusted.p12"
    with process(tmp_path) as running:
        importing = ["keytool", "-importcert", "-noprompt", "-alias", "emulator", "-storetype", "PKCS12"]
        store = ["-keystore", str(trusted), "-storepass", "changeit", "-file", str(running.ready["ca"])]
        subprocess.run([*importing, *store], check=True, timeout=60, capture_output=True)
        options = f"-Djavax.net.ssl.trustStore={trusted} -Djavax.net.ssl.trustStorePassword=changeit"
        program = ["java", "-cp", f"{project}/target/classes:{project}/target/dependency/*", "Life"]
        ended = run_led_here(running, tmp_path, program, JAVA_TOOL_OPTIONS=options)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    steps = ended.stdout.splitlines()
    assert len(steps) == 12
    assert (steps[0], steps[-1]) == ("create", "a key that is not there is refused")
