"""Policies and service accounts through Google's client: who may do what, and what those hear who may not."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.api_core import exceptions
from google.iam.v1 import iam_policy_pb2, policy_pb2
from keystore_api.admin.v1 import admin_pb2
from keystore_api.admin.v1.admin_pb2_grpc import AdminStub

from kms_emulator.core import Core
from kms_emulator.storage.directory import DataDir
from kms_emulator.wire.gcp.adapter import GCP
from kms_emulator.wire.gcp.roles import PERMISSIONS
from tests.emulator.gcp.accounts import UNIVERSE, bind, email_of, key_pair, put_account, signed
from tests.emulator.gcp.keys import LOCATION, RING, Client, client_of, make
from tests.emulator.running import Running, run_cli

KEY = f"{RING}/cryptoKeys/k"
USE = "cloudkms.cryptoKeyVersions."


@pytest.fixture
def key(client: Client) -> str:
    return make(client, "ENCRYPT_DECRYPT", "GOOGLE_SYMMETRIC_ENCRYPTION").partition("/cryptoKeyVersions/")[0]


def denied(permission: str, resource: str = KEY) -> Any:
    """Expect Google's refusal, which names the permission to people and to programs."""
    return pytest.raises(
        exceptions.PermissionDenied, match=f"Permission '{permission}' denied on resource '{resource}'"
    )


def test_roles_allow_what_they_say_and_no_more(client: Client, admin: AdminStub, key: str) -> None:
    sealed = client.encrypt(name=key, plaintext=b"x").ciphertext
    both = signed(put_account(admin, "both", pair=1))
    writer = signed(put_account(admin, "writer", pair=2))
    bind(client, RING, "roles/cloudkms.cryptoKeyEncrypter", "writer", "both")
    bind(client, KEY, "roles/cloudkms.cryptoKeyDecrypter", "both")
    assert client.decrypt(name=key, ciphertext=sealed, metadata=both).plaintext == b"x"
    for metadata in (both, writer):
        assert client.encrypt(name=key, plaintext=b"x", metadata=metadata).ciphertext
        with denied("cloudkms.cryptoKeys.get"):
            client.get_crypto_key(name=key, metadata=metadata)
    with denied(f"{USE}useToDecrypt") as caught:
        client.decrypt(name=key, ciphertext=sealed, metadata=writer)
    error = caught.value
    assert (error.reason, error.domain) == ("IAM_PERMISSION_DENIED", "cloudkms.googleapis.com")
    assert error.metadata == {"permission": f"{USE}useToDecrypt", "resource": KEY}


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        ("roles/cloudkms.viewer", {"get", "list"}),
        ("roles/cloudkms.admin", {"get", "list", "create"}),
        ("roles/cloudkms.cryptoKeyEncrypterDecrypter", {"encrypt", "decrypt"}),
        ("roles/owner", {"get", "list", "create", "encrypt", "decrypt"}),
    ],
)
def test_roles_on_the_project(client: Client, admin: AdminStub, key: str, role: str, allowed: set[str]) -> None:
    sealed = client.encrypt(name=key, plaintext=b"x").ciphertext
    metadata = signed(put_account(admin, "app", role))
    calls: dict[str, Callable[[], Any]] = {
        "get": lambda: client.get_crypto_key(name=key, metadata=metadata),
        "list": lambda: list(client.list_key_rings(parent=LOCATION, metadata=metadata)),
        "create": lambda: client.create_crypto_key_version(parent=key, crypto_key_version={}, metadata=metadata),
        "encrypt": lambda: client.encrypt(name=key, plaintext=b"x", metadata=metadata),
        "decrypt": lambda: client.decrypt(name=key, ciphertext=sealed, metadata=metadata),
    }
    for name, call in calls.items():
        if name in allowed:
            call()
        else:
            with pytest.raises(exceptions.PermissionDenied):
                call()


def test_revoking_acts_at_once(client: Client, admin: AdminStub, key: str) -> None:
    metadata = signed(put_account(admin, "app"))
    bind(client, KEY, "roles/cloudkms.cryptoKeyEncrypter", "app")
    assert client.encrypt(name=key, plaintext=b"x", metadata=metadata).ciphertext
    bind(client, KEY, "roles/cloudkms.cryptoKeyEncrypter")
    with denied(f"{USE}useToEncrypt"):
        client.encrypt(name=key, plaintext=b"x", metadata=metadata)
    bind(client, KEY, "roles/cloudkms.cryptoKeyEncrypter", "app")
    admin.RemoveServiceAccount(admin_pb2.RemoveServiceAccountRequest(email=email_of("app")))
    with pytest.raises(exceptions.Unauthenticated):
        client.encrypt(name=key, plaintext=b"x", metadata=metadata)


def test_caller_and_refusal_are_in_the_call_log(client: Client, admin: AdminStub, key: str) -> None:
    metadata = signed(put_account(admin, "app"))
    with denied(f"{USE}useToEncrypt"):
        client.encrypt(name=key, plaintext=b"x", metadata=metadata)
    call = admin.ListCalls(admin_pb2.ListCallsRequest(operation="Encrypt")).calls[0]
    assert (call.caller, call.outcome, call.key) == (email_of("app"), "PERMISSION_DENIED", KEY)


def test_who_is_not_known_may_do_everything_but_under_strict_authentication_nothing(
    client: Client, admin: AdminStub, running: Running, key: str
) -> None:
    stranger = {**put_account(admin, "app", "roles/owner"), "client_email": "else@q.iam.gserviceaccount.com"}
    unknown = signed({**stranger, "private_key_id": "0" * 40})
    for metadata in ([], [("authorization", "Bearer something")], unknown):
        assert client.encrypt(name=key, plaintext=b"x", metadata=metadata).ciphertext
    running.core.strict_auth = True
    for metadata in ([], [("authorization", "Bearer something")], unknown):
        with pytest.raises(exceptions.Unauthenticated):
            client.encrypt(name=key, plaintext=b"x", metadata=metadata)
    assert client.encrypt(name=key, plaintext=b"x", metadata=signed(put_account(admin, "app", "roles/owner"))).name


def test_known_account_is_always_verified(client: Client, admin: AdminStub, key: str) -> None:
    info = put_account(admin, "app", "roles/owner")
    forged = signed({**info, "private_key": key_pair(3)[0]})
    renamed = signed({**info, "client_email": email_of("other")})
    misdirected = signed(info, "https://storage.googleapis.com/")
    for metadata in (forged, renamed, misdirected):
        with pytest.raises(exceptions.Unauthenticated, match="invalid authentication credentials"):
            client.encrypt(name=key, plaintext=b"x", metadata=metadata)


def test_policy_is_kept_and_guarded_by_its_etag(client: Client, key: str) -> None:
    empty = client.get_iam_policy({"resource": KEY})
    assert (list(empty.bindings), empty.etag) == ([], b"\x00\x20\x01")
    first = bind(client, KEY, "roles/cloudkms.viewer", "app")
    assert client.get_iam_policy({"resource": KEY}) == first
    assert client.get_iam_policy({"resource": RING}) == empty
    stale = iam_policy_pb2.SetIamPolicyRequest(resource=KEY, policy=policy_pb2.Policy(etag=empty.etag))
    with pytest.raises(exceptions.Aborted, match="concurrent policy changes"):
        client.set_iam_policy(stale)
    fresh = iam_policy_pb2.SetIamPolicyRequest(resource=KEY, policy=policy_pb2.Policy(etag=first.etag))
    assert list(client.set_iam_policy(fresh).bindings) == []
    client.update_crypto_key(crypto_key={"name": KEY, "labels": {"a": "b"}}, update_mask={"paths": ["labels"]})
    assert client.get_iam_policy({"resource": KEY}).etag not in (first.etag, empty.etag)


def test_what_no_policy_may_say(client: Client, key: str) -> None:
    for role, member, error in [
        ("roles/none", "user:a@b.c", exceptions.InvalidArgument),
        ("roles/cloudkms.viewer", "nonsense", exceptions.InvalidArgument),
    ]:
        policy = policy_pb2.Policy(bindings=[policy_pb2.Binding(role=role, members=[member])])
        with pytest.raises(error, match="roles/"):
            client.set_iam_policy(iam_policy_pb2.SetIamPolicyRequest(resource=key, policy=policy))
    limited = policy_pb2.Binding(role="roles/cloudkms.viewer", members=["allUsers"])
    limited.condition.expression = "true"
    with pytest.raises(exceptions.MethodNotImplemented, match="condition"):
        client.set_iam_policy(
            iam_policy_pb2.SetIamPolicyRequest(resource=key, policy=policy_pb2.Policy(bindings=[limited]))
        )
    with pytest.raises(exceptions.NotFound):
        client.get_iam_policy({"resource": f"{RING}/cryptoKeys/none"})
    with pytest.raises(exceptions.InvalidArgument):
        client.get_iam_policy({"resource": "nonsense"})


def test_permissions_are_tested_for_the_caller(client: Client, admin: AdminStub, key: str) -> None:
    asked = [f"{USE}useToEncrypt", f"{USE}useToDecrypt", "cloudkms.cryptoKeys.get"]
    request = iam_policy_pb2.TestIamPermissionsRequest(resource=key, permissions=asked)
    assert list(client.test_iam_permissions(request).permissions) == asked
    metadata = signed(put_account(admin, "app"))
    bind(client, RING, "roles/cloudkms.cryptoKeyDecrypter", "app")
    assert list(client.test_iam_permissions(request, metadata=metadata).permissions) == [f"{USE}useToDecrypt"]
    with pytest.raises(exceptions.InvalidArgument, match="storage"):
        client.test_iam_permissions({"resource": key, "permissions": ["storage.objects.get"]})


def test_what_is_missing_and_what_is_forbidden_look_the_same(client: Client, admin: AdminStub) -> None:
    metadata = signed(put_account(admin, "app"))
    missing = f"{RING}/cryptoKeys/none"
    with denied(f"{USE}useToEncrypt", missing):
        client.encrypt(name=missing, plaintext=b"x", metadata=metadata)
    with pytest.raises(exceptions.InvalidArgument):
        client.encrypt(name="nonsense", plaintext=b"x", metadata=metadata)


@pytest.mark.parametrize("name", GCP.operations)
def test_every_operation_asks_for_a_permission(running: Running, admin: AdminStub, name: str) -> None:
    request: Any = GCP.operations[name].request()
    fields = request.DESCRIPTOR.fields_by_name
    holder = next(
        (getattr(request, field) for field in ("crypto_key", "crypto_key_version") if field in fields), request
    )
    place = next((field for field in ("name", "parent", "location") if field in fields), "")
    setattr(request if place else holder, place or "name", KEY)
    call: Any = running.channel.unary_unary(
        f"/{GCP.service}/{name}", request_serializer=type(request).SerializeToString
    )
    with pytest.raises(grpc.RpcError) as caught:
        call(request, metadata=signed(put_account(admin, "app")))
    assert isinstance(caught.value, grpc.Call)
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
    asked = (caught.value.details() or "").split("'")[1]
    assert asked in PERMISSIONS


def test_policies_and_accounts_outlive_the_process(tmp_path: Path) -> None:
    with DataDir(tmp_path / "data") as data:
        emulator = Running(Core(data.store))
        client = client_of(emulator)
        client.create_key_ring(parent=LOCATION, key_ring_id="r", key_ring={})
        make(client, "ENCRYPT_DECRYPT", "GOOGLE_SYMMETRIC_ENCRYPTION")
        metadata = signed(put_account(AdminStub(emulator.channel), "app"))
        bind(client, RING, "roles/cloudkms.cryptoKeyEncrypter", "app")
        emulator.stop()
    with DataDir(tmp_path / "data") as data:
        emulator = Running(Core(data.store))
        emulator.core.strict_auth = True
        assert client_of(emulator).encrypt(name=KEY, plaintext=b"x", metadata=metadata).ciphertext
        with denied("cloudkms.cryptoKeys.get"):
            client_of(emulator).get_crypto_key(name=KEY, metadata=metadata)
        emulator.stop()


def test_command_makes_a_key_file_that_signs(client: Client, running: Running, key: str) -> None:
    made = run_cli("service-account", "put", "app", "--role", "roles/owner", endpoint=running.server.endpoint)
    info = {**json.loads(made.stdout), "universe_domain": UNIVERSE}
    assert (info["type"], info["client_email"]) == ("service_account", "app@emulated.iam.gserviceaccount.com")
    assert info["token_uri"].endswith("/token")
    running.core.strict_auth = True
    assert client.encrypt(name=key, plaintext=b"x", metadata=signed(info)).ciphertext
    listed = run_cli("service-account", "list", "--json", endpoint=running.server.endpoint)
    account = json.loads(listed.stdout)["service_accounts"][0]
    assert (account["key_ids"], account["roles"]) == ([info["private_key_id"]], ["roles/owner"])
    assert run_cli("service-account", "remove", info["client_email"], endpoint=running.server.endpoint).returncode == 0
    with pytest.raises(exceptions.Unauthenticated):
        client.encrypt(name=key, plaintext=b"x", metadata=signed(info))
    bad = run_cli("service-account", "put", "app", "--role", "roles/none", endpoint=running.server.endpoint)
    assert bad.returncode == 2
    assert "roles/cloudkms.admin" in bad.stderr
