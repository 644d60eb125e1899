"""Sets, changes and removes a project's keys at providers: `PATCH encryptionAtRest`, all of it or nothing.

In this order: the form of every field (`fields`), what may be changed now, whether the provider lets us in with what it
would be then (`checks`), and one transaction that stores it with all that follows.

Invariants:
1. Nothing is stored that a provider did not just let encrypt and decrypt; requirements, row R36.
2. While the key is invalid only credentials change, and where the vault stands; rows R53, R58, R59, and N14.
3. Other credentials let nodes in that are still under a former key, too: they take the place of those of before.
4. What was decided on is what is changed: a configuration that somebody else saved meanwhile is a conflict.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import sqlalchemy as sa

from keystore.control.clusters import cluster_of
from keystore.kms.uri import KeyUri, parse
from keystore.projects.alert_configs import create_provider_configs
from keystore.projects.alerts import complete_rotation, forget_provider
from keystore.projects.checks import NO_PERMISSION, Outcome
from keystore.projects.codes import Code
from keystore.projects.deployment_rows import wake
from keystore.projects.events import record_event
from keystore.projects.fields import (
    BLOCKS,
    RULES,
    Change,
    Provider,
    Settings,
    key_uri,
    read_block,
    require_complete,
    with_key,
)
from keystore.projects.keyed_deployments import deployments_using, submit_key_change
from keystore.projects.outcomes import FAILED, record_outcome
from keystore.projects.plane import ProjectPlane
from keystore.projects.settings_rows import (
    Configuration,
    configurations_of,
    delete,
    insert_credentials,
    retire_credentials,
    seal_credentials,
    store,
    who_of,
)
from keystore.projects.validation import Validation, schedule, unschedule

UPDATED: Final = "ENCRYPTION_AT_REST_CONFIGURATION_UPDATED"
ROTATION_STARTED: Final = "ENCRYPTION_AT_REST_KEY_ROTATION_STARTED"

EXPIRING_S: Final = 48 * 3600
"""A key that ends within that time is not taken."""

_LOCKED = ("keyVaultName", "azureEnvironment")
"""Fields that name a key as much as its identifier does."""


@dataclass(frozen=True)
class _Plan:
    """What is to become of one provider.

    Attributes:
        before: None where it is new.
        settings: None where it is to be removed.
        former: the settings before; None where it is new, or to be removed.
        sealed: its credentials, where they are other ones than before.
    """

    provider: Provider
    before: Configuration | None
    settings: Settings | None = None
    former: Settings | None = None
    outcome: Outcome | None = None
    sealed: bytes | None = field(default=None, repr=False)

    @property
    def changed(self) -> list[str]:
        """Names of the fields that change."""
        if self.settings is None:
            return ["enabled"]
        former = {} if self.before is None else self.before.public
        public = [name for name, value in self.settings.public.items() if former.get(name) != value]
        return sorted(public + ([] if self.sealed is None else list(self.settings.secrets)))


def save(plane: ProjectPlane, project_id: str, changes: Sequence[Change], actor: str) -> None:
    """Make a project's configurations what `changes` say, all of them or none.

    Raises:
        ApiError: something may not be so, or a provider does not let us in; nothing was stored.
        ControlError, KmsError: the database, or the platform key, was not to be had; nothing was stored.
    """
    validation = Validation(plane)
    opened = {change.provider for change in changes if change.enabled is not False}
    with plane.database.read() as connection:
        known = configurations_of(connection, project_id)
    # Opened in no transaction: the platform's KMS may have to be asked.
    former = {provider: validation.settings(found) for provider, found in known.items() if provider in opened}
    with plane.database.read() as connection:
        plans = [
            _plan(connection, change, known.get(change.provider), former.get(change.provider)) for change in changes
        ]
    wanted = [plan for plan in plans if plan.before is not None or plan.settings is not None]
    checked = [_checked(plane, project_id, plan, validation, actor) for plan in wanted]
    if checked:
        _store_all(plane, project_id, checked, actor)


def rotate(plane: ProjectPlane, project_id: str, provider: Provider, body: object, actor: str) -> None:
    """Give a project another key at a provider; credentials may change along.

    Raises:
        ApiError: as `save`; 409 where the provider is not configured, 400 where the key is the present one.
    """
    with plane.database.read() as connection:
        before = configurations_of(connection, project_id).get(provider)
    if before is None:
        raise Code.CANNOT_ROTATE_KEY_ENCRYPTION_DISABLED.error(provider)
    change = read_block(provider, body)
    names = [name for name, rule in RULES[provider].items() if rule.role == "key"]
    if not change.names & set(names):
        raise Code.MISSING_ATTRIBUTE.error(names[0], field=f"{BLOCKS[provider]}.{names[0]}")
    if change.enabled is False:
        raise Code.INVALID_ATTRIBUTE.error(
            "enabled", "a key is changed, not removed", field=f"{BLOCKS[provider]}.enabled"
        )
    if key_uri(provider, {**before.public, **change.public}) == before.key_uri:
        raise Code.ENCRYPTION_AT_REST_KEY_UNCHANGED.error(
            provider, before.key_uri, field=f"{BLOCKS[provider]}.{names[0]}"
        )
    save(plane, project_id, [change], actor)


def _plan(connection: sa.Connection, change: Change, before: Configuration | None, former: Settings | None) -> _Plan:
    """Decide what a change means for what there is: the configuration `before`, with its secrets as `former`."""
    provider, where = change.provider, BLOCKS[change.provider]
    if change.enabled is False:
        if change.names:
            raise Code.INVALID_ATTRIBUTE.error("enabled", "false stands alone", field=f"{where}.enabled")
        if before is not None:
            _require_removable(connection, before)
        return _Plan(provider, before)
    if before is None or former is None:
        if change.enabled is None:
            raise Code.CANNOT_ROTATE_KEY_ENCRYPTION_DISABLED.error(provider, field=f"{where}.enabled")
        require_complete(provider, change.public, change.secrets)
        return _Plan(provider, None, Settings(provider, change.public, change.secrets))
    public, secrets = {**before.public, **change.public}, {**former.secrets, **change.secrets}
    _require_unlocked(before, public)
    require_complete(provider, public, secrets)
    _require_same_vault(connection, before, public)
    return _Plan(provider, before, Settings(provider, public, secrets), former)


def _require_removable(connection: sa.Connection, before: Configuration) -> None:
    using = [found.name for found in deployments_using(connection, before.project_id, before.provider)]
    where = f"{BLOCKS[before.provider]}.enabled"
    if before.state == "invalid":
        raise Code.ENCRYPTION_AT_REST_SETTINGS_INVALID.error(field=where)
    if using:
        raise Code.CANNOT_DISABLE_ENCRYPTION_AT_REST.error(", ".join(using), field=where)


def _require_unlocked(before: Configuration, public: Mapping[str, str]) -> None:
    """Let nobody change the key while nobody can use the present one."""
    rules = RULES[before.provider]
    locked = [name for name in public if rules[name].role == "key" or name in _LOCKED]
    changed = [name for name in locked if public[name] != before.public.get(name)]
    if before.state == "invalid" and changed:
        raise Code.ENCRYPTION_AT_REST_SETTINGS_INVALID.error(field=f"{BLOCKS[before.provider]}.{changed[0]}")


def _require_same_vault(connection: sa.Connection, before: Configuration, public: Mapping[str, str]) -> None:
    """Keep the vault as long as a cluster's keys are in it; requirements, row R137."""
    if before.provider != "AZURE" or public["keyVaultName"].lower() == before.public["keyVaultName"].lower():
        return
    using = [found.name for found in deployments_using(connection, before.project_id, before.provider)]
    if using:
        raise Code.CANNOT_CHANGE_AZURE_KEY_VAULT.error(", ".join(using), field="azureKeyVault.keyVaultName")


def _checked(plane: ProjectPlane, project_id: str, plan: _Plan, validation: Validation, actor: str) -> _Plan:
    """Ask the provider, and seal what is new."""
    settings = plan.settings
    if settings is None:
        return plan
    outcome = validation.ask(settings)
    now_s = plane.clock.now_ns() // 10**9
    if outcome.is_valid and outcome.ends_s is not None and outcome.ends_s <= now_s + EXPIRING_S:
        outcome = replace(outcome, state="invalid", code="AZURE_KEY_VAULT_KEY_EXPIRING", detail="the key ends soon")
    if not outcome.is_valid:
        _record_refusal(plane, project_id, plan, outcome, actor)
        raise outcome.as_error(plan.provider)
    former = plan.former
    if former is not None and _who(former) == _who(settings):
        return replace(plan, outcome=outcome)
    for key in _former_keys(plane, project_id, settings):
        before = validation.ask(replace(settings, public=with_key(plan.provider, settings.public, key)))
        if before.code == NO_PERMISSION:
            told = f"clusters are under {key} until they have moved, and need it to start: {before.detail}"
            before = replace(before, detail=told)
            _record_refusal(plane, project_id, plan, before, actor)
            raise before.as_error(plan.provider)
    return replace(plan, outcome=outcome, sealed=seal_credentials(plane.sealer, project_id, settings))


def _former_keys(plane: ProjectPlane, project_id: str, settings: Settings) -> list[KeyUri]:
    """Return the other keys of the provider that nodes of the project are under, for a change is not at its end."""
    with plane.database.read() as connection:
        using = deployments_using(connection, project_id, settings.provider)
        keys = {
            cluster_of(connection, found.cluster_id).customer_key for found in using if found.cluster_id is not None
        }
    found = [parse(key) for key in sorted(key for key in keys - {settings.key_uri} if key is not None)]
    return [key for key in found if key.provider == settings.provider.lower()]


def _who(settings: Settings) -> tuple[Mapping[str, str], Mapping[str, str]]:
    return who_of(settings.provider, settings.public), settings.secrets


def _record_refusal(plane: ProjectPlane, project_id: str, plan: _Plan, outcome: Outcome, actor: str) -> None:
    detail = {"provider": plan.provider, "cause": "save", "errorCode": outcome.code, "reason": outcome.detail}
    with plane.database.write() as connection:
        record_event(connection, FAILED, project_id, None, actor, plane.clock.now_ns(), detail)


def _store_all(plane: ProjectPlane, project_id: str, plans: Sequence[_Plan], actor: str) -> None:
    with plane.database.write() as connection:
        now_ns = plane.clock.now_ns()
        known = configurations_of(connection, project_id)
        for plan in plans:
            former, found = plan.before, known.get(plan.provider)
            if (found and found.revision) != (former and former.revision):
                raise Code.CONFLICT.error()
        detail = {"changed": {plan.provider: plan.changed for plan in plans}}
        record_event(connection, UPDATED, project_id, None, actor, now_ns, detail)
        for plan in plans:
            if plan.settings is None:
                _remove(connection, plan.before, now_ns)
            else:
                _store(connection, project_id, plan, plan.settings, actor, now_ns, plane.source_address)


def _remove(connection: sa.Connection, before: Configuration | None, now_ns: int) -> None:
    if before is None:
        return
    _require_removable(connection, before)
    unschedule(connection, before)
    forget_provider(connection, before.project_id, before.provider, now_ns)
    delete(connection, before)
    retire_credentials(connection, before.credential_id, now_ns)


def _store(
    connection: sa.Connection,
    project_id: str,
    plan: _Plan,
    settings: Settings,
    actor: str,
    now_ns: int,
    address: str | None,
) -> None:
    """Store one configuration that was found valid, with all that follows."""
    provider, before = plan.provider, plan.before
    credential_id = before.credential_id if before else ""
    if plan.sealed is not None:
        credential_id = insert_credentials(connection, project_id, provider, plan.sealed, now_ns)
    new_key = key_uri(provider, settings.public)
    found = Configuration(
        project_id,
        provider,
        settings.public,
        credential_id,
        new_key,
        before.state if before else "valid",
        before.reason if before else "",
        before.error_code if before else None,
        now_ns,
        before.since_ns if before else now_ns,
        before.rotated_ns if before else now_ns,
        before.revision + 1 if before else 1,
    )
    store(connection, found, is_new=before is None)
    if before is None:
        create_provider_configs(connection, project_id, provider, now_ns)
        schedule(connection, found, now_ns)
    elif plan.sealed is not None:
        retire_credentials(connection, before.credential_id, now_ns)
        for using in deployments_using(connection, project_id, provider):
            wake(connection, using.id, now_ns)  # its hosts are to have the new ones
    if plan.outcome is not None:
        record_outcome(connection, found, plan.outcome, "save", actor, now_ns, address=address)
    if before is not None and before.key_uri != new_key:
        _change_key(connection, before, new_key, actor, now_ns)


def _change_key(connection: sa.Connection, before: Configuration, new_key: str, actor: str, now_ns: int) -> None:
    project_id, provider = before.project_id, before.provider
    detail = {"provider": provider, "from": before.key_uri, "to": new_key}
    record_event(connection, ROTATION_STARTED, project_id, None, actor, now_ns, detail)
    if not submit_key_change(connection, project_id, provider, new_key, actor, now_ns):
        complete_rotation(connection, project_id, provider, now_ns)
