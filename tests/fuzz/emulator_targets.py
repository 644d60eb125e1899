"""Every decoder of `kms_emulator` that meets bytes from outside, but for protobuf's own."""

from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from kms_emulator.model import envelope
from kms_emulator.model.errors import CiphertextError
from kms_emulator.model.policy import PolicyError, PolicyKind, parse_policy
from kms_emulator.seeding.entries import read_entries
from kms_emulator.seeding.errors import SeedError
from kms_emulator.storage import documents as stored
from kms_emulator.wire.aws import documents, sigv4
from kms_emulator.wire.aws.shapes import api
from kms_emulator.wire.call import CloudError
from kms_emulator.wire.http.message import HttpRequest
from tests.fuzz.target import Target

KEY = bytes(range(32))
REQUESTS = tuple(sorted(name for name in api().shapes if name.endswith("Request")))


def _envelope(data: bytes) -> bytes:
    envelope.read_names(data)
    return envelope.open_sealed(AESGCM(KEY), data, b"context")


def _request(data: bytes) -> tuple[str, Any]:
    shape, _, body = data.partition(b"\n")
    name = shape.decode(errors="replace")
    name = name if name in REQUESTS else REQUESTS[len(data) % len(REQUESTS)]
    return name, documents.decode(name, body)


def _encode_request(value: tuple[str, Any]) -> bytes:
    return value[0].encode() + b"\n" + documents.encode(*value)


def _sigv4(data: bytes) -> str:
    lines = data.decode("latin-1").split("\n")
    path, query, header, time, body = (lines + [""] * 5)[:5]
    headers = {"authorization": header, "x-amz-date": time, "host": "localhost"}
    request = HttpRequest("POST", path, query, headers, body.encode("latin-1"))
    sigv4.signed_for(request)
    sigv4.signed_with(request)
    found = sigv4.read_authorization(request)
    if found is None:
        return ""
    sigv4.seconds_of(found.time)
    return sigv4.sign("secret", sigv4.string_to_sign(sigv4.canonical_request(request, found), found), found)


def _policy(data: bytes) -> Any:
    kinds = tuple(PolicyKind)
    return parse_policy(data[1:].decode(errors="replace"), kinds[(data[0] if data else 0) % len(kinds)])


def _seed(name: str) -> Callable[[bytes], Any]:
    return lambda data: read_entries(data.decode(errors="replace"), name)


def _stored_key(data: bytes) -> Any:
    return stored.decode_key(data.decode(errors="replace"))


TARGETS = (
    Target("envelope", _envelope, (CiphertextError,)),
    Target("aws-request", _request, (CloudError,), _encode_request),
    Target("sigv4", _sigv4, (sigv4.IncompleteError,)),
    Target("policy", _policy, (PolicyError,)),
    Target("seed-yaml", _seed("seed.yaml"), (SeedError,)),
    Target("seed-json", _seed("seed.json"), (SeedError,)),
    Target("stored-key", _stored_key, (ValueError, KeyError, TypeError), lambda key: stored.encode_key(key).encode()),
)
