"""Google's calls by Google's own SDK, google-cloud-kms: to the service, or by an endpoint URL to anything that speaks
its gRPC.

Credentials are found as google-auth finds them, unless some are given. The package is an extra and takes a good part
of a second to load, so it is imported when the first client is opened.

Invariants:
1. What crosses a network is encrypted: an http URL is taken for this machine only, goes through no proxy, and carries
   no credentials.
2. A call ends: one attempt, with a deadline.
3. A status that nobody listed is *unreachable*, never *invalid*.
4. Real credentials that lie about on this machine are not shown to an endpoint on it: there, only what is given, or
   named by `GOOGLE_APPLICATION_CREDENTIALS`, is used.
5. A secret is in no log record: the SDK can log requests and answers at DEBUG, and is silenced during our calls.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc

from keystore.errors import KmsEndpointError, KmsSetupError, KmsUnreachableError
from keystore.kms.channel import TIMEOUT_S, Refusal
from keystore.kms.credentials import GcpCredentials
from keystore.kms.endpoints import ENDPOINT_ENVIRONMENT, is_local_url, require_private
from keystore.kms.gcp import GcpVersion
from keystore.kms.gcp_codes import kind_of
from keystore.kms.quiet import quiet, silence
from keystore.kms.refusals import OR_GRPC, RefusedError

AUDIENCE = "https://cloudkms.googleapis.com/"
"""What a service account's own token is for, also where the connection goes to an endpoint."""

SCOPE = "https://www.googleapis.com/auth/cloudkms"

NO_CREDENTIALS = (
    "google-auth found no credentials for Google; set GOOGLE_APPLICATION_CREDENTIALS, or name an emulator with "
    f"{ENDPOINT_ENVIRONMENT}"
)
"""What to say where google-auth names its own page."""


class SdkWire:
    """The calls through one client, which it owns. It is made by the first call: google-auth may ask a server."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make, self._client = make, None

    def get_version(self, name: str) -> GcpVersion:
        return _version(self._call("get_crypto_key_version", name=name))

    def get_primary(self, key: str) -> GcpVersion:
        return _version(self._call("get_crypto_key", name=key).primary)

    def encrypt(self, name: str, plaintext: bytes, aad: bytes) -> tuple[str, bytes]:
        reply = self._call("encrypt", name=name, plaintext=plaintext, additional_authenticated_data=aad)
        return reply.name, reply.ciphertext

    def decrypt(self, key: str, ciphertext: bytes, aad: bytes) -> bytes:
        reply = self._call("decrypt", name=key, ciphertext=ciphertext, additional_authenticated_data=aad)
        plaintext: bytes = reply.plaintext
        return plaintext

    def close(self) -> None:
        if self._client is not None:
            self._client.transport.close()

    def _call(self, method: str, **request: object) -> Any:
        with quiet():
            try:
                if self._client is None:
                    self._client = self._make()
                return getattr(self._client, method)(request=request, retry=None, timeout=TIMEOUT_S)
            # What goes wrong on the way to a token or an answer is of many packages: grpc, google-auth, requests.
            except Exception as error:
                raise classify(error) from None


def open_wire(url: str | None, credentials: GcpCredentials | None = None, ca: str | None = None) -> SdkWire:
    """Open the calls, at `url` or where the SDK's own settings lead; nothing is sent yet.

    Args:
        credentials: who calls; without, google-auth finds out.
        ca: path of the certificates that `url` is trusted by; without, those that gRPC trusts.

    Raises:
        KmsSetupError: google-cloud-kms is missing, or the credentials are no service account's.
        KmsEndpointError: the URL would show secrets on a network.
    """
    try:
        from google.cloud import kms
        from google.oauth2 import service_account
    except ImportError:
        raise KmsSetupError(
            "keys at Google need google-cloud-kms, which is not installed. Nothing was sent. Install it with "
            f"`pip install 'cmk-keystore[gcp]'`{OR_GRPC if credentials is None else ''}."
        ) from None
    if url is not None:
        require_private(url)
    silence("google.cloud.kms_v1.services.key_management_service.transports.grpc")
    given, accounts = None, _untyped(service_account.Credentials)
    if credentials is not None:
        try:
            given = accounts.from_service_account_info(credentials.service_account, scopes=[SCOPE])
        except Exception as error:
            text = f"the credentials are not a service account's: {type(error).__name__}"
            raise KmsSetupError(f"{text}. Nothing was sent; check its JSON key file.") from None
    if url is None:
        return SdkWire(lambda: kms.KeyManagementServiceClient(credentials=given))
    return SdkWire(_maker_at(url, given, ca))


def _maker_at(url: str, given: Any, ca: str | None) -> Callable[[], Any]:
    """Return what makes a client whose connection goes to `url`."""
    parts = urlsplit(url)
    if parts.path.strip("/"):
        raise KmsEndpointError(f"{url!r} has a path, and Google's SDK takes scheme, host and port. Nothing was sent.")
    where = f"{parts.netloc}" if parts.port else f"{parts.netloc}:{443 if parts.scheme == 'https' else 80}"
    if parts.scheme == "http" and given is not None:
        raise KmsEndpointError(f"{url!r} is not https, and credentials are not sent in clear. Nothing was sent.")
    roots = Path(ca).read_bytes() if ca is not None else None

    def make() -> Any:
        import google.auth
        from google.auth.credentials import AnonymousCredentials
        from google.cloud import kms

        transport = kms.KeyManagementServiceClient.get_transport_class("grpc")
        if parts.scheme == "http":
            channel = grpc.insecure_channel(where, options=[("grpc.enable_http_proxy", 0)])
            return kms.KeyManagementServiceClient(transport=transport(channel=channel))
        credentials = given
        if given is None and is_local_url(url) and not os.environ.get("GOOGLE_APPLICATION_CREDENTIALS"):
            credentials = _untyped(AnonymousCredentials)()
        elif given is None:
            credentials, _ = _untyped(google.auth.default)(scopes=[SCOPE])
        made = transport(
            host=where,
            credentials=credentials,
            ssl_channel_credentials=grpc.ssl_channel_credentials(roots),
            always_use_jwt_access=True,
            api_audience=AUDIENCE,
        )
        universe = getattr(credentials, "universe_domain", None)
        return kms.KeyManagementServiceClient(transport=made, client_options={"universe_domain": universe})

    return make


def classify(error: Exception) -> RefusedError:
    """Return what an exception of a call means."""
    status = getattr(error, "grpc_status_code", None)
    text = str(getattr(error, "message", None) or error)
    if type(error).__name__ == "DefaultCredentialsError":
        # A machine's metadata service that does not answer looks just like that.
        return RefusedError(KmsUnreachableError, type(error).__name__, NO_CREDENTIALS)
    if not isinstance(status, grpc.StatusCode):
        return RefusedError(KmsUnreachableError, type(error).__name__, text)
    kind = kind_of(Refusal(status, "", "", text))
    return RefusedError(kind, status.name, text)


def _untyped(value: Any) -> Any:
    """Return a part of google-auth, whose functions have no types."""
    return value


def _version(found: Any) -> GcpVersion:
    return GcpVersion(found.name, found.state.name, found.algorithm.name)
