"""Where a KMS is looked for: what was given, then the environment; and which addresses may see a key.

An endpoint is HOST:PORT for gRPC, or for AWS also an http or https URL. Without any, the AWS client asks the service
itself. Plaintext goes to this machine only.
"""

import ipaddress
import os
from urllib.parse import urlsplit

from keystore.errors import KmsEndpointError

ENDPOINT_ENVIRONMENT = "KEYSTORE_KMS_ENDPOINT"
"""Endpoint of every cloud's keys."""

AWS_ENDPOINT_ENVIRONMENT = "KEYSTORE_AWS_ENDPOINT"
"""Endpoint of AWS keys, before the one for all."""


def grpc_endpoint(given: str | None) -> str | None:
    """Return the HOST:PORT for keys of a cloud that is reached over gRPC only, or None."""
    return given or os.environ.get(ENDPOINT_ENVIRONMENT) or None


def aws_endpoint(given: str | None) -> str | None:
    """Return the endpoint for AWS keys, HOST:PORT or a URL; None means the service itself."""
    return given or os.environ.get(AWS_ENDPOINT_ENVIRONMENT) or grpc_endpoint(None)


def is_url(endpoint: str) -> bool:
    """Tell a URL from HOST:PORT."""
    return "://" in endpoint


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
