"""Every transition of a key: pure functions from one `Key` to the next.

                 disable            schedule_deletion
      ENABLED  <---------> DISABLED ------------------+
         |       enable                               v
         +--- schedule_deletion ---> DELETION_SCHEDULED --- window ends ---> gone
                                         | cancel_deletion(into)
                                         v
                                  ENABLED or DISABLED, as the cloud has it

                     disable_version            schedule_destroy
      v. ENABLED  <-----------------> DISABLED ----------------+
         |          enable_version     ^                       v
         +--- schedule_destroy --------|-----------> DESTROY_SCHEDULED --- window ends ---> DESTROYED
         ^                             +--- restore_version ---+                               |
         +--- refill_version(ENABLED) --- MISSING <--- refill_version(MISSING) ----------------+
         +--- refill_version(ENABLED) ---------------------------------------------------------+

Imported material comes and goes besides (a key is only as usable as all the versions up to its primary):

                 drop_material, or it expires                     primary of a family, replicas left
      ENABLED or DISABLED ---------> MATERIAL_MISSING     ENABLED, DISABLED, MATERIAL_MISSING
         ^ ENABLED                        |                        | schedule_deletion    ^ cancel_deletion
         +--- import_material (the last --+                        v                      |
              one missing)                                REPLICAS_REMAIN ----------------+
                                                                   | the last replica is gone: begin_window
                                                                   v
                                                          DELETION_SCHEDULED

Any other transition is refused with the error that carries the state; nothing is changed then.
"""

import json
from collections.abc import Mapping
from dataclasses import replace

from kms_emulator.model.errors import KeyStateError, VersionMissingError, VersionStateError
from kms_emulator.model.keys import NO_MATERIAL, Key, KeyState, Role, Schedule, Version, VersionState

_SWITCHABLE = (VersionState.ENABLED, VersionState.DISABLED)
ROTATED = "rotated"
"""The attribute of a key whose versions have attributes: a JSON object of what a version made by rotation gets."""

ENDING = frozenset({KeyState.DELETION_SCHEDULED, KeyState.REPLICAS_REMAIN})
"""The states of a key whose deletion was asked for."""


def enable(key: Key, now_ns: int) -> Key:
    """Enable a key that is enabled or disabled."""
    return replace(_switchable(key), state=KeyState.ENABLED, updated_ns=now_ns)


def disable(key: Key, now_ns: int) -> Key:
    """Disable a key that is enabled or disabled."""
    return replace(_switchable(key), state=KeyState.DISABLED, updated_ns=now_ns)


def schedule_deletion(key: Key, window_ns: int, now_ns: int, *, replicas_remain: bool = False) -> Key:
    """Let the key be gone `window_ns` from now, unless that is cancelled; or so long after its last replica."""
    return replace(
        _not_ending(key),
        state=KeyState.REPLICAS_REMAIN if replicas_remain else KeyState.DELETION_SCHEDULED,
        delete_at_ns=None if replicas_remain else now_ns + window_ns,
        deletion_window_ns=window_ns,
        updated_ns=now_ns,
    )


def begin_window(key: Key, now_ns: int) -> Key:
    """Let the window of a key begin whose last replica is gone."""
    if key.state is not KeyState.REPLICAS_REMAIN or key.deletion_window_ns is None:
        raise KeyStateError(key)
    due_ns = now_ns + key.deletion_window_ns
    return replace(key, state=KeyState.DELETION_SCHEDULED, delete_at_ns=due_ns, updated_ns=now_ns)


def cancel_deletion(key: Key, into: KeyState, now_ns: int) -> Key:
    """Take the scheduled deletion back; the key is `into` afterwards, unless material is missing."""
    if key.state not in ENDING:
        raise KeyStateError(key)
    state = KeyState.MATERIAL_MISSING if not is_complete(key) else into
    return replace(key, state=state, delete_at_ns=None, deletion_window_ns=None, updated_ns=now_ns)


def describe(key: Key, attributes: Mapping[str, str], now_ns: int) -> Key:
    """Replace the attributes of a key that is not about to be deleted."""
    return replace(_not_ending(key), attributes=attributes, updated_ns=now_ns)


def set_schedule(key: Key, schedule: Schedule | None, now_ns: int) -> Key:
    """Set or end the automatic rotation."""
    return replace(_not_ending(key), schedule=schedule, updated_ns=now_ns)


def add_version(
    key: Key,
    version_id: str,
    now_ns: int,
    *,
    primary: bool,
    attributes: Mapping[str, str] | None = None,
    state: VersionState = VersionState.ENABLED,
    expires_ns: int | None = None,
) -> Key:
    """Append a version, whose material the caller stores with it; one that is missing has none."""
    number = len(key.versions) + 1
    version = Version(number, version_id, now_ns, state, expires_ns=expires_ns, attributes=attributes or {})
    return replace(
        _not_ending(key),
        versions=(*key.versions, version),
        primary=number if primary else key.primary,
        updated_ns=now_ns,
    )


def rotated_attributes(key: Key) -> dict[str, str]:
    """Return the attributes of a version that rotation makes: those before it, with the ones that the key says."""
    if ROTATED not in key.attributes or not key.versions:
        return {}
    return {**key.versions[-1].attributes, **json.loads(key.attributes[ROTATED])}


def set_primary(key: Key, number: int, now_ns: int) -> Key:
    """Make an enabled version the one that encrypts."""
    version = _version(key, number)
    if version.state is not VersionState.ENABLED:
        raise VersionStateError(key, version)
    return replace(_not_ending(key), primary=number, updated_ns=now_ns)


def switch_version(key: Key, number: int, state: VersionState, now_ns: int) -> Key:
    """Enable or disable a version that is enabled or disabled."""
    version = _version(key, number)
    if version.state not in _SWITCHABLE or state not in _SWITCHABLE:
        raise VersionStateError(key, version)
    return _with_version(key, replace(version, state=state), now_ns)


def describe_version(key: Key, number: int, attributes: Mapping[str, str], now_ns: int) -> Key:
    """Replace the attributes of a version."""
    return _with_version(key, replace(_version(key, number), attributes=attributes), now_ns)


def schedule_destroy(key: Key, number: int, window_ns: int, now_ns: int) -> Key:
    """Let the version's material be destroyed `window_ns` from now, unless it is restored."""
    version = _version(key, number)
    if version.state not in _SWITCHABLE:
        raise VersionStateError(key, version)
    changed = replace(version, state=VersionState.DESTROY_SCHEDULED, destroy_at_ns=now_ns + window_ns)
    return _with_version(key, changed, now_ns)


def restore_version(key: Key, number: int, now_ns: int) -> Key:
    """Take a scheduled destruction back; the version is disabled afterwards."""
    version = _version(key, number)
    if version.state is not VersionState.DESTROY_SCHEDULED:
        raise VersionStateError(key, version)
    return _with_version(key, replace(version, state=VersionState.DISABLED, destroy_at_ns=None), now_ns)


def refill_version(key: Key, number: int, state: VersionState, attributes: Mapping[str, str], now_ns: int) -> Key:
    """Let a version that is destroyed or missing be enabled, with material that the caller stores; or be missing."""
    version = _version(key, number)
    if version.state not in NO_MATERIAL:
        raise VersionStateError(key, version)
    return _with_version(key, replace(version, state=state, destroyed_ns=None, attributes=attributes), now_ns)


def elapse(key: Key, now_ns: int) -> Key | None:
    """Return the key as time has made it, the same object if nothing was due; None when its deletion has come."""
    if key.delete_at_ns is not None and key.delete_at_ns <= now_ns:
        return None
    if not any(_due(version, now_ns) for version in key.versions):
        return key
    return _settled(replace(key, versions=tuple(_elapsed(version, now_ns) for version in key.versions)))


def next_due_ns(key: Key) -> int | None:
    """Return when `elapse` or a rotation will next have something to do, or None."""
    ends = [_end_ns(version) for version in key.versions]
    rotation = key.schedule.next_ns if key.schedule is not None and rotates(key) else None
    return min((due for due in (key.delete_at_ns, rotation, *ends) if due is not None), default=None)


def rotates(key: Key) -> bool:
    """Tell whether automatic rotation is on for this key: only while it is enabled; a replica follows its primary."""
    return key.schedule is not None and key.state is KeyState.ENABLED and key.role is not Role.REPLICA


def check_usable(key: Key, number: int) -> Version:
    """Return the version if key and version may be used for cryptography now.

    Raises:
        VersionMissingError: the key has no such version.
        KeyStateError, VersionStateError: it is disabled, about to be destroyed, or destroyed.
    """
    version = _version(key, number)
    if key.state is not KeyState.ENABLED:
        raise KeyStateError(key)
    if version.state is not VersionState.ENABLED:
        raise VersionStateError(key, version)
    return version


def is_complete(key: Key) -> bool:
    """Tell whether no material is missing that the key needs: that of its primary and of all versions before."""
    if not key.imported:
        return True
    needed = key.versions[: key.primary or 0]
    return bool(needed) and all(version.state is not VersionState.MISSING for version in needed)


def pending_version(key: Key) -> Version | None:
    """Return the imported version that waits to become primary, or None."""
    return key.versions[-1] if key.imported and len(key.versions) > (key.primary or 0) else None


def import_material(
    key: Key, fingerprint: str, expires_ns: int | None, now_ns: int, attributes: Mapping[str, str] | None = None
) -> tuple[Key, int]:
    """Give a key of imported material what it lacks, or its material anew with another expiry.

    The first material becomes primary; another one waits for `set_primary`. Returns the key and the version's number.
    """
    known = key.version_by_id(fingerprint)
    if known is None:
        number = len(key.versions) + 1
        version = Version(number, fingerprint, now_ns, expires_ns=expires_ns, attributes=attributes or {})
        changed = replace(_not_ending(key), versions=(*key.versions, version), primary=key.primary or 1)
    else:
        number = known.number
        kept = {**known.attributes, **(attributes or {})}
        back = replace(known, state=VersionState.ENABLED, expires_ns=expires_ns, attributes=kept)
        changed = _with_version(_not_ending(key), back, now_ns)
    return replace(_settled(changed), updated_ns=now_ns), number


def drop_material(key: Key, number: int, now_ns: int) -> Key:
    """Let imported material go missing; a version that never was primary is forgotten, but not by a replica."""
    version = _version(key, number)
    if pending_version(key) == version and key.role is not Role.REPLICA:
        return replace(key, versions=key.versions[:-1], updated_ns=now_ns)
    missing = replace(version, state=VersionState.MISSING, expires_ns=None)
    versions = tuple(missing if item.number == number else item for item in key.versions)
    return replace(_settled(replace(key, versions=versions)), updated_ns=now_ns)


def replicate(primary: Key, uid: bytes, name: str, attributes: Mapping[str, str], now_ns: int) -> Key:
    """Return a new replica of a primary: of the same kind, usage and family, and with the same versions.

    What is imported is not copied: the replica's versions miss it.
    """
    state = KeyState.MATERIAL_MISSING if primary.imported else KeyState.ENABLED
    versions = tuple(_replicated(primary, version) for version in primary.versions)
    return replace(
        primary,
        uid=uid,
        name=name,
        created_ns=now_ns,
        updated_ns=now_ns,
        state=state,
        role=Role.REPLICA,
        schedule=None,
        versions=versions,
        attributes=attributes,
    )


def follow(replica: Key, primary: Key, now_ns: int) -> Key:
    """Return the replica with the versions that its primary has, and the primary's choice among them."""
    known = {version.id: version for version in replica.versions}
    versions = tuple(_followed(known.get(version.id), primary, version) for version in primary.versions)
    changed = replace(replica, versions=versions, primary=primary.primary)
    return replica if changed == replica else replace(_settled(changed), updated_ns=now_ns)


def _followed(own: Version | None, primary: Key, version: Version) -> Version:
    if own is None:
        return _replicated(primary, version)
    return replace(own, attributes={**version.attributes, **own.attributes})


def _replicated(primary: Key, version: Version) -> Version:
    return replace(version, state=VersionState.MISSING, expires_ns=None) if primary.imported else version


def _settled(key: Key) -> Key:
    """Return the key in the state that its materials leave it; one whose deletion was asked for stays as it is."""
    if key.state in ENDING or not key.imported:
        return key
    if not is_complete(key):
        return replace(key, state=KeyState.MATERIAL_MISSING)
    return replace(key, state=KeyState.ENABLED) if key.state is KeyState.MATERIAL_MISSING else key


def _switchable(key: Key) -> Key:
    if key.state is KeyState.MATERIAL_MISSING:
        raise KeyStateError(key)
    return _not_ending(key)


def _not_ending(key: Key) -> Key:
    if key.state in ENDING:
        raise KeyStateError(key)
    return key


def _version(key: Key, number: int) -> Version:
    version = key.version(number)
    if version is None:
        raise VersionMissingError(f"key {key.name} has no version {number}")
    return version


def _with_version(key: Key, changed: Version, now_ns: int) -> Key:
    versions = tuple(changed if version.number == changed.number else version for version in key.versions)
    return replace(_not_ending(key), versions=versions, updated_ns=now_ns)


def _end_ns(version: Version) -> int | None:
    return version.destroy_at_ns if version.destroy_at_ns is not None else version.expires_ns


def _due(version: Version, now_ns: int) -> bool:
    end_ns = _end_ns(version)
    return end_ns is not None and end_ns <= now_ns


def _elapsed(version: Version, now_ns: int) -> Version:
    if not _due(version, now_ns):
        return version
    if version.destroy_at_ns is None:
        return replace(version, state=VersionState.MISSING, expires_ns=None)
    return replace(version, state=VersionState.DESTROYED, destroy_at_ns=None, destroyed_ns=version.destroy_at_ns)
