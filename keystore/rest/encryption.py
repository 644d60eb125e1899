"""A project's keys at providers, `encryptionAtRest`: the routes.

What each field may be is for `keystore.projects.fields`; here a body only has the right names and types, so that the
document describes it.
"""

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType, field

from keystore.projects import configurations, fields
from keystore.projects.access import Role
from keystore.projects.fields import BLOCKS, Provider, provider_named
from keystore.projects.keyed_deployments import BANNER, moving_deployments
from keystore.projects.settings_rows import Configuration, configurations_of
from keystore.projects.sharing import sharing_of
from keystore.projects.validation import Validation
from keystore.rest.asking import asking, asking_now
from keystore.rest.routing import Answer, Body, Call, Route
from keystore.rest.times import shown

Text = str | UnsetType
Switch = bool | UnsetType


class AwsBlock(Body, frozen=True):
    """A key at AWS; what is left out stays."""

    enabled: Switch = UNSET
    access_key_id: Text = field(default=UNSET, name="accessKeyID")
    secret_access_key: Text = UNSET
    role_id: Text = UNSET
    customer_master_key_id: Text = field(default=UNSET, name="customerMasterKeyID")
    region: Text = UNSET
    require_private_networking: Switch = UNSET
    valid: Switch = UNSET


class AzureBlock(Body, frozen=True):
    """A key at Azure; what is left out stays."""

    enabled: Switch = UNSET
    azure_environment: Text = UNSET
    client_id: Text = field(default=UNSET, name="clientID")
    tenant_id: Text = field(default=UNSET, name="tenantID")
    secret: Text = UNSET
    subscription_id: Text = field(default=UNSET, name="subscriptionID")
    resource_group_name: Text = UNSET
    key_vault_name: Text = UNSET
    key_identifier: Text = UNSET
    require_private_networking: Switch = UNSET
    valid: Switch = UNSET


class GcpBlock(Body, frozen=True):
    """A key at Google; what is left out stays."""

    enabled: Switch = UNSET
    service_account_key: Text = UNSET
    key_version_resource_id: Text = field(default=UNSET, name="keyVersionResourceID")
    valid: Switch = UNSET


class Update(Body, frozen=True):
    """Keys to set, change or remove; a provider that is left out stays."""

    aws_kms: AwsBlock | UnsetType = UNSET
    azure_key_vault: AzureBlock | UnsetType = UNSET
    google_cloud_kms: GcpBlock | UnsetType = UNSET
    enabled_for_search_nodes: Switch = UNSET


class Key(Answer, frozen=True):
    """What is answered of a key at any provider."""

    enabled: bool
    valid: bool | None = None
    state: str | None = None
    state_since: str | None = None
    reason: str | None = None
    error_code: str | None = None
    checked_at: str | None = None
    banner: str | None = None
    moving_clusters: list[str] | None = None


class AwsKms(Key, frozen=True):
    """A key at AWS, without its secret."""

    access_key_id: str | None = field(default=None, name="accessKeyID")
    customer_master_key_id: str | None = field(default=None, name="customerMasterKeyID")
    region: str | None = None
    require_private_networking: bool | None = None


class AzureKeyVault(Key, frozen=True):
    """A key at Azure, without its secret."""

    azure_environment: str | None = None
    client_id: str | None = field(default=None, name="clientID")
    tenant_id: str | None = field(default=None, name="tenantID")
    subscription_id: str | None = field(default=None, name="subscriptionID")
    resource_group_name: str | None = None
    key_vault_name: str | None = None
    key_identifier: str | None = None
    require_private_networking: bool | None = None
    warnings: list[str] | None = None


class GoogleCloudKms(Key, frozen=True):
    """A key at Google, without its secret."""

    key_version_resource_id: str | None = field(default=None, name="keyVersionResourceID")


class EncryptionAtRest(Answer, frozen=True, omit_defaults=False):
    """A project's keys; a provider without one is not enabled."""

    aws_kms: AwsKms
    azure_key_vault: AzureKeyVault
    google_cloud_kms: GoogleCloudKms
    enabled_for_search_nodes: bool = False


_KINDS: dict[Provider, type[Key]] = {
    "AWS": AwsKms,
    "AZURE": AzureKeyVault,
    "GCP": GoogleCloudKms,
}


def _get(call: Call) -> EncryptionAtRest:
    with asking(call) as may:
        if may:
            return _answer(call, Validation(call.plane).check_all(call.project_id, call.actor))
    return _stored(call)


def _patch(call: Call) -> EncryptionAtRest:
    changes = fields.read_body(msgspec.to_builtins(call.body))
    with asking_now(call):
        configurations.save(call.plane, call.project_id, changes, call.actor)
    return _stored(call)


def _try_again(call: Call) -> EncryptionAtRest:
    with asking_now(call):
        Validation(call.plane).try_again(call.project_id, call.path["provider"], call.actor)
    return _stored(call)


def _rotate(call: Call) -> EncryptionAtRest:
    provider = provider_named(call.path["provider"])
    with asking_now(call):
        configurations.rotate(call.plane, call.project_id, provider, call.body, call.actor)
    return _stored(call)


def _stored(call: Call) -> EncryptionAtRest:
    """Return what is known, without asking a provider."""
    with call.plane.database.read() as connection:
        found = configurations_of(connection, call.project_id)
    return _answer(call, found)


def _answer(call: Call, found: dict[Provider, Configuration]) -> EncryptionAtRest:
    blocks = {_python_name(block): _shown(call, name, found.get(name)) for name, block in BLOCKS.items()}
    return EncryptionAtRest(**blocks)  # type: ignore[arg-type] # each is of its provider's kind


def _shown(call: Call, provider: Provider, found: Configuration | None) -> Key:
    kind = _KINDS[provider]
    if found is None:
        return kind(enabled=False)
    with call.plane.database.read() as connection:
        moving = moving_deployments(connection, found.project_id, provider)
        warnings = sharing_of(connection, found)
    names = {each.encode_name: each.name for each in msgspec.structs.fields(kind)}
    values: dict[str, Any] = {names[name]: value for name, value in found.public.items()}
    if "require_private_networking" in names.values():
        values["require_private_networking"] = False
    if "warnings" in names.values() and warnings:
        values["warnings"] = warnings
    return kind(
        enabled=True,
        valid=found.state == "valid",
        state=found.state.upper(),
        state_since=shown(found.since_ns),
        reason=found.reason or None,
        error_code=found.error_code,
        checked_at=None if found.checked_ns is None else shown(found.checked_ns),
        banner=BANNER if moving else None,
        moving_clusters=moving or None,
        **values,
    )


def _python_name(block: str) -> str:
    return next(each.name for each in msgspec.structs.fields(EncryptionAtRest) if each.encode_name == block)


PATH = "/groups/{groupId}/encryptionAtRest"

ROUTES = (
    Route(
        *("GET", PATH, "getGroupEncryptionAtRest", "Check the keys of a project now, and return them"),
        roles=(Role.GROUP_READ_ONLY,),
        handle=_get,
        answer=EncryptionAtRest,
    ),
    Route(
        *("PATCH", PATH, "updateGroupEncryptionAtRest", "Set, change or remove keys of a project"),
        roles=(Role.GROUP_OWNER,),
        handle=_patch,
        body=Update,
        answer=EncryptionAtRest,
    ),
    Route(
        *(
            "POST",
            f"{PATH}/{{provider}}/tryAgain",
            "tryEncryptionAtRestAgain",
            "Check a key now; start what was stopped",
        ),
        roles=(Role.GROUP_OWNER,),
        handle=_try_again,
        answer=EncryptionAtRest,
    ),
    Route(
        *("POST", f"{PATH}/{{provider}}/rotateKey", "rotateEncryptionAtRestKey", "Give a project another key"),
        roles=(Role.GROUP_OWNER,),
        handle=_rotate,
        body=dict[str, str | bool],
        answer=EncryptionAtRest,
    ),
)
