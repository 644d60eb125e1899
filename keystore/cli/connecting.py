"""The options that lead a command to its KMS, and passphrases, which stand in for one.

A passphrase comes from the environment, or is asked for at a terminal: once for each key URI, and a new one twice.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import rich_click as click

if TYPE_CHECKING:  # at run time they would load gRPC at every start
    from keystore.crypto.secret import SecretKey
    from keystore.kms.connect import Connector
    from keystore.kms.local import AskPassphrase
    from keystore.kms.protocol import KmsConnector
    from keystore.kms.uri import KeyUri

PASSPHRASE = "KEYSTORE_PASSPHRASE"
"""Environment variable of the passphrase in force, and of the first one of a new node."""

NEW_PASSPHRASE = "KEYSTORE_NEW_PASSPHRASE"
"""Environment variable of the passphrase that takes the place of a key, or of another passphrase."""


def with_kms(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --kms-endpoint to a command; it arrives as `kms_endpoint`."""
    return click.option(
        "--kms-endpoint",
        metavar="ADDRESS",
        help="Where the KMS is: HOST:PORT for an emulator's gRPC on this machine, without an SDK; a URL for the "
        "cloud's own SDK. Default: KEYSTORE_AWS_ENDPOINT, KEYSTORE_AZURE_ENDPOINT or KEYSTORE_GCP_ENDPOINT, then "
        "KEYSTORE_KMS_ENDPOINT, then the cloud itself by its SDK. Key files and passphrases need none.",
    )(function)


def connector(kms_endpoint: str | None) -> Connector:
    """Return a function that gives the client for the URI of a key in use."""
    return _connect_with(kms_endpoint, PASSPHRASE, "Passphrase", confirm=False)


def first_connector(kms_endpoint: str | None) -> KmsConnector:
    """Return a function that gives the client for the key of a node that is being made."""
    return _connect_with(kms_endpoint, PASSPHRASE, "Passphrase", confirm=True)


def new_connector(kms_endpoint: str | None) -> KmsConnector:
    """Return a function that gives the client for a key that takes the place of another."""
    return _connect_with(kms_endpoint, NEW_PASSPHRASE, "New passphrase", confirm=True)


def _connect_with(kms_endpoint: str | None, environment: str, label: str, *, confirm: bool) -> Connector:
    from keystore.kms import credentials_file
    from keystore.kms.connect import connector as connect_with

    credentials = credentials_file.load(root_option("credentials_file"), root_option("credentials"))
    asker = _asker(environment, label, confirm=confirm)
    return connect_with(kms_endpoint, asker, credentials, root_option("source_address"))


def root_option(name: str) -> str | None:
    """Return an option that stands before the command."""
    context = click.get_current_context(silent=True)
    value = context.find_root().params.get(name) if context else None
    return str(value) if value else None


def _asker(environment: str, label: str, *, confirm: bool) -> AskPassphrase:
    from keystore.crypto.secret import SecretKey
    from keystore.errors import PassphraseError

    @cache
    def ask(text: str) -> bytes:
        given = os.environ.get(environment, "")
        if given:
            return os.fsencode(given)
        if not sys.stdin.isatty():
            raise PassphraseError(f"{text}: no passphrase was given. Nothing was changed; set {environment}.")
        typed = _prompt(f"{label} for {text}")
        if confirm and typed and _prompt("again") != typed:
            raise PassphraseError(f"{text}: the two passphrases differ. Nothing was changed; try again.")
        return typed

    def passphrase(uri: KeyUri) -> SecretKey:
        return SecretKey(ask(uri.text))

    return passphrase


def _prompt(text: str) -> bytes:
    return str(click.prompt(text, default="", show_default=False, hide_input=True, err=True)).encode()
