"""A check (`keystore.projects.checks`) of a KMS that misbehaves: it ends, it tells no secret, and what is not a no of
the provider's is unreachable, which stops nothing.
"""

import gzip
import ipaddress
import json
import logging
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from urllib.parse import quote_plus

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from keystore.kms import aws_boto3, azure_sdk, bounded_http, gcp_sdk
from keystore.projects.checks import UNREACHABLE, Outcome, check
from keystore.projects.fields import Provider
from keystore.projects.redacting import redact
from kms_emulator.tls import make_tls
from tests.projects.hostile import (
    ARN,
    GOOD,
    KEY,
    KID,
    SECRET,
    WAIT_S,
    Answer,
    Asked,
    Hostile,
    hostile,
    http,
    say,
    settings_of,
)
from tests.projects.providers import Gcp
from tests.projects.providers import google as google
from tests.projects.providers import kms as kms

TRIES = 3
STEPS: dict[Provider, tuple[str, ...]] = {
    "AWS": ("DescribeKey", "Encrypt", "Decrypt"),
    "AZURE": ("token", "manager", "list", "get", "encrypt", "decrypt"),
}
DETAIL_CHARACTERS_MAX = 1000


@pytest.fixture(params=STEPS)
def provider(request: pytest.FixtureRequest) -> Provider:
    found: Provider = request.param
    return found


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hostile]:
    with hostile(tmp_path / "tls") as server:
        monkeypatch.setenv("KEYSTORE_KMS_CA", server.ca)
        monkeypatch.setattr(aws_boto3, "ATTEMPTS_MAX", 1)
        yield server


def unreachable(outcome: Outcome) -> str:
    """Say that an outcome stops nothing; return what it tells."""
    assert (outcome.state, outcome.code, outcome.missing) == ("unreachable", UNREACHABLE, ()), outcome
    assert 0 < len(outcome.detail) < DETAIL_CHARACTERS_MAX
    assert SECRET[:12] not in outcome.detail
    return outcome.detail


def each_step(server: Hostile, provider: Provider, answer: Answer) -> Iterator[str]:
    """Check as often as there are steps, with that answer at one of them; yield what was told."""
    for step in STEPS[provider]:
        server.bad = {step: answer}
        yield unreachable(check(settings_of(provider), server.url))
        assert server.asked[-1].what == step


GARBAGE: dict[str, bytes] = {
    "text": http(200, b"garbage"),
    "a page": http(200, b"<html>" + b"x" * 5000 + b"</html>", "Content-Type: text/html"),
    "a list": http(200, [1, 2]),
    "null": http(200, b"null"),
    "nothing": http(200, b""),
    "empty": http(200, {}),
    "other types": http(200, {"KeyMetadata": 3, "key": "x", "kid": 3, "value": 3, "KeyId": 7, "Plaintext": []}),
    "a part": b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{",
    "no byte": b"",
    "another protocol": b"SSH-2.0-server\r\n",
    "a page of a proxy": http(403, b"<html>blocked</html>", "Content-Type: text/html"),
    "401": http(401, b"{}"),
    "404": http(404, b"{}"),
    "503": http(503, b"{}", "Retry-After: 3600"),
    "429": http(429, b"{}", "Retry-After: 3600"),
    "a code without end": http(400, {"__type": "A" * 9999, "error": {"code": "B" * 9999, "message": "m" * 9999}}),
}


@pytest.mark.row("R42")
@pytest.mark.parametrize("what", GARBAGE)
def test_an_answer_that_is_none_is_unreachable(server: Hostile, provider: Provider, what: str) -> None:
    vague = ("manager", "list") if what in ("empty", "other types") else ()  # any object will do there
    for step in STEPS[provider]:
        if step not in vague:
            server.bad = {step: say(GARBAGE[what])}
            unreachable(check(settings_of(provider), server.url))
            assert server.asked[-1].what == step


@pytest.mark.row("R42")
def test_other_bytes_than_those_of_the_probe_are_no_refusal(server: Hostile, provider: Provider) -> None:
    assert "other bytes than the probe" in unreachable(check(settings_of(provider), server.url))
    decrypt = STEPS[provider][-1]
    server.bad = {decrypt: say(http(200, {**GOOD[decrypt], "Plaintext": "YWJj", "value": "YWJj"}))}
    assert "3 bytes" in unreachable(check(settings_of(provider), server.url))


@pytest.mark.parametrize(
    ("provider", "step", "said"),
    [
        ("AWS", "DescribeKey", {"KeyMetadata": {**GOOD["DescribeKey"]["KeyMetadata"], "Arn": ARN[:-1] + "0"}}),
        ("AWS", "Encrypt", {**GOOD["Encrypt"], "KeyId": ARN[:-1] + "0"}),
        ("AZURE", "get", {**GOOD["get"], "key": {**GOOD["get"]["key"], "kid": KID.replace("/key/", "/other/")}}),
        ("AZURE", "encrypt", {**GOOD["encrypt"], "kid": KID[:-1] + "1"}),
    ],
)
def test_an_answer_about_another_key_is_no_answer(server: Hostile, provider: Provider, step: str, said: object) -> None:
    server.bad = {step: say(http(200, said))}
    assert "another key" in unreachable(check(settings_of(provider), server.url))
    assert server.asked[-1].what == step


@pytest.mark.parametrize("to", ["another host", "http", "itself"])
def test_credentials_follow_no_redirection(server: Hostile, provider: Provider, to: str, tmp_path: Path) -> None:
    with hostile(tmp_path / "other", plain=to == "http") as other:
        url = server.url if to == "itself" else other.url
        for status in (301, 302, 307, 308):
            for step in STEPS[provider]:
                before = len(server.asked)
                server.bad = {step: say(http(status, b"", f"Location: {url}/{step}"))}
                for _ in range(TRIES):  # a check whose time was over at a step before says nothing of this one
                    unreachable(check(settings_of(provider), server.url))
                    found = [asked.what for asked in server.asked[before:]].count(step)
                    if found:
                        break
                assert found == 1
        assert other.asked == []


def test_a_vault_cannot_name_who_is_told_the_secret(server: Hostile, tmp_path: Path) -> None:
    with hostile(tmp_path / "other") as other:
        said = f'Bearer authorization="{other.url}/{KEY}", resource="https://vault.azure.net"'
        server.bad = {"challenge": say(http(401, {}, f"WWW-Authenticate: {said}"))}
        unreachable(check(settings_of("AZURE"), server.url))
        assert other.asked == []


class Sending:
    """An answer that goes on until nobody takes it; `count` is what was sent."""

    def __init__(self, server: Hostile, head: bytes, part: bytes, every_s: float = 0) -> None:
        self.count, self._server, self._head, self._part, self._every_s = 0, server, head, part, every_s

    def __call__(self, connection: socket.socket, request: Asked) -> None:
        connection.sendall(self._head)
        while not self._server.ended.wait(self._every_s):
            connection.sendall(self._part)
            self.count += len(self._part)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"


@pytest.mark.parametrize("head", [HEAD, HEAD[:-2] + b"X: ", b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n"])
def test_an_answer_without_end_is_cut_off(server: Hostile, provider: Provider, head: bytes) -> None:
    for step in (STEPS[provider][0], STEPS[provider][-1]):
        sending = Sending(server, head, b" " * (1 << 16))
        server.bad = {step: sending}
        unreachable(check(settings_of(provider), server.url))
        assert sending.count < 16 << 20  # with what lies in buffers on the way


@pytest.mark.parametrize("head", [HEAD, b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_a_byte_from_time_to_time_is_no_answer(
    server: Hostile, provider: Provider, head: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No read of it takes long; the answer as a whole does."""
    monkeypatch.setattr(bounded_http, "ANSWER_TIMEOUT_S", 0.3)
    for step in (STEPS[provider][0], STEPS[provider][-1]):
        sending = Sending(server, head, b" ", 0.02)
        server.bad = {step: sending}
        unreachable(check(settings_of(provider), server.url))
        assert sending.count < 1000


def test_what_is_compressed_is_not_unpacked(server: Hostile, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = gzip.compress(json.dumps(GOOD["manager"]).encode())
    server.bad = {"manager": say(http(200, packed, "Content-Encoding: gzip"))}
    assert "compressed" in unreachable(check(settings_of("AZURE"), server.url))
    assert {asked.headers["accept-encoding"] for asked in server.asked} == {"identity"}


def test_who_accepts_and_says_nothing_is_given_up(
    server: Hostile, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (aws_boto3, azure_sdk):
        monkeypatch.setattr(module, "READ_TIMEOUT_S", 0.2)

    def silent(connection: socket.socket, asked: Asked) -> None:
        server.ended.wait(WAIT_S)

    assert len(list(each_step(server, provider, silent)))


# -- TLS ------------------------------------------------------------------------------------------------------------


def expired_context(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """Return a context whose certificate was good until yesterday, and the path of that, to be trusted."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = (
        builder.serial_number(1).not_valid_before(now - timedelta(days=9)).not_valid_after(now - timedelta(days=1))
    )
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = builder.add_extension(address, critical=False).sign(key, hashes.SHA256())
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    certificate, file = folder / "expired.pem", folder / "expired-with-key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    file.write_bytes(certificate.read_bytes() + secret)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context, certificate


@pytest.fixture(params=["AWS", "AZURE", "GCP"])
def check_at(request: pytest.FixtureRequest) -> Callable[[str], Outcome]:
    """Checks with one of three providers, at a URL."""
    is_google = request.param == "GCP"
    settings = request.getfixturevalue("google").settings() if is_google else settings_of(request.param)
    return lambda url: check(settings, url)


@pytest.mark.parametrize("how", ["expired", "another authority", "another host", "plain HTTP", "half a handshake"])
def test_who_cannot_prove_to_be_the_provider_gets_no_request(
    check_at: Callable[[str], Outcome], how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aws_boto3, "ATTEMPTS_MAX", 1)
    monkeypatch.setattr(gcp_sdk, "TIMEOUT_S", 1.0)
    for module in (aws_boto3, azure_sdk):
        monkeypatch.setattr(module, "CONNECT_TIMEOUT_S", 0.5)
    context: ssl.SSLContext | None = None
    trusted = make_tls(tmp_path / "trusted", ("192.0.2.1",))
    ca = trusted.ca_path
    if how == "expired":
        context, ca = expired_context(tmp_path)
    elif how == "another host":
        context = trusted.context
    elif how == "half a handshake":
        context = _Halting(ssl.PROTOCOL_TLS_SERVER)
    with hostile(tmp_path / "own", context, plain=how == "plain HTTP") as server:
        monkeypatch.setenv("KEYSTORE_KMS_CA", str(ca))
        unreachable(check_at(server.url.replace("http:", "https:")))
        assert server.asked == []


class _Halting(ssl.SSLContext):
    """Takes the first bytes of a handshake and says no more."""

    def wrap_socket(self, sock: socket.socket, *_: object, **__: object) -> ssl.SSLSocket:
        while sock.recv(1 << 16):
            sock.sendall(b"\x16\x03\x03\x01")  # the head of a record that does not come
        raise ConnectionError


# -- what is told ---------------------------------------------------------------------------------------------------


def echo(status: int, wrap: Callable[[str], object]) -> Answer:
    """Return the answer that repeats all that was sent."""

    def answer(connection: socket.socket, asked: Asked) -> None:
        heard = "x" * 300 + asked.body.decode() + json.dumps(dict(asked.headers)) + SECRET + SECRET
        connection.sendall(http(status, wrap(heard)))

    return answer


def test_what_is_repeated_of_a_request_is_in_no_outcome_and_no_log(
    server: Hostile, provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    shapes: list[Callable[[str], object]] = [
        str.encode,
        lambda text: {"message": text, "error": {"code": text, "message": text}, "error_description": text},
        lambda text: {"error": "AADSTS7000215", "error_description": f"AADSTS7000215: {text}"},
    ]
    for status in (200, 400, 403):
        for shape in shapes:
            for step in STEPS[provider]:
                server.bad = {step: echo(status, shape)}
                told = check(settings_of(provider), server.url).detail + caplog.text
                for form in (SECRET, quote_plus(SECRET), "the-token"):
                    assert form[:12] not in told, (status, step)
                    assert form[-12:] not in told, (status, step)


def test_parts_of_secrets_are_taken_out_however_they_are_written() -> None:
    secret = 'one/secret+with"quotes&more'
    assert redact(f"a {secret} b {secret[3:17]}", [secret]) == "a … b …"
    assert redact(f"a {quote_plus(secret)[:20]}", [secret]) == "a …"
    assert redact(json.dumps({"said": secret}), [secret]) == '{"said": "…"}'
    slashes = "wJalrXUt/K7MDENG/bPxRfi+EXAMPLE"
    for written in (slashes.replace("/", r"\/"), slashes.replace("/", "%2f").replace("+", "%2b")):
        assert redact(f"a {written} b", [slashes]) == "a … b"
    assert redact("short: abc", ["abc"]) == "short: …"
    assert redact("Bearer abc.def, and eyJhbGciOiJSUzI1NiJ9.eyJz.c2ln", []) == "…, and …"
    key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEF\n-----END PRIVATE KEY-----\n"
    account = json.dumps({"client_email": "atlas@project.iam.gserviceaccount.com", "private_key": key})
    said = "atlas@project.iam.gserviceaccount.com has MIIEvQIBADANBgkqhkiG9w0BAQEF"
    assert redact(said, [account]) == "atlas@project.iam.gserviceaccount.com has …"


# -- Google, by gRPC ------------------------------------------------------------------------------------------------


@contextmanager
def http2(folder: Path, status: int) -> Iterator[tuple[str, str]]:
    """Serve HTTP/2 (RFC 9113) that answers the first request of a connection with a status and nothing of gRPC; give
    the URL, and the path of the certificate to trust.
    """
    tls = make_tls(folder, ("127.0.0.1",))
    tls.context.set_alpn_protocols(["h2"])
    settings, head = b"\0\0\0\4\0\0\0\0\0", b"\x08\x03" + str(status).encode()  # :status, as in RFC 7541
    said = len(head).to_bytes(3, "big") + b"\1\5" + (1).to_bytes(4, "big") + head
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                with tls.context.wrap_socket(listener.accept()[0], server_side=True) as taken, suppress(OSError):
                    taken.settimeout(WAIT_S)
                    taken.sendall(settings)
                    stream = taken.makefile("rb")
                    stream.read(24)
                    while len(frame := stream.read(9)) == 9 and frame[3] != 1:  # until the head of a request
                        stream.read(int.from_bytes(frame[:3], "big"))
                    taken.sendall(said)
                    stream.read(1)

    thread = Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"https://127.0.0.1:{listener.getsockname()[1]}", str(tls.ca_path)
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(WAIT_S)


@pytest.mark.row("R42")
@pytest.mark.parametrize("status", [200, 302, 401, 403, 404, 429, 500])
def test_a_proxy_that_answers_in_the_place_of_google_is_no_refusal(
    google: Gcp, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with http2(tmp_path, status) as (url, ca):
        monkeypatch.setenv("KEYSTORE_KMS_CA", ca)
        unreachable(check(google.settings(), url))


def test_the_token_endpoint_of_a_service_account_is_not_called(google: Gcp, server: Hostile, tmp_path: Path) -> None:
    block = json.loads(google.block()["serviceAccountKey"])
    given = json.dumps({**block, "token_uri": f"{server.url}/token", "auth_uri": server.url})
    check(google.settings(serviceAccountKey=given))
    assert server.asked == []


# -- where a check goes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("provider", "hosts"),
    [("AWS", {"kms.us-east-1.amazonaws.com"}), ("AZURE", {"login.microsoftonline.com"})],
)
def test_without_an_endpoint_only_the_provider_is_called(
    provider: Provider, hosts: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: set[str] = set()

    def resolve(host: str, *_: object, **__: object) -> list[object]:
        asked.add(host)
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    for name in ("KEYSTORE_KMS_ENDPOINT", f"KEYSTORE_{provider}_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(aws_boto3, "ATTEMPTS_MAX", 1)
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    unreachable(check(settings_of(provider)))
    assert asked == hosts


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/", "http://169.254.169.254/", "https:///path"])
def test_an_endpoint_that_is_no_kms_is_refused_before_anything_is_sent(url: str, provider: Provider) -> None:
    assert "not" in unreachable(check(settings_of(provider), url))


# -- what is ours ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("provider", ["AWS", "AZURE"])
def test_an_endpoint_without_credentials_says_what_to_name(provider: Provider) -> None:
    assert "name the emulator's URL" in unreachable(check(settings_of(provider), "127.0.0.1:4710"))


@pytest.mark.parametrize(("provider", "package"), [("AWS", "boto3"), ("AZURE", "azure.identity")])
def test_a_missing_sdk_says_what_to_install(provider: Provider, package: str) -> None:
    """In a process of its own, where the import fails."""
    program = f"""
import sys
sys.modules["{package}"] = None
from keystore.projects.checks import check
from tests.projects.hostile import settings_of
print(check(settings_of("{provider}")).detail)
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert f"pip install 'cmk-keystore[{provider.lower()}]'" in run.stdout
    assert "gRPC" not in run.stdout  # it carries no credentials
