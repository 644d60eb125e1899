"""Azure's applications and vaults: made, described, listed and removed. Secrets come in and go out once."""

import base64
import ipaddress
import re
import uuid
from collections.abc import Mapping
from dataclasses import replace

from keystore_api.admin.v1 import admin_pb2 as pb

from kms_emulator.admin.errors import MissingError, RefusedError
from kms_emulator.core import Core
from kms_emulator.model.identities import Credential, Identity, IdentityKind
from kms_emulator.model.vaults import TENANT_DEFAULT, Vault
from kms_emulator.wire.azure.access import PERMISSIONS
from kms_emulator.wire.azure.applications import Application
from kms_emulator.wire.azure.hosts import VAULT_DEFAULT
from kms_emulator.wire.azure.names import VAULT_PATTERN
from kms_emulator.wire.azure.roles import NAMES as ROLES
from kms_emulator.wire.times import timestamp_ns

APPLICATIONS_MAX = 1000
"""LIMIT: applications that admin makes."""

SECRET_CHARACTERS_MAX = 256
RETENTION_DAYS_MIN, RETENTION_DAYS_MAX = 7, 90
_ID_PATTERN = re.compile(r"[a-z0-9][a-z0-9.-]{0,127}")
_PERMISSIONS = {name.lower(): name for name in PERMISSIONS}


def put_application(core: Core, request: pb.PutApplicationRequest) -> pb.Application:
    """Create an application, give it one more secret, or say what it may do in a vault."""
    client_id = request.client_id.lower() or str(uuid.UUID(bytes=core.registry.new_bytes(16), version=4))
    application = Application(request.tenant.lower() or TENANT_DEFAULT, client_id)
    _check_ids(application)
    granted, roles = _permissions(request), _roles(request)
    vault = core.vaults.get(_vault_name(request.vault or VAULT_DEFAULT))
    identity = core.identities.get(application.name)
    if identity is None and len(_applications(core)) >= APPLICATIONS_MAX:
        raise RefusedError(f"there are {APPLICATIONS_MAX} applications already; remove some")
    credential = _credential(core, request, application)
    if identity is None:
        kind, account = IdentityKind.APPLICATION, application.account
        core.identities.put(Identity(application.name, kind, account, application.object_id, core.now_ns()))
    if credential is not None:
        core.identities.issue(credential)
    if granted is not None:
        vault = replace(vault, access={**vault.access, client_id: granted})
    if roles is not None:
        vault = replace(vault, roles={**vault.roles, client_id: roles})
    if granted is not None or roles is not None:
        core.vaults.put(vault)
    found = _message(application)
    if credential is not None and not request.secret:
        found.secret = credential.secret
    return found


def list_applications(core: Core) -> pb.ListApplicationsResponse:
    """Return all applications."""
    return pb.ListApplicationsResponse(applications=[_message(found) for found in _applications(core)])


def remove_application(core: Core, request: pb.RemoveApplicationRequest) -> pb.RemoveApplicationResponse:
    """Remove an application; its secrets and tokens are refused from now on."""
    application = Application(request.tenant.lower() or TENANT_DEFAULT, request.client_id.lower())
    if core.identities.get(application.name) is None:
        raise MissingError(f"there is no application {request.client_id}")
    core.identities.remove(application.name)
    for vault in core.vaults.all():
        if vault.tenant == application.account:
            kept = [_without(granted, application.client_id) for granted in (vault.access, vault.roles)]
            core.vaults.put(replace(vault, access=kept[0], roles=kept[1]))
    return pb.RemoveApplicationResponse()


def put_vault(core: Core, request: pb.PutVaultRequest) -> pb.Vault:
    """Describe a vault; what is not given stays."""
    vault = core.vaults.get(_vault_name(request.name))
    if request.HasField("purge_protection") and vault.purge_protection and not request.purge_protection:
        raise RefusedError("purge protection cannot be taken back")
    if request.retention_days and not RETENTION_DAYS_MIN <= request.retention_days <= RETENTION_DAYS_MAX:
        raise RefusedError(f"retention_days must be {RETENTION_DAYS_MIN} to {RETENTION_DAYS_MAX}")
    if request.networks and not request.restricted:
        raise RefusedError("networks are for a vault that is restricted to them: restricted must be true")
    changed = replace(
        vault,
        tenant=request.tenant.lower() or vault.tenant,
        subscription=request.subscription.lower() or vault.subscription,
        resource_group=request.resource_group or vault.resource_group,
        retention_days=request.retention_days or vault.retention_days,
        purge_protection=request.purge_protection or vault.purge_protection,
        networks=_networks(request) if request.HasField("restricted") else vault.networks,
        by_roles=request.by_roles if request.HasField("by_roles") else vault.by_roles,
    )
    return _vault_message(core.vaults.put(changed))


def list_vaults(core: Core) -> pb.ListVaultsResponse:
    """Return the vaults that were described."""
    return pb.ListVaultsResponse(vaults=[_vault_message(vault) for vault in core.vaults.all()])


def _check_ids(application: Application) -> None:
    for name, value in (("tenant", application.account), ("client_id", application.client_id)):
        if not _ID_PATTERN.fullmatch(value):
            raise RefusedError(f"{name} must match {_ID_PATTERN.pattern}")


def _vault_name(name: str) -> str:
    if not VAULT_PATTERN.fullmatch(name):
        raise RefusedError(f"a vault's name must match {VAULT_PATTERN.pattern}")
    return name.lower()


def _permissions(request: pb.PutApplicationRequest) -> tuple[str, ...] | None:
    """Return what is granted, nothing for a revocation, or None if the request says nothing of it."""
    if request.revoke:
        return ()
    unknown = [name for name in request.permissions if name.lower() not in _PERMISSIONS and name != "all"]
    if unknown:
        raise RefusedError(f"there is no permission {unknown[0]}; there are all, {', '.join(PERMISSIONS)}")
    if "all" in request.permissions:
        return PERMISSIONS
    return tuple(_PERMISSIONS[name.lower()] for name in request.permissions) or None


def _roles(request: pb.PutApplicationRequest) -> tuple[str, ...] | None:
    """Return the roles that it has from now on, none after a revocation, or None if the request says nothing of it."""
    if request.revoke:
        return ()
    unknown = [name for name in request.roles if name.lower() not in ROLES]
    if unknown:
        raise RefusedError(f"there is no role {unknown[0]}; there are {', '.join(ROLES.values())}")
    return tuple(ROLES[name.lower()] for name in request.roles) or None


def _without(granted: Mapping[str, tuple[str, ...]], client_id: str) -> dict[str, tuple[str, ...]]:
    return {name: what for name, what in granted.items() if name != client_id}


def _credential(core: Core, request: pb.PutApplicationRequest, application: Application) -> Credential | None:
    """Return the secret to issue: the one that is given, or a fresh one for an application that has none."""
    known = core.identities.credentials_of(application.name)
    if not request.secret and known:
        return None
    if len(request.secret) > SECRET_CHARACTERS_MAX:
        raise RefusedError(f"a secret has at most {SECRET_CHARACTERS_MAX} characters")
    secret = request.secret or base64.urlsafe_b64encode(core.registry.new_bytes(30)).decode()
    ends_ns = timestamp_ns(request.secret_expires_at) if request.HasField("secret_expires_at") else None
    name, account = application.name, application.account
    return Credential(f"{name}/{len(known) + 1}", secret, name, name, account, core.now_ns(), expires_ns=ends_ns)


def _networks(request: pb.PutVaultRequest) -> tuple[str, ...] | None:
    try:
        return (
            tuple(str(ipaddress.ip_network(text, strict=False)) for text in request.networks)
            if (request.restricted)
            else None
        )
    except ValueError as error:
        raise RefusedError(f"networks: {error}") from None


def _applications(core: Core) -> list[Application]:
    found = (identity for identity in core.identities.all() if identity.kind is IdentityKind.APPLICATION)
    return [Application(identity.account, identity.name.rpartition("/")[2]) for identity in found]


def _message(application: Application) -> pb.Application:
    return pb.Application(tenant=application.account, client_id=application.client_id, object_id=application.object_id)


def _vault_message(vault: Vault) -> pb.Vault:
    return pb.Vault(
        name=vault.name,
        tenant=vault.tenant,
        subscription=vault.subscription,
        resource_group=vault.resource_group,
        retention_days=vault.retention_days,
        purge_protection=vault.purge_protection,
        restricted=vault.networks is not None,
        networks=vault.networks or (),
        access={client_id: ",".join(granted) for client_id, granted in vault.access.items()},
        by_roles=vault.by_roles,
        roles={client_id: ",".join(held) for client_id, held in vault.roles.items()},
    )
