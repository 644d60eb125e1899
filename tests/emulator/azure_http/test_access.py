"""Who may do what: applications with secrets, tokens, access policies, network rules, through Azure's own clients."""

import base64
import json
from collections.abc import Callable
from concurrent.futures import Future

import pytest
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
from azure.keyvault.keys import KeyClient
from azure.keyvault.keys.crypto import KeyWrapAlgorithm
from google.protobuf.timestamp_pb2 import Timestamp
from keystore_api.admin.v1 import admin_pb2
from keystore_api.admin.v1.admin_pb2_grpc import AdminStub
from keystore_api.azure_keyvault.v1 import azure_keyvault_pb2 as pb
from keystore_api.azure_keyvault.v1.azure_keyvault_pb2_grpc import AzureKeyVaultStub

from kms_emulator.calls import CallFilter
from tests.emulator.azure_http.raw import ask
from tests.emulator.running import Running, refused

HOUR_S = 3600
VERSION = "?api-version=7.4"


def put(admin: AdminStub, *permissions: str, **fields: object) -> admin_pb2.Application:
    return admin.PutApplication(admin_pb2.PutApplicationRequest(permissions=permissions, **fields))  # type: ignore[arg-type]


def in_loop(emulator: Running, act: Callable[[], object]) -> None:
    done: Future[object] = Future()
    emulator.loop.call_soon_threadsafe(lambda: done.set_result(act()))
    done.result(30)


def advance(emulator: Running, seconds: int) -> None:
    core = emulator.core
    in_loop(emulator, lambda: core.set_clock(core.clock.advance(seconds * 10**9)))


def code_of(error: HttpResponseError) -> tuple[int | None, str]:
    return error.status_code, error.error.innererror["code"]  # type: ignore[union-attr]


def test_an_application_does_what_its_policy_grants(
    strict: Running, admin: AdminStub, sign_in: Callable[..., KeyClient]
) -> None:
    application = put(admin, "create", "get", "wrapKey")
    with sign_in(application) as keys:
        keys.create_rsa_key("cmk")
        crypto = keys.get_cryptography_client("cmk")
        wrapped = crypto.wrap_key(KeyWrapAlgorithm.rsa_oaep, b"k" * 32).encrypted_key
        with pytest.raises(HttpResponseError, match="does not have keys unwrapKey permission on key vault") as caught:
            crypto.unwrap_key(KeyWrapAlgorithm.rsa_oaep, wrapped)
        assert code_of(caught.value) == (403, "ForbiddenByPolicy")
        put(admin, "unwrapKey", client_id=application.client_id)
        assert crypto.unwrap_key(KeyWrapAlgorithm.rsa_oaep, wrapped).key == b"k" * 32
        with pytest.raises(HttpResponseError, match="keys get permission"):
            keys.get_key("cmk")
        admin.RemoveApplication(admin_pb2.RemoveApplicationRequest(client_id=application.client_id))
        with pytest.raises(HttpResponseError) as refusal:
            keys.get_key("cmk")
        assert refusal.value.status_code in (None, 401)
    told = [
        (call.operation, call.outcome) for call in strict.core.calls.select(CallFilter(caller=application.client_id))
    ]
    assert ("UnwrapKey", "Forbidden") in told
    assert ("UnwrapKey", "OK") in told


def test_permissions_are_of_one_vault(strict: Running, admin: AdminStub, sign_in: Callable[..., KeyClient]) -> None:
    application = put(admin, "all", vault="local-vault-2")
    with sign_in(application) as keys, pytest.raises(HttpResponseError, match="keys list permission"):
        list(keys.list_properties_of_keys())


def test_a_secret_ends_on_the_emulators_clock(
    emulator: Running, admin: AdminStub, sign_in: Callable[..., KeyClient]
) -> None:
    ends = Timestamp(seconds=emulator.core.now_ns() // 10**9 + HOUR_S)
    application = put(admin, "all", secret="a-secret", secret_expires_at=ends)
    with sign_in(application, "a-secret") as keys:
        keys.create_ec_key("cmk")
    with sign_in(application, "another") as keys, pytest.raises(ClientAuthenticationError, match="AADSTS7000215"):
        keys.get_key("cmk")
    advance(emulator, HOUR_S + 1)
    with sign_in(application, "a-secret") as keys, pytest.raises(ClientAuthenticationError, match="AADSTS7000222"):
        keys.get_key("cmk")


def token_of(emulator: Running, application: admin_pb2.Application, scope: str = "") -> str:
    aimed = scope or f"https://0.0.1:{emulator.server.https_port}/.default"
    form = f"grant_type=client_credentials&client_id={application.client_id}&client_secret={application.secret}"
    path = f"/{application.tenant}/oauth2/v2.0/token"
    status, body, _ = ask(emulator, "POST", path, f"{form}&scope={aimed}".encode())
    assert status == 200
    return str(body["access_token"])


@pytest.mark.row("R112")
def test_tokens_that_are_refused(strict: Running, admin: AdminStub) -> None:
    application = put(admin, "all")
    token = token_of(strict, application)

    def status(text: str) -> int:
        return ask(strict, "GET", f"/keys{VERSION}", headers={"authorization": f"Bearer {text}"})[0]

    assert status(token) == 200
    head, claims, signature = token.split(".")
    forged = json.loads(base64.urlsafe_b64decode(claims + "==")) | {"appid": "somebody"}
    text = base64.urlsafe_b64encode(json.dumps(forged).encode()).rstrip(b"=").decode()
    for wrong in ("", "a", "a.b.c", f"{head}.{text}.{signature}", f"{head}.{claims}.", f"..{signature}"):
        assert status(wrong) == 401, wrong
    assert status(token_of(strict, application, "https://graph.microsoft.com/.default")) == 401
    advance(strict, HOUR_S)
    answer = ask(strict, "GET", f"/keys{VERSION}", headers={"authorization": f"Bearer {token}"})
    assert (answer[0], answer[1]["error"]["message"][:14]) == (401, "[TokenExpired]")
    assert len(answer[2].get_all("www-authenticate") or []) == 1


def test_a_removed_application_is_never_nobody(emulator: Running, admin: AdminStub) -> None:
    application = put(admin, "all")
    headers = {"authorization": f"Bearer {token_of(emulator, application)}"}
    assert ask(emulator, "GET", f"/keys{VERSION}", headers=headers)[0] == 200
    admin.RemoveApplication(admin_pb2.RemoveApplicationRequest(client_id=application.client_id))
    assert ask(emulator, "GET", f"/keys{VERSION}", headers=headers)[0] == 401
    form = f"grant_type=client_credentials&client_id={application.client_id}&client_secret=x&scope=s"
    status, body, _ = ask(emulator, "POST", f"/{application.tenant}/oauth2/v2.0/token", form.encode())
    assert (status, body["error"]) == (400, "unauthorized_client")


@pytest.mark.parametrize(
    ("form", "status", "code"),
    [
        ("grant_type=password", 400, "unsupported_grant_type"),
        ("grant_type=client_credentials&client_id=a", 400, "invalid_scope"),
        ("grant_type=client_credentials&client_id=unknown&scope=s", 400, "unauthorized_client"),
    ],
)
def test_logins_that_are_refused(strict: Running, form: str, status: int, code: str) -> None:
    found = ask(strict, "POST", "/some-tenant/oauth2/v2.0/token", form.encode())
    assert (found[0], found[1]["error"]) == (status, code)


def test_discovery_names_this_host(emulator: Running) -> None:
    base = f"{emulator.server.https_url}/contoso"
    found = ask(emulator, "GET", "/contoso/v2.0/.well-known/openid-configuration")[1]
    assert (found["issuer"], found["token_endpoint"]) == (f"{base}/v2.0", f"{base}/oauth2/v2.0/token")
    assert [key["alg"] for key in ask(emulator, "GET", "/contoso/discovery/v2.0/keys")[1]["keys"]] == ["RS256"]
    instance = ask(emulator, "GET", "/common/discovery/instance?authorization_endpoint=https://h/contoso/authorize")[1]
    assert instance["tenant_discovery_endpoint"] == f"{base}/v2.0/.well-known/openid-configuration"


def test_network_rules_hold_on_both_wires(emulator: Running, admin: AdminStub, keys: KeyClient) -> None:
    keys.create_ec_key("cmk")
    admin.PutVault(admin_pb2.PutVaultRequest(name="local-vault", restricted=True, networks=["10.0.0.0/8"]))
    with pytest.raises(HttpResponseError, match=r"Client address: 127\.0\.0\.1") as caught:
        keys.get_key("cmk")
    assert code_of(caught.value) == (403, "ForbiddenByFirewall")
    with refused("Forbidden", "ForbiddenByFirewall"):
        AzureKeyVaultStub(emulator.channel).GetKey(pb.GetKeyRequest(vault="local-vault", name="cmk"))
    admin.PutVault(admin_pb2.PutVaultRequest(name="local-vault", restricted=True, networks=["127.0.0.0/8"]))
    assert keys.get_key("cmk").name == "cmk"


def test_a_vault_decides_how_deleted_keys_go(emulator: Running, admin: AdminStub, keys: KeyClient) -> None:
    admin.PutVault(admin_pb2.PutVaultRequest(name="local-vault", retention_days=7, purge_protection=True))
    made = keys.create_ec_key("cmk")
    assert (made.properties.recovery_level, made.properties.recoverable_days) == ("CustomizedRecoverable", 7)
    deleted = keys.begin_delete_key("cmk").result()
    assert deleted.scheduled_purge_date is not None
    assert deleted.deleted_date is not None
    assert (deleted.scheduled_purge_date - deleted.deleted_date).days == 7
    with pytest.raises(HttpResponseError, match="purge protection") as caught:
        keys.purge_deleted_key("cmk")
    assert caught.value.status_code == 403
    advance(emulator, 8 * 24 * HOUR_S)
    assert list(keys.list_deleted_keys()) == []


def test_the_management_call_reads_a_vault(emulator: Running, admin: AdminStub) -> None:
    application = put(admin, "get", "wrapKey")
    vault = admin.PutVault(admin_pb2.PutVaultRequest(name="local-vault", resource_group="mine", retention_days=30))
    path = f"/subscriptions/{vault.subscription}/resourceGroups/mine/providers/Microsoft.KeyVault/vaults/local-vault"
    status, body, _ = ask(emulator, "GET", f"{path}?api-version=2023-07-01")
    assert (status, body["name"], body["properties"]["softDeleteRetentionInDays"]) == (200, "local-vault", 30)
    assert body["properties"]["vaultUri"] == f"{emulator.server.https_url}/"
    granted = [(each["objectId"], each["permissions"]["keys"]) for each in body["properties"]["accessPolicies"]]
    assert granted == [(application.object_id, ["get", "wrapKey"])]
    assert ask(emulator, "GET", path.replace("mine", "other"))[0] == 404
    assert ask(emulator, "GET", path, headers={})[0] == 401
    assert ask(emulator, "DELETE", path)[0] == 405


def test_admin_over_http_has_no_secrets_but_the_new_one(emulator: Running) -> None:
    status, made, _ = ask(emulator, "POST", "/_emulator/applications", {"permissions": ["get"]})
    assert (status, len(made["secret"]) > 30) == (201, True)
    listed = ask(emulator, "GET", "/_emulator/applications")[1]["applications"]
    assert [(each["client_id"], each["secret"]) for each in listed] == [(made["client_id"], "")]
    vaults = ask(emulator, "GET", "/_emulator/vaults")[1]["vaults"]
    assert [(each["name"], each["access"]) for each in vaults] == [("local-vault", {made["client_id"]: "get"})]
    assert ask(emulator, "POST", "/_emulator/applications", {"permissions": ["fly"]})[0] == 400
    assert ask(emulator, "POST", "/_emulator/vaults", {"name": "a_b"})[0] == 400
    assert ask(emulator, "POST", "/_emulator/vaults", {"name": "other", "retention_days": 5})[0] == 400
    assert (
        ask(emulator, "POST", "/_emulator/vaults", {"name": "other", "restricted": True, "networks": ["x"]})[0] == 400
    )
    assert ask(emulator, "DELETE", f"/_emulator/applications/{made['client_id']}")[0] == 200
    assert ask(emulator, "GET", "/_emulator/applications")[1] == {"applications": []}


def test_applications_and_vaults_outlive_a_restart(emulator: Running, admin: AdminStub) -> None:
    from kms_emulator.model.vaults import Vaults

    kept: dict[str, str] = {}

    class Settings:
        def put_setting(self, name: str, value: str) -> None:
            kept[name] = value

    application = put(admin, "get")
    described = emulator.core.vaults.get("local-vault")
    Vaults(Settings(), {}).put(described)
    assert Vaults(Settings(), kept).get("local-vault") == described
    assert described.access == {application.client_id: ("get",)}
