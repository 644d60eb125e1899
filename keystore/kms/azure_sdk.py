"""Azure's calls by Azure's own SDKs, azure-identity and azure-keyvault-keys: to a vault, or by an endpoint URL to
anything that speaks Key Vault's REST.

Credentials are found as azure-identity finds them, unless some are given. Encrypt and Decrypt go through the client's
`send_request`, because its CryptographyClient would encrypt at home, also under a key that was disabled meanwhile. Both
packages are an extra and take a while to load, so they are imported when the first client is opened.

Invariants:
1. What crosses a network is encrypted: the SDK refuses anything but https, and redirections are not followed.
2. A call ends: one attempt, with timeouts, and an answer with limits (`bounded_http`). The SDK's own repetition would
   wait for as long as an answer asks it to.
3. An answer that nobody listed is *unreachable*, never *invalid*. So is every 5xx, whatever its code.
4. Real credentials that lie about on this machine are not shown to an endpoint on it: there, only what is given, or
   set in the environment for the purpose, is used.
5. What is answered is in no log record, for it may have a secret of ours in it: the SDK logs what it cannot read.
"""

import base64
import binascii
import os
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from keystore.errors import KmsEndpointError, KmsError, KmsSetupError, KmsUnreachableError
from keystore.kms.azure import ALGORITHM, AzureKey
from keystore.kms.azure_codes import BLOCKED_ADDRESS, CODES, DECRYPT_CODES, SIGN_IN
from keystore.kms.bounded_http import bounded_session
from keystore.kms.credentials import AzureCredentials
from keystore.kms.endpoints import is_local_url, require_private
from keystore.kms.quiet import quiet, silence_packages
from keystore.kms.refusals import OR_GRPC, RefusedError

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken, TokenCredential
    from azure.core.rest import HttpResponse
    from azure.keyvault.keys import KeyClient

Value = TypeVar("Value")

CONNECT_TIMEOUT_S = 3
READ_TIMEOUT_S = 5
"""LIMIT: seconds for one request, to the vault or to whoever gives out tokens; each place where azure-identity looks
for a token may need as much again."""

CONFIGURED = ("AZURE_CLIENT_ID", "IDENTITY_ENDPOINT", "MSI_ENDPOINT", "AZURE_FEDERATED_TOKEN_FILE")
"""Environment variables by which somebody said who calls."""

SECRET_VARIABLES = ("AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PATH")
"""Environment variables that EnvironmentCredential needs one of, besides AZURE_TENANT_ID and AZURE_CLIENT_ID."""

FAR_S = 1 << 33
"""When the token of nobody ends."""

_SIGN_IN_CODE = re.compile(r"AADSTS[0-9]{4,8}")


class SdkWire:
    """The calls through one client of a vault; it owns both that and `credential`, which says who calls."""

    def __init__(self, client: "KeyClient", credential: "TokenCredential", host: str) -> None:
        self._client, self.credential, self._host = client, credential, host

    def get_key(self, name: str, version: str) -> AzureKey:
        found = self._call("GET", f"/keys/{name}/{version}")
        key, attributes = _field(found, "key", dict), _field(found, "attributes", dict)
        operations = frozenset(_field(key, "key_ops", list))
        begins_s, ends_s = attributes.get("nbf"), attributes.get("exp")
        _require_kid(key, name, version)
        return AzureKey(version, bool(attributes.get("enabled")), operations, begins_s, ends_s)

    def encrypt(self, name: str, version: str, plaintext: bytes) -> tuple[str, bytes]:
        found = self._call("POST", f"/keys/{name}/{version}/encrypt", _operation(plaintext))
        _require_kid(found, name, version)
        return version, _value(found)

    def decrypt(self, name: str, version: str, ciphertext: bytes) -> bytes:
        return _value(self._call("POST", f"/keys/{name}/{version}/decrypt", _operation(ciphertext), DECRYPT_CODES))

    def list_keys(self) -> None:
        """Ask for the first of the vault's keys: whether that is allowed."""
        self._call("GET", "/keys?maxresults=1")

    def is_deleted(self, name: str) -> bool:
        try:
            self._call("GET", f"/deletedkeys/{name}")
        except RefusedError:
            return False
        return True

    def close(self) -> None:
        self._client.close()
        close: Callable[[], None] = getattr(self.credential, "close", lambda: None)
        close()

    def _call(
        self, method: str, path: str, body: object = None, codes: Mapping[str, type[KmsError]] = CODES
    ) -> Mapping[str, Any]:
        from azure.core.rest import HttpRequest

        # The vault is the host, also where the connection goes to an endpoint.
        request = HttpRequest(method, path, json=body, headers={"Host": self._host})
        return read_answer(send(lambda: self._client.send_request(request)), codes)


def send(request: "Callable[[], HttpResponse]") -> "HttpResponse":
    """Make a request of an SDK's client; raises `RefusedError` and nothing else."""
    with quiet():
        try:
            return request()
        # What goes wrong on the way to a token or an answer is of many packages: requests, msal, azure-core.
        except Exception as error:
            raise classify(error) from None


class _Nobody:
    """A credential for an endpoint on this machine that asks for none."""

    def get_token(self, *_: str, **__: object) -> "AccessToken":
        from azure.core.credentials import AccessToken

        return AccessToken("nobody", FAR_S)


def open_wire(
    host: str,
    url: str | None,
    credentials: AzureCredentials | None = None,
    ca: str | None = None,
    source: str | None = None,
) -> SdkWire:
    """Open the calls of the vault `host`, there or at `url`; nothing is sent yet.

    Args:
        credentials: who calls; without, azure-identity finds out.
        ca: path of the certificates that `url` is trusted by; without, those that requests trusts.
        source: the address of this machine that connections come from; without, any.

    Raises:
        KmsSetupError: a package is missing, or its settings cannot be used.
        KmsEndpointError: the URL is not https.
    """
    try:
        import azure.identity
        from azure.keyvault.keys import KeyClient
    except ImportError:
        raise KmsSetupError(
            "keys at Azure need azure-identity and azure-keyvault-keys, which are not installed. Nothing was sent. "
            f"Install them with `pip install 'cmk-keystore[azure]'`{OR_GRPC if credentials is None else ''}."
        ) from None
    if url is not None:
        require_private(url)
        if not url.startswith("https:"):
            raise KmsEndpointError(f"{url!r} is not https, and Azure's SDK takes nothing else. Nothing was sent.")
    settings = sdk_settings(ca if url is not None else None, source)
    try:
        credential = open_credential(azure.identity, url, credentials, settings())
        # On this machine no name tells the vault from anybody else, so there is nothing to hold a challenge against.
        client = KeyClient(
            url or f"https://{host}", credential, verify_challenge_resource=not is_local_url(url), **settings()
        )
    except ValueError as error:
        raise KmsSetupError(f"azure-identity cannot be set up: {error}. Nothing was sent; check AZURE_*.") from None
    silence_packages("azure", "msal")
    return SdkWire(client, credential, host)


def sdk_settings(ca: str | None, source: str | None) -> Callable[[], dict[str, Any]]:
    """Return what makes the settings of one client, or credential: each has connections of its own."""
    limits: dict[str, Any] = {"connection_timeout": CONNECT_TIMEOUT_S, "read_timeout": READ_TIMEOUT_S}
    if ca is not None:
        limits["connection_verify"] = ca

    def make() -> dict[str, Any]:
        from azure.core.pipeline.transport import RequestsTransport

        transport = RequestsTransport(session=bounded_session(source), **limits)
        return {**limits, "retry_total": 0, "permit_redirects": False, "transport": transport}

    return make


def open_credential(
    identity: Any, url: str | None, given: AzureCredentials | None, settings: Mapping[str, Any]
) -> "TokenCredential":
    """Return the credential that is given, or else configured; then its refusals are seen as such."""
    elsewhere = {**settings, "disable_instance_discovery": url is not None}
    credential: TokenCredential
    if given is not None:
        authority = given.authority or os.environ.get("AZURE_AUTHORITY_HOST") or url
        elsewhere |= {"authority": authority} if authority else {}
        credential = identity.ClientSecretCredential(given.tenant_id, given.client_id, given.client_secret, **elsewhere)
    elif is_local_url(url) and not any(os.environ.get(name) for name in CONFIGURED):
        credential = _Nobody()
    elif os.environ.get("AZURE_TENANT_ID") and any(os.environ.get(name) for name in SECRET_VARIABLES):
        credential = identity.EnvironmentCredential(**elsewhere)
    else:
        credential = identity.DefaultAzureCredential(exclude_environment_credential=True, **elsewhere)
    return credential


def classify(error: Exception) -> RefusedError:
    """Return what an exception of a call means: Entra's refusal by its code, else something on the way."""
    text = str(error)
    code = _SIGN_IN_CODE.search(str(error))
    if code is None:
        return RefusedError(KmsUnreachableError, type(error).__name__, text)
    status = getattr(getattr(error, "response", None), "status_code", 0)
    kind = KmsUnreachableError if status >= 500 else SIGN_IN.get(code[0], KmsUnreachableError)
    return RefusedError(kind, code[0], text)


def read_answer(response: "HttpResponse", codes: Mapping[str, type[KmsError]]) -> Mapping[str, Any]:
    """Return the body of an answer that is yes."""
    try:
        body = response.json()
    except ValueError:
        body = None
    if response.status_code != 200:
        raise refusal_of(response.status_code, body, codes)
    if not isinstance(body, dict):
        raise RefusedError(KmsUnreachableError, "unreadable answer", "it is no JSON object")
    return body


def refusal_of(status: int, body: object, codes: Mapping[str, type[KmsError]]) -> RefusedError:
    """Return what an answer that is no means: the inner code decides, then the outer one."""
    found = body.get("error") if isinstance(body, dict) else None
    error = found if isinstance(found, dict) else {}
    outer, text, inner_error = error.get("code"), str(error.get("message") or ""), error.get("innererror")
    inner = inner_error.get("code") if isinstance(inner_error, dict) else None
    named = [code for code in (inner, outer) if isinstance(code, str) and code]
    kind = next((codes[code] for code in named if code in codes), KmsUnreachableError)
    if status >= 500 or (inner is None and text.startswith(BLOCKED_ADDRESS)):
        kind = KmsUnreachableError
    code = named[0] if named else f"HTTP status {status}"
    return RefusedError(kind, code, text)


def _operation(value: bytes) -> dict[str, str]:
    return {"alg": ALGORITHM, "value": base64.urlsafe_b64encode(value).rstrip(b"=").decode()}


def _value(found: Mapping[str, Any]) -> bytes:
    text = _field(found, "value", str)
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        raise RefusedError(KmsUnreachableError, "unreadable answer", "its value is not base64url") from None


def _require_kid(found: Mapping[str, Any], name: str, version: str) -> None:
    """Refuse an answer about another key, wherever its vault is said to be."""
    if _field(found, "kid", str).lower().split("/")[-2:] != [name.lower(), version.lower()]:
        raise RefusedError(KmsUnreachableError, "unreadable answer", "it is about another key")


def _field(found: Mapping[str, Any], name: str, kind: type[Value]) -> Value:
    """Return a field that every answer of Azure has."""
    value = found.get(name)
    if not isinstance(value, kind) or not value:
        raise RefusedError(KmsUnreachableError, "unreadable answer", f"there is no {name} in it")
    return value
