"""What a data directory is sealed under: the content of `--data-key-file`, or the passphrase of the environment."""

import os
from pathlib import Path

from kms_emulator.cli.exits import USAGE, CommandError
from kms_emulator.storage.sealing import SECRET_BYTES_MAX
from kms_emulator.storage.sqlite import PASSPHRASE_NAME


def data_key(key_file: Path | None, data_dir: Path | None) -> bytes | None:
    """Return the secret, or None if there is none; without a data directory a passphrase is of no use and is left."""
    if key_file is None:
        passphrase = os.environ.get(PASSPHRASE_NAME, "")
        return os.fsencode(passphrase) if passphrase and data_dir else None
    if data_dir is None:
        raise CommandError("--data-key-file seals a data directory: name one with --data-dir", USAGE)
    try:
        with key_file.open("rb") as file:
            secret = file.read(SECRET_BYTES_MAX + 1)
    except OSError as error:
        raise CommandError(f"key file {key_file} cannot be read: {error.strerror}", USAGE) from None
    if not 0 < len(secret) <= SECRET_BYTES_MAX:
        raise CommandError(f"key file {key_file} must have 1 to {SECRET_BYTES_MAX} bytes", USAGE)
    return secret
