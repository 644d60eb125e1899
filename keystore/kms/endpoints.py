"""Where a KMS is looked for: what was given, then the environment; and which addresses may see a key.

An endpoint is HOST:PORT for the emulator's gRPC, which needs no SDK, or an https or http URL for the cloud's own SDK.
Without any, the SDK asks the cloud itself. Plaintext goes to this machine only.
"""

import ipaddress
import os
from collections.abc import Mapping
from urllib.parse import urlsplit

from keystore.errors import KmsEndpointError

ENDPOINT_ENVIRONMENT = "KEYSTORE_KMS_ENDPOINT"
"""Endpoint of every cloud's keys."""

ENDPOINT_ENVIRONMENTS: Mapping[str, str] = {
    "aws": "KEYSTORE_AWS_ENDPOINT",
    "azure": "KEYSTORE_AZURE_ENDPOINT",
    "gcp": "KEYSTORE_GCP_ENDPOINT",
}
"""Endpoint of one cloud's keys, before the one for all."""

CA_ENVIRONMENT = "KEYSTORE_KMS_CA"
"""Path of the certificate, as PEM, that an https endpoint is trusted by; the emulator's is printed when it starts."""

SOURCE_ENVIRONMENT = "KEYSTORE_SOURCE_ADDRESS"
"""The address of this machine that connections to Azure come from, on a machine that has several: what a vault's
network rules see."""


def endpoint_of(provider: str, given: str | None) -> str | None:
    """Return the endpoint for keys of a cloud, HOST:PORT or a URL; None means the cloud itself."""
    own = os.environ.get(ENDPOINT_ENVIRONMENTS[provider])
    return given or own or os.environ.get(ENDPOINT_ENVIRONMENT) or None


def ca_file() -> str | None:
    """Return what `CA_ENVIRONMENT` says; None means the certificates that the SDK trusts by itself.

    Raises:
        KmsEndpointError: there is no such file.
    """
    path = os.environ.get(CA_ENVIRONMENT) or None
    if path is not None and not os.path.isfile(path):  # noqa: PTH113 - the path goes to SDKs as it is
        raise KmsEndpointError(f"{CA_ENVIRONMENT} names {path!r}, which is not a file. Nothing was sent.")
    return path


def source_address(given: str | None) -> str | None:
    """Return the address that connections come from; None leaves it to the system.

    Raises:
        KmsEndpointError: it is not an address.
    """
    found = given or os.environ.get(SOURCE_ENVIRONMENT) or None
    if found is not None:
        try:
            ipaddress.ip_address(found)
        except ValueError:
            raise KmsEndpointError(f"{found!r} is not an address, such as 10.0.0.7. Nothing was sent.") from None
    return found


def is_url(endpoint: str) -> bool:
    """Tell a URL from HOST:PORT."""
    return "://" in endpoint


def is_local_url(url: str | None) -> bool:
    """Tell whether a URL leads to this machine."""
    return url is not None and is_loopback(urlsplit(url).hostname or "")


def require_private(url: str) -> None:
    """Refuse a URL on which others could read along.

    Raises:
        KmsEndpointError: neither https nor http on this machine, or not a URL with a host.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise KmsEndpointError(f"{url!r} is not a URL: {error}. Nothing was sent.") from None
    if parts.scheme not in ("http", "https") or not host:
        raise KmsEndpointError(f"{url!r} is not https://HOST or http://HOST:PORT. Nothing was sent.")
    if parts.scheme == "http" and not is_loopback(host):
        raise KmsEndpointError(
            f"{url!r} is not on this machine, and http would show keys on a network. Use https, or a loopback address "
            "such as http://127.0.0.1:4711. Nothing was sent."
        )


def is_loopback(host: str) -> bool:
    """Tell whether `host` is this machine: `localhost`, or a loopback address with or without brackets."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False
