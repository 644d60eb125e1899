"""Runs a program whose environment alone leads it to an emulator, with a host name for its first vault.

The SDKs of JavaScript and Java take a vault by its host name only, and no name below `localhost` resolves everywhere.
So the program runs in a mount namespace of its own, where /etc/hosts has one more line.
"""

import json
import os
import subprocess
from pathlib import Path

from tests.emulator.clients.environment import environment
from tests.emulator.running import Process, run_cli

HOST = "v.vault.localhost"
RUN_MAX_S = 120
_KEPT_OUT = ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "HTTP_PROXY", "HTTPS_PROXY")


def run_led_here(
    emulator: Process, folder: Path, command: list[str], **more: str
) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end."""
    printed = run_cli("env", "--gcp", "grpc", "--json", endpoint=emulator.endpoint)
    assert printed.returncode == 0, printed.stderr
    port = str(emulator.ready["azure"]).rpartition(":")[2]
    variables = {
        **{name: value for name, value in os.environ.items() if name.upper() not in _KEPT_OUT},
        **json.loads(printed.stdout),
        **environment(str(emulator.ready["aws"])),
        "VAULT_URL": f"https://{HOST}:{port}",
        "GCP_TLS": f"localhost:{str(emulator.ready['gcp_tls']).rpartition(':')[2]}",
        **more,
    }
    hosts = folder / "hosts"
    hosts.write_text(f"127.0.0.1 localhost {HOST}\n")
    script = 'mount --bind "$0" /etc/hosts && exec "$@"'
    return subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, str(hosts), *command],
        env=variables,
        capture_output=True,
        text=True,
        timeout=RUN_MAX_S,
        check=False,
    )
