"""The whole state as one message. Material never passes through here: the registry gives none away."""

from keystore_api.admin.v1 import admin_pb2 as pb

from kms_emulator.admin.guard import guard_message
from kms_emulator.admin.rules import fault_message
from kms_emulator.admin.service_accounts import list_service_accounts
from kms_emulator.admin.users import list_users
from kms_emulator.admin.vaults import list_applications, list_vaults
from kms_emulator.core import Core
from kms_emulator.model.faults import PROVIDERS
from kms_emulator.model.keys import Key, Version
from kms_emulator.model.registry import SERVICE_REALM
from kms_emulator.wire.gcp.names import IMPORT_JOB_PATTERN
from kms_emulator.wire.gcp.resources import shown_attributes
from kms_emulator.wire.times import timestamp


def state_message(core: Core) -> pb.State:
    """Return keys, aliases, key rings, import jobs, users, service accounts, applications, vaults and faults."""
    registry = core.registry
    aliases: dict[bytes, list[str]] = {}
    for provider in PROVIDERS:
        for alias in registry.aliases(provider):
            aliases.setdefault(alias.target, []).append(alias.name)
    keys = [_key(key, aliases.get(key.uid, [])) for provider in PROVIDERS for key in registry.keys(provider)]
    return pb.State(
        keys=keys,
        key_rings=[folder.name for folder in registry.folders("gcp")],
        users=list_users(core),
        faults=[fault_message(planned) for planned in core.faults.planned()],
        calls=core.calls.total,
        guard=guard_message(core),
        import_jobs=[
            _import_job(key) for key in registry.keys(SERVICE_REALM) if IMPORT_JOB_PATTERN.fullmatch(key.name)
        ],
        service_accounts=list_service_accounts(core),
        applications=list_applications(core).applications,
        vaults=list_vaults(core).vaults,
    )


def _key(key: Key, aliases: list[str]) -> pb.Key:
    message = pb.Key(
        provider=key.realm,
        name=key.name,
        uid=key.uid.hex(),
        kind=key.kind.value,
        state=key.state.value,
        created_at=timestamp(key.created_ns),
        attributes=shown_attributes(key),
        versions=[_version(version) for version in key.versions],
        aliases=aliases,
        primary=key.primary or 0,
    )
    if key.delete_at_ns is not None:
        message.delete_at.CopyFrom(timestamp(key.delete_at_ns))
    if key.schedule is not None:
        message.next_rotation.CopyFrom(timestamp(key.schedule.next_ns))
    return message


def _import_job(job: Key) -> pb.ImportJob:
    [version] = job.versions
    message = pb.ImportJob(
        name=job.name, kind=job.kind.value, state=version.state.value, created_at=timestamp(job.created_ns)
    )
    if version.expires_ns is not None:
        message.expires_at.CopyFrom(timestamp(version.expires_ns))
    return message


def _version(version: Version) -> pb.KeyVersion:
    message = pb.KeyVersion(
        number=version.number,
        id=version.id,
        state=version.state.value,
        created_at=timestamp(version.created_ns),
        attributes=version.attributes,
    )
    if version.destroy_at_ns is not None:
        message.destroy_at.CopyFrom(timestamp(version.destroy_at_ns))
    return message
