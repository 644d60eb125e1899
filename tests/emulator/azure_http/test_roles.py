"""Roles that applications have on vaults: about keys where the vault goes by roles, and in management."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from azure.core.exceptions import HttpResponseError
from azure.keyvault.keys import KeyClient
from keystore_api.admin.v1 import admin_pb2
from keystore_api.admin.v1.admin_pb2_grpc import AdminStub

from kms_emulator.wire.azure.access import PERMISSIONS
from kms_emulator.wire.azure.roles import KEYS, MANAGEMENT
from tests.emulator.azure_http.raw import ask
from tests.emulator.azure_http.test_access import code_of, put, token_of
from tests.emulator.running import Running

MANAGEMENT_SCOPE = "https://management.azure.com/.default"
REQUESTS = {
    "get": ("GET", "/keys/cmk"),
    "list": ("GET", "/keys"),
    "update": ("PATCH", "/keys/cmk"),
    "create": ("POST", "/keys/cmk/create"),
    "import": ("PUT", "/keys/cmk"),
    "backup": ("POST", "/keys/cmk/backup"),
    "restore": ("POST", "/keys/restore"),
    "decrypt": ("POST", "/keys/cmk//decrypt"),
    "encrypt": ("POST", "/keys/cmk//encrypt"),
    "unwrapKey": ("POST", "/keys/cmk//unwrapkey"),
    "wrapKey": ("POST", "/keys/cmk//wrapkey"),
    "verify": ("POST", "/keys/cmk//verify"),
    "sign": ("POST", "/keys/cmk//sign"),
    "rotate": ("POST", "/keys/cmk/rotate"),
    "getrotationpolicy": ("GET", "/keys/cmk/rotationpolicy"),
    "setrotationpolicy": ("PUT", "/keys/cmk/rotationpolicy"),
    "recover": ("POST", "/deletedkeys/cmk/recover"),
    "purge": ("DELETE", "/deletedkeys/cmk"),
    "delete": ("DELETE", "/keys/cmk"),
}
"""A request for each permission; deletion comes last."""

USE = {"decrypt", "encrypt", "unwrapKey", "wrapKey", "verify", "sign"}
ALLOWED = {
    "Key Vault Administrator": set(REQUESTS),
    "Key Vault Crypto Officer": set(REQUESTS),
    "Key Vault Crypto User": {"get", "list", "update", "backup", *USE},
    "Key Vault Crypto Service Encryption User": {"get", "list", "wrapKey", "unwrapKey"},
    "Key Vault Crypto Service Release User": set(),
    "Key Vault Reader": {"get", "list", "getrotationpolicy"},
    "Key Vault Contributor": set(),
    "Reader": set(),
    "Contributor": set(),
    "Owner": set(),
}


def test_every_permission_has_a_request_and_every_role_a_row() -> None:
    assert set(REQUESTS) | {"release"} == set(PERMISSIONS)
    assert ALLOWED.keys() == KEYS.keys()


@pytest.mark.parametrize("role", ALLOWED)
def test_a_role_allows_what_azures_does(emulator: Running, admin: AdminStub, keys: KeyClient, role: str) -> None:
    keys.create_ec_key("cmk")
    admin.PutVault(admin_pb2.PutVaultRequest(name="local-vault", by_roles=True))
    application = put(admin, "all", roles=[role.upper()])
    headers = {"authorization": f"Bearer {token_of(emulator, application)}"}
    refusals = {}
    for permission, (method, path) in REQUESTS.items():
        status, body, _ = ask(emulator, method, f"{path}?api-version=7.4", b"{}", headers=headers)
        error = (body or {}).get("error", {})
        if status == 403 and error["innererror"]["code"] == "ForbiddenByRbac":
            refusals[permission] = error["message"]
    assert set(REQUESTS) - set(refusals) == ALLOWED[role]
    if "wrapKey" in refusals:
        assert "Action: 'Microsoft.KeyVault/vaults/keys/wrap/action'" in refusals["wrapKey"]
        assert "/vaults/local-vault/keys/cmk'" in refusals["wrapKey"]
        assert application.client_id in refusals["wrapKey"]


@contextmanager
def ignoring(codes: list[tuple[int | None, str]]) -> Iterator[None]:
    """Note the code of a refusal."""
    try:
        yield
    except HttpResponseError as error:
        codes.append(code_of(error))


def test_the_vault_says_whether_roles_or_policies_decide(
    emulator: Running, admin: AdminStub, keys: KeyClient, sign_in: Callable[..., KeyClient]
) -> None:
    keys.create_ec_key("cmk")
    by_policy, by_role = put(admin, "get"), put(admin, roles=["Key Vault Crypto User"])

    def who_may(code: str) -> list[bool]:
        may = []
        for application in (by_policy, by_role):
            with sign_in(application) as mine:
                codes: list[tuple[int | None, str]] = []
                with ignoring(codes):
                    mine.get_key("cmk")
                assert codes in ([], [(403, code)])
                may.append(not codes)
        return may

    assert who_may("ForbiddenByPolicy") == [True, False]
    admin.PutVault(admin_pb2.PutVaultRequest(name="local-vault", by_roles=True))
    assert who_may("ForbiddenByRbac") == [False, True]
    put(admin, client_id=by_role.client_id, revoke=True)
    assert who_may("ForbiddenByRbac") == [False, False]
    admin.PutVault(admin_pb2.PutVaultRequest(name="local-vault", by_roles=False))
    assert who_may("ForbiddenByPolicy") == [True, False]


@pytest.mark.parametrize("role", ["", *KEYS])
def test_management_goes_by_roles_always(emulator: Running, admin: AdminStub, role: str) -> None:
    vault = admin.PutVault(admin_pb2.PutVaultRequest(name="local-vault", by_roles=True))
    application = put(admin, "all", roles=[role] if role else [])
    headers = {"authorization": f"Bearer {token_of(emulator, application, MANAGEMENT_SCOPE)}"}
    group = f"/subscriptions/{vault.subscription}/resourceGroups/{vault.resource_group}"
    path = f"{group}/providers/Microsoft.KeyVault/vaults/local-vault"
    status, body, _ = ask(emulator, "GET", path, headers=headers)
    if role in MANAGEMENT:
        assert (status, body["properties"]["enableRbacAuthorization"]) == (200, True)
    else:
        assert (status, body["error"]["code"]) == (403, "AuthorizationFailed")
        assert f"'Microsoft.KeyVault/vaults/read' over scope '{path}'" in body["error"]["message"]


def test_a_role_is_not_that_of_another_tenants_application(emulator: Running, admin: AdminStub) -> None:
    vault = admin.PutVault(admin_pb2.PutVaultRequest(name="local-vault"))
    application = put(admin, roles=["Owner"])
    other = put(admin, client_id=application.client_id, tenant="11111111-2222-4333-8444-555555555555")
    group = f"/subscriptions/{vault.subscription}/resourceGroups/{vault.resource_group}"
    path = f"{group}/providers/Microsoft.KeyVault/vaults/local-vault"
    found = []
    for each in (application, other):
        headers = {"authorization": f"Bearer {token_of(emulator, each, MANAGEMENT_SCOPE)}"}
        found.append(ask(emulator, "GET", path, headers=headers)[0])
    assert found == [200, 403]


def test_a_role_is_of_one_vault_and_goes_with_its_application(emulator: Running, admin: AdminStub) -> None:
    application = put(admin, roles=["Key Vault Reader"], vault="other-vault")
    assert [vault.roles for vault in admin.ListVaults(admin_pb2.ListVaultsRequest()).vaults] == [
        {application.client_id: "Key Vault Reader"}
    ]
    admin.RemoveApplication(admin_pb2.RemoveApplicationRequest(client_id=application.client_id))
    assert [vault.roles for vault in admin.ListVaults(admin_pb2.ListVaultsRequest()).vaults] == [{}]


def test_roles_that_there_are_not_are_refused(emulator: Running) -> None:
    status, body, _ = ask(emulator, "POST", "/_emulator/applications", {"roles": ["King"]})
    assert (status, "there is no role King" in str(body)) == (400, True)
