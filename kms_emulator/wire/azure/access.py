"""Who may do what in a vault: network rules for everybody, access policies or roles for applications that are known.

Over gRPC nobody is known, so only the network rules hold there.
"""

import ipaddress
from collections.abc import Awaitable, Callable
from typing import Any

from google.protobuf.message import Message

from kms_emulator.model.vaults import Vault
from kms_emulator.wire.azure.errors import forbidden
from kms_emulator.wire.azure.lookup import check_vault
from kms_emulator.wire.azure.roles import DATA_ACTIONS, KEYS
from kms_emulator.wire.call import Call

LOCATION = "local"
PERMISSIONS = tuple(DATA_ACTIONS)
"""What an access policy can grant on keys, as Azure writes it."""

Run = Callable[[Call, Any], "Message | Awaitable[Message]"]


def guarded(permission: str, run: Run) -> Run:
    """Return the handler of an operation that needs a permission."""

    def checked(call: Call, request: Any) -> "Message | Awaitable[Message]":
        vault = call.core.vaults.get(check_vault(request.vault))
        if name := getattr(request, "name", ""):
            call.key = f"https://{vault.name}.vault.azure.net/keys/{name}"
        check_network(call, vault)
        if call.caller.known:
            (_check_roles if vault.by_roles else _check_policy)(call, vault, permission)
        return run(call, request)

    return checked


def check_network(call: Call, vault: Vault) -> None:
    """Refuse a caller from outside of the vault's networks."""
    if vault.networks is None or _is_inside(call.caller.address, vault.networks):
        return
    text = (
        "Client address is not authorized and caller is not a trusted service.\n"
        f"Client address: {call.caller.address}\nCaller: {call.caller.arn}\nVault: {vault.name};location={LOCATION}"
    )
    raise forbidden(text, "ForbiddenByFirewall")


def _check_policy(call: Call, vault: Vault, permission: str) -> None:
    if permission in vault.access.get(call.caller.access_key_id, ()):
        return
    text = (
        f"The user, group or application '{call.caller.arn}' does not have keys {permission} permission on key vault "
        f"'{vault.name};location={LOCATION}'. For help resolving this issue, please see "
        "https://go.microsoft.com/fwlink/?linkid=2125287"
    )
    raise forbidden(text, "ForbiddenByPolicy")


def _check_roles(call: Call, vault: Vault, permission: str) -> None:
    action = DATA_ACTIONS[permission]
    if any(action in KEYS[role] for role in vault.roles.get(call.caller.access_key_id, ())):
        return
    key = call.key.partition("/keys/")[2]
    resource = resource_id(vault).lower() + (f"/keys/{key}" if key else "")
    text = (
        "Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments or role "
        "definitions were changed recently, please observe propagation time.\r\n"
        f"Caller: {call.caller.arn}\r\nAction: 'Microsoft.KeyVault/vaults/{action}'\r\nResource: '{resource}'\r\n"
        "Assignment: (not found)\r\nDenyAssignmentId: null\r\nDecisionReason: null\r\n"
        f"Vault: {vault.name};location={LOCATION}\r\n"
    )
    raise forbidden(text, "ForbiddenByRbac")


def resource_id(vault: Vault) -> str:
    """Return the vault's id in management."""
    group = f"/subscriptions/{vault.subscription}/resourceGroups/{vault.resource_group}"
    return f"{group}/providers/Microsoft.KeyVault/vaults/{vault.name}"


def _is_inside(address: str, networks: tuple[str, ...]) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(found in ipaddress.ip_network(network, strict=False) for network in networks)
