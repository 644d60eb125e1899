"""The management call that reads a vault, as Azure Resource Manager answers it. Vaults are changed by the emulator's
admin, not here.
"""

import re
from collections.abc import Mapping

import grpc

from kms_emulator.core import Core
from kms_emulator.model.vaults import Vault
from kms_emulator.wire.azure import authenticate
from kms_emulator.wire.azure.access import LOCATION, resource_id
from kms_emulator.wire.azure.applications import Application
from kms_emulator.wire.azure.hosts import Host, host_of
from kms_emulator.wire.azure.names import VAULT_PATTERN
from kms_emulator.wire.azure.roles import MANAGEMENT
from kms_emulator.wire.call import CloudError
from kms_emulator.wire.http.message import HttpRequest, HttpResponse, json_response

PREFIX = "/subscriptions/"
_VAULT = re.compile(
    r"/subscriptions/([^/]+)/resourceGroups/([^/]+)/providers/Microsoft\.KeyVault/vaults/([^/]+)", re.IGNORECASE
)


def is_meant(request: HttpRequest) -> bool:
    """Tell whether a request is one of management."""
    return request.path.startswith(PREFIX)


def answer(core: Core, request: HttpRequest) -> HttpResponse:
    """Return the vault that a path names.

    Raises:
        CloudError: no token, no such vault in that subscription and group, no role that may read it, or another
            method than GET.
    """
    application = authenticate.caller_of_management(request, core)
    found = _VAULT.fullmatch(request.path)
    if found is None:
        raise _missing("InvalidResourceType", f"There is no resource {request.path}.")
    subscription, group, name = found.groups()
    vault = core.vaults.get(name.lower())
    fits = (vault.subscription, vault.resource_group.lower()) == (subscription.lower(), group.lower())
    if not fits or not VAULT_PATTERN.fullmatch(name):
        text = f"The Resource 'Microsoft.KeyVault/vaults/{name}' under resource group '{group}' was not found."
        raise _missing("ResourceNotFound", text)
    if application is not None:
        _check_roles(vault, application)
    if request.method != "GET":
        text = "Vaults are changed through the emulator's admin."
        raise CloudError("MethodNotAllowed", text, grpc.StatusCode.UNIMPLEMENTED, http_status=405)
    return json_response(_document(vault, request.path, host_of(core, request)))


def _check_roles(vault: Vault, application: Application) -> None:
    """Refuse an application that has no role to read the vault."""
    held = vault.roles.get(application.client_id, ()) if application.account == vault.tenant else ()
    if MANAGEMENT & set(held):
        return
    text = (
        f"The client '{application.client_id}' with object id '{application.object_id}' does not have authorization "
        f"to perform action 'Microsoft.KeyVault/vaults/read' over scope '{resource_id(vault)}' or the scope is "
        "invalid. If access was recently granted, please refresh your credentials."
    )
    raise CloudError("AuthorizationFailed", text, grpc.StatusCode.PERMISSION_DENIED)


def _missing(code: str, text: str) -> CloudError:
    return CloudError(code, text, grpc.StatusCode.NOT_FOUND)


def _document(vault: Vault, path: str, host: Host) -> Mapping[str, object]:
    properties: dict[str, object] = {
        "tenantId": vault.tenant,
        "sku": {"family": "A", "name": "premium"},
        "accessPolicies": [
            {
                "tenantId": vault.tenant,
                "objectId": Application(vault.tenant, client_id).object_id,
                "permissions": {"keys": list(granted)},
            }
            for client_id, granted in vault.access.items()
        ],
        "vaultUri": f"{host.url}/" if host.vault == vault.name else f"https://{vault.name}.vault.azure.net/",
        "enableSoftDelete": True,
        "softDeleteRetentionInDays": vault.retention_days,
        "enableRbacAuthorization": vault.by_roles,
        "provisioningState": "Succeeded",
        "networkAcls": {
            "bypass": "None",
            "defaultAction": "Allow" if vault.networks is None else "Deny",
            "ipRules": [{"value": network} for network in vault.networks or ()],
            "virtualNetworkRules": [],
        },
    }
    if vault.purge_protection:
        properties["enablePurgeProtection"] = True
    return {
        "id": path,
        "name": vault.name,
        "type": "Microsoft.KeyVault/vaults",
        "location": LOCATION,
        "tags": {},
        "properties": properties,
    }
