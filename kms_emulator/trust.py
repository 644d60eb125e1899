"""What clients trust: the emulator's authority alone, or in one file with what this machine trusts anyway.

Most programs replace what they trust by what a variable names. With the bundle, those that talk to other servers over
HTTPS too go on working.
"""

import ssl
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

BUNDLE_FILE = "ca-bundle.pem"
"""Beside the authority's certificate."""


def bundle_of(ca: str) -> str:
    """Return the path of the bundle beside an authority's certificate; of the certificate itself if there is none."""
    bundle = Path(ca).with_name(BUNDLE_FILE)
    return str(bundle) if bundle.is_file() else ca


def write_bundle(ca_path: Path) -> None:
    """Write the bundle of a certificate."""
    ca_path.with_name(BUNDLE_FILE).write_bytes(ca_path.read_bytes() + _trusted_here())


def _trusted_here() -> bytes:
    """Return the certificates that OpenSSL trusts on this machine, or else those that requests brings along."""
    paths = ssl.get_default_verify_paths()
    for path in (paths.cafile, paths.openssl_cafile):
        with suppress(OSError):
            if path is not None:
                return Path(path).read_bytes()
    if find_spec("certifi") is None:
        return b""
    import certifi

    return Path(certifi.where()).read_bytes()
