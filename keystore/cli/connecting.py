"""The options that lead a command to its KMS."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import rich_click as click

if TYPE_CHECKING:  # at run time they would load gRPC at every start
    from keystore.crypto.secret import SecretKey
    from keystore.kms.protocol import KmsConnector


def with_kms(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --kms-endpoint to a command; it arrives as `kms_endpoint`."""
    return click.option(
        "--kms-endpoint",
        metavar="ADDRESS",
        help="Where the KMS is: HOST:PORT of gRPC on this machine, or for keys at AWS a URL. Default: for keys at AWS "
        "KEYSTORE_AWS_ENDPOINT, then KEYSTORE_KMS_ENDPOINT, then AWS itself. Key files and passphrases need none.",
    )(function)


def connector(kms_endpoint: str | None) -> KmsConnector:
    """Return a function that gives the client for a key URI."""
    from keystore.kms.connect import connector as connect_with

    return connect_with(kms_endpoint, _passphrase())


def _passphrase() -> Callable[[], SecretKey] | None:
    """Return a question at the terminal, or None where nobody sits there or the environment has the answer."""
    from keystore.crypto.secret import SecretKey
    from keystore.kms.local import PASSPHRASE_ENVIRONMENT

    if os.environ.get(PASSPHRASE_ENVIRONMENT) or not sys.stdin.isatty():
        return None
    return lambda: SecretKey(click.prompt("Passphrase", hide_input=True, err=True).encode())
