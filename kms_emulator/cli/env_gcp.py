"""Google's part of `kms-emulator env`: variables that lead clients here which name no endpoint, and the key file.

Google's libraries build the address of a service from the universe domain: ``cloudkms.`` in front of it. They take the
domain from the environment and from the key file, which must agree. gRPC finds ``cloudkms.localhost`` by itself. Over
REST the name would have to resolve; there the domain has an address behind an @, so that ``cloudkms.…@`` is what a URL
has before its host.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path

from keystore_api.admin.v1 import admin_pb2 as pb

from kms_emulator.cli.exits import UNUSABLE, USAGE, CommandError
from kms_emulator.cli.service_account import key_file, key_pair

TRANSPORTS = ("grpc", "rest")
EMAIL = "env@emulated.iam.gserviceaccount.com"
ROLE = "roles/owner"
_LOOPBACK = ("localhost", "127.", "[::1]")

PutAccount = Callable[[pb.PutServiceAccountRequest], pb.ServiceAccount]


def universe_domain(transport: str, azure: str | None, gcp_tls: str | None) -> str:
    """Return the domain that leads clients of a transport here, from the URL of HTTPS and the place of gRPC over TLS.

    Raises:
        CommandError: that is not served, or not on this machine.
    """
    if azure is None or gcp_tls is None:
        raise CommandError(
            "Google's clients are led over TLS, which is not served: install cmk-keystore[emulator]", USAGE
        )
    if transport == "rest":
        return f"emulator@{azure.removeprefix('https://')}"
    host, _, port = gcp_tls.rpartition(":")
    if not host.startswith(_LOOPBACK):
        raise CommandError(f"{host} is another machine; gRPC clients are led to localhost only. Use --gcp rest", USAGE)
    return f"localhost:{port}"


def gcp_variables(universe: str, ca: str, path: Path) -> dict[str, str]:
    """Return what Google's libraries and gRPC read."""
    return {
        "GOOGLE_CLOUD_UNIVERSE_DOMAIN": universe,
        "GOOGLE_APPLICATION_CREDENTIALS": str(path),
        "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": ca,
        "REQUESTS_CA_BUNDLE": ca,
    }


def write_key_file(path: Path, universe: str, token_uri: str, put: PutAccount) -> None:
    """Write a new key of a service account that may do everything, for its owner's eyes only; `put` makes it known."""
    private, public = key_pair()
    made = put(pb.PutServiceAccountRequest(email=EMAIL, roles=[ROLE], public_key=public))
    text = json.dumps(key_file(made, private, token_uri, universe), indent=2)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.unlink(missing_ok=True)
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text + "\n")
        unfinished.replace(path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        text = f"key file {path} cannot be written: {error.strerror}. Name another with --gcp-key-file"
        raise CommandError(text, UNUSABLE) from None
