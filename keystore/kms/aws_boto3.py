"""AWS's calls by AWS's own SDK: to the service, or by an endpoint URL to anything that speaks its HTTP.

Credentials, profiles, roles and `AWS_ENDPOINT_URL_KMS` are found as boto3 always finds them. boto3 is an extra and
takes a good part of a second to load, so it is imported when the first client is opened.

Invariants:
1. What crosses a network is encrypted: an http URL is taken for this machine only, wherever it was configured, and no
   proxy is asked for it.
2. A call ends: `ATTEMPTS_MAX` attempts, each with timeouts, and an answer with limits (`bounded_http`). A second
   attempt wraps or unwraps the same bytes again, which changes nothing at the KMS.
3. An answer that nobody listed is *unreachable*, never *invalid*. So is every 5xx, whatever its code.
4. A secret is in no log record: botocore logs bodies at DEBUG, and is silenced during our calls.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from keystore.errors import KmsCredentialsError, KmsError, KmsSetupError, KmsUnreachableError
from keystore.kms.aws import AwsKey
from keystore.kms.aws_codes import CODES, kind_of
from keystore.kms.aws_sessions import client_maker
from keystore.kms.bounded_http import bound_boto3
from keystore.kms.credentials import AwsCredentials
from keystore.kms.endpoints import ENDPOINT_ENVIRONMENT, require_private
from keystore.kms.quiet import quiet, silence
from keystore.kms.refusals import OR_GRPC, RefusedError

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

Value = TypeVar("Value")

ATTEMPTS_MAX = 3
"""LIMIT: attempts of one call, the first included; AWS's own default, whatever the environment says."""

CONNECT_TIMEOUT_S = 3.0
READ_TIMEOUT_S = 5.0
"""LIMIT: seconds for a connection, and for one read. KMS answers in milliseconds; a call without an answer fails after
3 * (3 + 5) seconds and two pauses of at most 1 and 2 seconds, one whose answers do not end after 3 * (3 + 10)."""

EXCEPTIONS: Mapping[str, type[KmsError]] = {
    # No source of credentials has any, or only a part.
    "NoCredentialsError": KmsCredentialsError,
    "PartialCredentialsError": KmsCredentialsError,
    "NoAuthTokenError": KmsCredentialsError,
    "RefreshWithMFAUnsupportedError": KmsCredentialsError,
    # A sign-in has ended, or is missing.
    "SSOError": KmsCredentialsError,
    "LoginError": KmsCredentialsError,
    # Their source did not answer, which says nothing about them.
    "CredentialRetrievalError": KmsUnreachableError,
    "MetadataRetrievalError": KmsUnreachableError,
    "TokenRetrievalError": KmsUnreachableError,
    # The way to the service: names, connections, TLS, proxies, timeouts.
    "ConnectionError": KmsUnreachableError,
    "HTTPClientError": KmsUnreachableError,
    "EndpointProviderError": KmsUnreachableError,
    "BaseEndpointResolverError": KmsUnreachableError,
    # Everything else that botocore may raise: its settings, its own checks, what a later version adds.
    "BotoCoreError": KmsUnreachableError,
}
"""botocore's exceptions that are no answer of AWS, by the nearest class that is listed."""

HINTS: Mapping[str, str] = {
    "NoCredentialsError": "boto3 found no credentials for AWS; set AWS_PROFILE or AWS_ACCESS_KEY_ID, or name an "
    f"emulator with {ENDPOINT_ENVIRONMENT}",
}
"""What to say where botocore's own words do not help."""


class Boto3Wire:
    """The calls through one boto3 client, which it owns."""

    def __init__(self, client: "KMSClient") -> None:
        self._client = client

    def describe_key(self, key_id: str) -> AwsKey:
        reply = _call(self._client.describe_key, KeyId=key_id)
        metadata = _field(reply, "KeyMetadata", dict)
        arn, state, usage = (_field(metadata, name, str) for name in ("Arn", "KeyState", "KeyUsage"))
        return AwsKey(arn, state, usage)

    def encrypt(self, key_id: str, plaintext: bytes, context: Mapping[str, str]) -> tuple[str, bytes]:
        reply = _call(self._client.encrypt, KeyId=key_id, Plaintext=plaintext, EncryptionContext=dict(context))
        return _field(reply, "KeyId", str), _field(reply, "CiphertextBlob", bytes)

    def decrypt(self, key_id: str, ciphertext: bytes, context: Mapping[str, str]) -> bytes:
        reply = _call(self._client.decrypt, KeyId=key_id, CiphertextBlob=ciphertext, EncryptionContext=dict(context))
        return _field(reply, "Plaintext", bytes)

    def close(self) -> None:
        self._client.close()


def open_wire(
    region: str, url: str | None, credentials: AwsCredentials | None = None, ca: str | None = None
) -> Boto3Wire:
    """Open the calls of `region`, at `url` or where boto3's own settings lead; nothing is sent yet.

    Args:
        credentials: who calls; without, boto3 finds out.
        ca: path of the certificates that `url` is trusted by; without, those that boto3 trusts.

    Raises:
        KmsSetupError: boto3 is not installed, or its settings cannot be used.
        KmsEndpointError: the URL would show secrets on a network.
    """
    try:
        import_module("boto3")
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
    except ImportError:
        raise KmsSetupError(
            "keys at AWS need boto3, which is not installed. Nothing was sent. Install it with "
            f"`pip install 'cmk-keystore[aws]'`{OR_GRPC if credentials is None else ''}."
        ) from None
    if url is not None:
        require_private(url)
    limits: dict[str, Any] = {
        "connect_timeout": CONNECT_TIMEOUT_S,
        "read_timeout": READ_TIMEOUT_S,
        "retries": {"mode": "standard", "total_max_attempts": ATTEMPTS_MAX},
    }
    if url is not None and url.startswith("http:"):
        limits["proxies"] = {}
    try:
        make = client_maker(region, credentials)
        client = make(endpoint_url=url, config=Config(**limits), verify=ca if url else None)
        found = client.meta.endpoint_url
        if found.startswith("http:") and "proxies" not in limits:
            client = make(endpoint_url=found, config=Config(**limits, proxies={}))
    except (BotoCoreError, ValueError) as error:
        raise KmsSetupError(
            f"boto3 cannot make a client for region {region}: {error}. Nothing was sent; check AWS_PROFILE, "
            "~/.aws/config and the endpoint."
        ) from None
    require_private(found)
    bound_boto3(client)
    silence("botocore.endpoint", "botocore.parsers")
    return Boto3Wire(client)


def classify(error: Exception) -> RefusedError:
    """Return what an exception of a call means."""
    response: Any = getattr(error, "response", None)
    if not isinstance(response, dict) or "Error" not in response:
        names = [name for name in (kind.__name__ for kind in type(error).__mro__) if name in EXCEPTIONS]
        if not names:
            return RefusedError(KmsUnreachableError, "unreadable answer", type(error).__name__)
        text = HINTS.get(names[0], str(error))
        return RefusedError(EXCEPTIONS[names[0]], type(error).__name__, text)
    code, text = (str(response["Error"].get(name) or "") for name in ("Code", "Message"))
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    kind = KmsUnreachableError if status >= 500 else kind_of(CODES.get(code, KmsUnreachableError), text)
    return RefusedError(kind, code or f"HTTP status {status}", text)


def _call(method: Callable[..., Any], **parameters: Any) -> Mapping[str, Any]:
    with quiet():
        try:
            reply: Mapping[str, Any] = method(**parameters)
        # botocore reads answers without checking them first, so an unreadable one raises anything.
        except Exception as error:
            raise classify(error) from None
    return reply


def _field(reply: Mapping[str, Any], name: str, kind: type[Value]) -> Value:
    """Return a field that every answer of AWS has."""
    value = reply.get(name)
    if not isinstance(value, kind) or not value:
        raise RefusedError(KmsUnreachableError, "unreadable answer", f"there is no {name} in it")
    return value
