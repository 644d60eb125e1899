"""What every status and code of a KMS means, against a server that answers with exactly that."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import grpc
import pytest

from keystore.crypto.secret import SecretKey
from keystore.errors import (
    CiphertextError,
    KeyDisabledError,
    KeyNotFoundError,
    KeyPendingDeletionError,
    KeyUnusableError,
    KmsCredentialsError,
    KmsError,
    KmsInvalidError,
    KmsPermissionError,
    KmsUnreachableError,
)
from keystore.kms import aws_codes, azure_codes
from keystore.kms.channel import CallRefusedError, call, open_channel
from keystore.kms.connect import connect
from keystore.kms.protocol import WrappedKey
from keystore.kms.refusals import ADVICE

S = grpc.StatusCode
URIS = {
    "aws": "aws://us-east-1/alias/k",
    "azure": "azure://vault/key/1",
    "gcp": "gcp://projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1",
}
CLIENTS = (*URIS, "gcp by its SDK")
KIDS = {"aws": "arn:x", "azure": "https://vault.vault.azure.net/keys/key/1", "gcp": URIS["gcp"][6:]}


REASON = "the reason."


class Answer:
    """A server that answers every call with one status and one code."""

    def __init__(self) -> None:
        self.status, self.code, self.inner = S.OK, "", ""
        self.text = REASON
        self.methods: list[str] = []

    def __call__(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        metadata = [("x-kms-error-code", self.code), ("x-kms-inner-error-code", self.inner)]
        context.set_trailing_metadata(tuple((name, value) for name, value in metadata if value))
        context.abort(self.status, self.text)
        raise AssertionError("abort raises")


class AnyMethod(grpc.GenericRpcHandler):
    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def service(self, details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[bytes, bytes]":
        self._answer.methods.append(str(details.method))
        return grpc.unary_unary_rpc_method_handler(self._answer)


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[Answer, str]]:
    answer = Answer()
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((AnyMethod(answer),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield answer, f"127.0.0.1:{port}"
    server.stop(0).wait(10)


@pytest.fixture(autouse=True)
def usual_reason(server: tuple[Answer, str]) -> None:
    server[0].text = REASON


def refused(server: tuple[Answer, str], client: str, status: grpc.StatusCode, code: str, inner: str) -> KmsError:
    """Return the error of an unwrap that is answered that way; a wrap must be refused likewise, or as unreachable."""
    answer, endpoint = server
    provider = client.partition(" ")[0]
    endpoint = endpoint if client == provider else f"http://{endpoint}"
    answer.status, answer.code, answer.inner = status, code, inner
    wrapped = WrappedKey(provider, URIS[provider], KIDS[provider], b"ciphertext")
    with closing(connect(URIS[provider], endpoint)) as kms:
        with pytest.raises(KmsError) as on_wrap:
            kms.wrap(SecretKey.generate(), {})
        with pytest.raises(KmsError) as on_unwrap:
            kms.unwrap(wrapped, {})
    assert type(on_wrap.value) in (type(on_unwrap.value), KmsUnreachableError)
    assert "the reason. Nothing was changed." in str(on_unwrap.value)
    return on_unwrap.value


EVERY_CLOUD = [
    (S.UNAVAILABLE, KmsUnreachableError),
    (S.DEADLINE_EXCEEDED, KmsUnreachableError),
    (S.RESOURCE_EXHAUSTED, KmsUnreachableError),
    (S.INTERNAL, KmsUnreachableError),
    (S.ABORTED, KmsUnreachableError),
    (S.CANCELLED, KmsUnreachableError),
    (S.UNKNOWN, KmsUnreachableError),
    (S.UNIMPLEMENTED, KmsUnreachableError),
    (S.DATA_LOSS, KmsUnreachableError),
    (S.ALREADY_EXISTS, KmsUnreachableError),
    (S.OUT_OF_RANGE, KmsUnreachableError),
    (S.UNAUTHENTICATED, KmsCredentialsError),
    (S.PERMISSION_DENIED, KmsPermissionError),
    (S.NOT_FOUND, KeyNotFoundError),
]


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(("status", "expected"), EVERY_CLOUD)
def test_status_alone(
    server: tuple[Answer, str], client: str, status: grpc.StatusCode, expected: type[KmsError]
) -> None:
    assert type(refused(server, client, status, "", "")) is expected


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("status", [S.INTERNAL, S.ALREADY_EXISTS, S.FAILED_PRECONDITION, S.UNKNOWN])
def test_code_that_nobody_listed_is_never_invalid(
    server: tuple[Answer, str], client: str, status: grpc.StatusCode
) -> None:
    error = refused(server, client, status, "SomethingNewException", "")
    if client.startswith("gcp") and status is S.FAILED_PRECONDITION:
        assert type(error) is KeyUnusableError  # Google's own word for a key in a state that forbids the call
    else:
        assert type(error) is KmsUnreachableError


@pytest.mark.parametrize(("code", "expected"), aws_codes.CODES.items())
@pytest.mark.parametrize("status", [S.INTERNAL, S.FAILED_PRECONDITION, S.PERMISSION_DENIED])
def test_codes_of_aws(server: tuple[Answer, str], code: str, expected: type[KmsError], status: grpc.StatusCode) -> None:
    """The code decides, whatever the status."""
    assert type(refused(server, "aws", status, code, "")) is expected


@pytest.mark.parametrize(("code", "expected"), azure_codes.DECRYPT_CODES.items())
def test_codes_of_azure(server: tuple[Answer, str], code: str, expected: type[KmsError]) -> None:
    assert type(refused(server, "azure", S.INTERNAL, code, "")) is expected


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        ("KeyDisabled", KeyDisabledError),
        ("ForbiddenByFirewall", KmsUnreachableError),
        ("ForbiddenByRbac", KmsPermissionError),
        ("KeyExpired", KeyUnusableError),
        ("ObjectIsDeletedButRecoverable", KeyPendingDeletionError),
        ("SomethingNew", KmsPermissionError),
    ],
)
def test_inner_code_of_azure_says_more(server: tuple[Answer, str], inner: str, expected: type[KmsError]) -> None:
    assert type(refused(server, "azure", S.PERMISSION_DENIED, "Forbidden", inner)) is expected


def test_address_list_that_blocks_says_nothing_about_the_key(server: tuple[Answer, str]) -> None:
    error = refused(server, "azure", S.PERMISSION_DENIED, "Forbidden", "ForbiddenByFirewall")
    assert not isinstance(error, KmsInvalidError)


@pytest.mark.parametrize("client", ["gcp", "gcp by its SDK"])
def test_google_refuses_a_ciphertext_as_an_invalid_argument(server: tuple[Answer, str], client: str) -> None:
    assert type(refused(server, client, S.INVALID_ARGUMENT, "", "")) is CiphertextError


@pytest.mark.parametrize("client", ["gcp", "gcp by its SDK"])
def test_network_perimeter_of_google_says_nothing_about_the_key(server: tuple[Answer, str], client: str) -> None:
    answer, _ = server
    answer.text = "Request is prohibited by organization's policy. vpcServiceControlsUniqueIdentifier: x; the reason."
    assert type(refused(server, client, S.PERMISSION_DENIED, "", "")) is KmsUnreachableError


def test_state_that_aws_does_not_explain_is_unusable(server: tuple[Answer, str]) -> None:
    """KMSInvalidStateException covers many states; here DescribeKey is refused as well."""
    assert type(refused(server, "aws", S.FAILED_PRECONDITION, "KMSInvalidStateException", "")) is KeyUnusableError


def test_each_type_has_advice() -> None:
    kinds = {*aws_codes.CODES.values(), *azure_codes.DECRYPT_CODES.values(), *aws_codes.STATES.values()}
    assert kinds <= ADVICE.keys()


def test_call_has_a_deadline() -> None:
    """A server that takes the connection and says nothing."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with closing(open_channel(f"127.0.0.1:{silent.getsockname()[1]}")) as channel:
            method: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/x/y")
            with pytest.raises(CallRefusedError) as caught:
                call(method, b"", timeout_s=0.2)
    assert caught.value.refusal.status in (S.DEADLINE_EXCEEDED, S.UNAVAILABLE)


def test_calls_are_not_repeated(server: tuple[Answer, str]) -> None:
    answer, endpoint = server
    answer.status, answer.code, answer.inner = S.UNAVAILABLE, "", ""
    answer.methods.clear()
    for where in (endpoint, f"http://{endpoint}"):
        with closing(connect(URIS["gcp"], where)) as kms, pytest.raises(KmsUnreachableError):
            kms.wrap(SecretKey.generate(), {})
    assert answer.methods == ["/google.cloud.kms.v1.KeyManagementService/Encrypt"] * 2
