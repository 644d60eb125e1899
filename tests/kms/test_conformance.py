"""One suite over every client: what wraps unwraps, what must not does not, and each refusal has its type.

To add a client, add a line to `SUBJECTS` and, if it has states, one to `REFUSALS` for each.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystore.crypto.secret import SecretKey
from keystore.errors import (
    CiphertextError,
    InputError,
    KeyDestroyedError,
    KeyDisabledError,
    KeyNotFoundError,
    KeyPendingDeletionError,
    KmsError,
    KmsInvalidError,
    KmsUnreachableError,
    PassphraseError,
    WrongKeyError,
)
from keystore.format.wrapped import WrappedKey
from keystore.keys.master import generate_master, open_master
from keystore.kms import aws_boto3
from keystore.kms.connect import connect
from keystore.kms.local import Argon2Cost, PassphraseKms, create_key_file
from keystore.kms.protocol import Kms
from keystore.kms.uri import parse
from tests.emulator_process import CLOUDS, Emulator

CONTEXT = {"keystore:node": "00", "a": "bc"}
NODE_ID = b"n" * 16
BY_SDK = tuple(f"{cloud} by its SDK" for cloud in CLOUDS)
CLIENTS = (*CLOUDS, *BY_SDK)
SUBJECTS = ("key file", "passphrase", *CLIENTS, "gcp without a version")


@dataclass
class Subject:
    """A client under test: two keys of it, and whether the KMS binds a context."""

    kms: Kms
    other: Kms
    uri: str
    binds_context: bool
    wrong: type[KmsInvalidError] = CiphertextError


def passphrase_kms(text: str) -> Kms:
    cost = Argon2Cost(operations=1, memory_bytes=8192)
    return PassphraseKms(parse("local+passphrase:///test"), lambda uri: SecretKey(text.encode()), cost)


def connect_to(emulator: Emulator, client: str, uri: str) -> Kms:
    return connect(uri, emulator.urls[client.partition(" ")[0]] if client in BY_SDK else emulator.endpoint)


def create_key(emulator: Emulator, client: str) -> str:
    return emulator.create_key(client.partition(" ")[0])


@pytest.fixture(autouse=True)
def settings_of_sdks(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """What AWS's SDK signs with, of which the emulator takes any, and whom the others trust."""
    monkeypatch.setenv("KEYSTORE_KMS_CA", emulator.ca)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


@pytest.fixture(params=SUBJECTS)
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Subject]:
    name: str = request.param
    if name == "key file":
        uris = [f"local://{tmp_path / key}" for key in ("one", "two")]
        for key in ("one", "two"):
            create_key_file(tmp_path / key)
        subject = Subject(connect(uris[0]), connect(uris[1]), uris[0], True)
    elif name == "passphrase":
        one, two = passphrase_kms("one"), passphrase_kms("two")
        subject = Subject(one, two, "local+passphrase:///test", True, PassphraseError)
    else:
        emulator: Emulator = request.getfixturevalue("emulator")
        uris = [create_key(emulator, name) for _ in range(2)]
        if name == "gcp without a version":
            uris = [uri.partition("/cryptoKeyVersions/")[0] for uri in uris]
        kms, other = (connect_to(emulator, name, uri) for uri in uris)
        subject = Subject(kms, other, uris[0], not name.startswith("azure"))
    with closing(subject.kms), closing(subject.other):
        yield subject


def test_what_is_wrapped_comes_back(subject: Subject) -> None:
    with SecretKey.generate() as secret:
        wrapped = subject.kms.wrap(secret, CONTEXT)
        assert bytes(secret.view()) not in wrapped.ciphertext
        assert (wrapped.provider, wrapped.key_id) == (subject.uri.partition("://")[0].partition("+")[0], subject.uri)
        assert subject.kms.unwrap(wrapped, CONTEXT) == secret
        assert subject.kms.unwrap(wrapped, dict(reversed(CONTEXT.items()))) == secret


def test_each_wrapping_differs(subject: Subject) -> None:
    with SecretKey.generate() as secret:
        assert subject.kms.wrap(secret, CONTEXT).ciphertext != subject.kms.wrap(secret, CONTEXT).ciphertext


def test_key_is_described(subject: Subject) -> None:
    description = subject.kms.describe()
    assert description.usable
    assert description.state.upper() == "ENABLED"
    assert description.key_id == subject.uri
    with SecretKey.generate() as secret:
        assert subject.kms.wrap(secret, CONTEXT).key_version == description.key_version


@pytest.mark.parametrize(
    "context",
    [{}, {"a": "bc"}, {**CONTEXT, "a": "bd"}, {**CONTEXT, "b": ""}, {"keystore:node": "00a", "a": "bc"}],
)
def test_another_context_is_refused_where_the_kms_binds_one(subject: Subject, context: Mapping[str, str]) -> None:
    with SecretKey.generate() as secret:
        wrapped = subject.kms.wrap(secret, CONTEXT)
        if subject.binds_context:
            with pytest.raises(CiphertextError):
                subject.kms.unwrap(wrapped, context)
        else:
            assert subject.kms.unwrap(wrapped, context) == secret


@pytest.mark.parametrize(("node_id", "generation"), [(b"o" * 16, 1), (NODE_ID, 2)])
def test_master_key_of_another_node_or_generation_never_opens(
    subject: Subject, node_id: bytes, generation: int
) -> None:
    """Where the KMS binds no context, the derivation of the master key does."""
    with generate_master(subject.kms, NODE_ID, 1) as master:
        with open_master(subject.kms, master.wrapped, NODE_ID, 1, master.commitment) as again:
            assert again.key == master.key
        with pytest.raises(CiphertextError if subject.binds_context else WrongKeyError):
            open_master(subject.kms, master.wrapped, node_id, generation, master.commitment)


def test_any_changed_byte_is_refused(subject: Subject) -> None:
    with generate_master(subject.kms, NODE_ID, 1) as master:
        ciphertext = master.wrapped.ciphertext
        for at in range(0, len(ciphertext), 3):
            changed = ciphertext[:at] + bytes([ciphertext[at] ^ 0x10]) + ciphertext[at + 1 :]
            # AWS answers AccessDenied where the changed byte names another key.
            with pytest.raises((KmsInvalidError, WrongKeyError)):
                open_master(subject.kms, replace(master.wrapped, ciphertext=changed), NODE_ID, 1, master.commitment)


def test_any_other_length_is_refused(subject: Subject) -> None:
    with SecretKey.generate() as secret:
        wrapped = subject.kms.wrap(secret, CONTEXT)
    whole = wrapped.ciphertext
    for other in (
        b"",
        whole[:1],
        whole[: len(whole) // 2],
        whole[:-1],
        whole + b"\0",
        whole * 2,
        bytes(6144),
        bytes(6145),
    ):
        with pytest.raises(CiphertextError):
            subject.kms.unwrap(replace(wrapped, ciphertext=other), CONTEXT)


@given(noise=st.binary(max_size=600))
@settings(max_examples=25)
def test_noise_is_refused(subject: Subject, noise: bytes) -> None:
    with SecretKey.generate() as secret:
        wrapped = subject.kms.wrap(secret, CONTEXT)
    with pytest.raises(CiphertextError):
        subject.kms.unwrap(replace(wrapped, ciphertext=noise), CONTEXT)


def test_wrapped_key_of_another_key_is_refused(subject: Subject) -> None:
    with SecretKey.generate() as secret:
        foreign = subject.other.wrap(secret, CONTEXT)
        with pytest.raises(subject.wrong):
            subject.kms.unwrap(foreign, CONTEXT)
        if foreign.key_version:
            own = subject.kms.describe().key_version
            with pytest.raises(CiphertextError):
                subject.kms.unwrap(replace(foreign, key_version=own), CONTEXT)
    with pytest.raises(CiphertextError, match="was given to"):
        subject.kms.unwrap(WrappedKey("elsewhere", "x", "", b"x"), CONTEXT)


@pytest.mark.parametrize("length", [0, 1, 31, 33, 64])
def test_only_secrets_of_32_bytes_are_sent(subject: Subject, length: int) -> None:
    with pytest.raises(InputError, match="nothing was sent"):
        subject.kms.wrap(SecretKey(bytes(length)), CONTEXT)


def test_close_may_be_called_twice(subject: Subject) -> None:
    subject.kms.close()
    subject.kms.close()


# -- states of a key in a cloud ---------------------------------------------------------------------------------------


def disable(emulator: Emulator, uri: str) -> None:
    emulator.disable(uri)


def schedule(emulator: Emulator, uri: str) -> None:
    emulator.schedule_deletion(uri)


def destroy(emulator: Emulator, uri: str) -> None:
    emulator.schedule_deletion(uri)
    emulator.advance(days=91)


REFUSALS: dict[Callable[[Emulator, str], None], dict[str, type[KmsInvalidError]]] = {
    disable: {"aws": KeyDisabledError, "azure": KeyDisabledError, "gcp": KeyDisabledError},
    schedule: {"aws": KeyPendingDeletionError, "azure": KeyPendingDeletionError, "gcp": KeyPendingDeletionError},
    # AWS and Azure forget a key that is gone; Google remembers its name.
    destroy: {"aws": KeyNotFoundError, "azure": KeyNotFoundError, "gcp": KeyDestroyedError},
}


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("change", REFUSALS, ids=lambda change: change.__name__)
def test_each_state_has_its_type(emulator: Emulator, client: str, change: Callable[[Emulator, str], None]) -> None:
    uri = create_key(emulator, client)
    expected = REFUSALS[change][client.partition(" ")[0]]
    with closing(connect_to(emulator, client, uri)) as kms, SecretKey.generate() as secret:
        wrapped = kms.wrap(secret, CONTEXT)
        change(emulator, uri)
        with pytest.raises(expected) as caught:
            kms.unwrap(wrapped, CONTEXT)
        assert type(caught.value) is expected
        assert uri in str(caught.value)
        assert "Nothing was changed" in str(caught.value)
        with pytest.raises(expected):
            kms.wrap(secret, CONTEXT)


@pytest.mark.parametrize("client", CLIENTS)
def test_key_that_is_enabled_again_unwraps_again(emulator: Emulator, client: str) -> None:
    uri = create_key(emulator, client)
    with closing(connect_to(emulator, client, uri)) as kms, SecretKey.generate() as secret:
        wrapped = kms.wrap(secret, CONTEXT)
        emulator.disable(uri)
        assert not kms.describe().usable
        emulator.enable(uri)
        assert kms.unwrap(wrapped, CONTEXT) == secret
        emulator.schedule_deletion(uri)
        emulator.cancel_deletion(uri)
        if not kms.describe().usable:
            emulator.enable(uri)
        assert kms.unwrap(wrapped, CONTEXT) == secret


@pytest.mark.row("R35")
@pytest.mark.parametrize("client", CLIENTS)
def test_rotation_at_the_kms_leaves_old_wrapped_keys_readable(emulator: Emulator, client: str) -> None:
    uri = create_key(emulator, client)
    with SecretKey.generate() as secret:
        with closing(connect_to(emulator, client, uri)) as kms:
            wrapped = kms.wrap(secret, CONTEXT)
            rotated = emulator.rotate(uri)
            assert kms.unwrap(wrapped, CONTEXT) == secret
        with closing(connect_to(emulator, client, rotated)) as kms:
            later = kms.wrap(secret, CONTEXT)
            assert kms.unwrap(later, CONTEXT) == secret
            assert kms.unwrap(wrapped, CONTEXT) == secret
        assert (wrapped.key_version == later.key_version) == client.startswith("aws")


NOWHERE = {
    "aws": (
        "aws://us-east-1/00000000-0000-0000-0000-000000000000",
        "aws://us-east-1/alias/nowhere",
        "aws://eu-west-1/00000000-0000-0000-0000-000000000000",
    ),
    "azure": ("azure://local-vault/nowhere/00000000000000000000000000000000",),
    "gcp": (
        "gcp://projects/p/locations/global/keyRings/r/cryptoKeys/nowhere/cryptoKeyVersions/1",
        "gcp://projects/p/locations/global/keyRings/r/cryptoKeys/nowhere",
    ),
}


@pytest.mark.parametrize(
    ("client", "uri"), [(client, uri) for client in CLIENTS for uri in NOWHERE[client.partition(" ")[0]]]
)
def test_key_that_is_not_there_has_its_type(emulator: Emulator, client: str, uri: str) -> None:
    with closing(connect_to(emulator, client, uri)) as kms:
        for call in (kms.describe, lambda: kms.wrap(SecretKey.generate(), CONTEXT)):
            with pytest.raises(KeyNotFoundError):
                call()


@pytest.mark.parametrize("client", CLIENTS)
def test_kms_that_does_not_answer_is_unreachable(
    emulator: Emulator, client: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aws_boto3, "ATTEMPTS_MAX", 1)
    uri = create_key(emulator, client)
    with closing(connect_to(emulator, client, uri)) as kms:
        wrapped = kms.wrap(SecretKey.generate(), CONTEXT)
    nowhere = "https://127.0.0.1:1" if client in BY_SDK else "127.0.0.1:1"
    with closing(connect(uri, nowhere)) as kms:
        for call in (
            kms.describe,
            lambda: kms.wrap(SecretKey.generate(), CONTEXT),
            lambda: kms.unwrap(wrapped, CONTEXT),
        ):
            with pytest.raises(KmsUnreachableError) as caught:
                call()
            assert isinstance(caught.value, KmsError)
            assert not isinstance(caught.value, KmsInvalidError)


@pytest.mark.parametrize("client", CLIENTS)
def test_kms_sees_32_bytes_only(emulator: Emulator, client: str) -> None:
    uri = create_key(emulator, client)
    name = uri.split("/")[3]
    if client.startswith("gcp"):
        name = uri.removeprefix("gcp://").partition("/cryptoKeyVersions/")[0]
    with closing(connect_to(emulator, client, uri)) as kms, generate_master(kms, NODE_ID, 1):
        calls = [call for call in emulator.calls(name) if call.plaintext_bytes]
    assert [call.plaintext_bytes for call in calls] == [32, 32]
