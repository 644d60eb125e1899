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
                                       +--- restore_version ---+

Any other transition is refused with the error that carries the state; nothing is changed then.
"""

from collections.abc import Mapping
from dataclasses import replace

from kms_emulator.model.errors import KeyStateError, VersionMissingError, VersionStateError
from kms_emulator.model.keys import Key, KeyState, Schedule, Version, VersionState

_SWITCHABLE = (VersionState.ENABLED, VersionState.DISABLED)


def enable(key: Key, now_ns: int) -> Key:
    """Enable a key that is enabled or disabled."""
    return replace(_not_scheduled(key), state=KeyState.ENABLED, updated_ns=now_ns)


def disable(key: Key, now_ns: int) -> Key:
    """Disable a key that is enabled or disabled."""
    return replace(_not_scheduled(key), state=KeyState.DISABLED, updated_ns=now_ns)


def schedule_deletion(key: Key, window_ns: int, now_ns: int) -> Key:
    """Let the key be gone `window_ns` from now, unless that is cancelled."""
    return replace(
        _not_scheduled(key),
        state=KeyState.DELETION_SCHEDULED,
        delete_at_ns=now_ns + window_ns,
        deletion_window_ns=window_ns,
        updated_ns=now_ns,
    )


def cancel_deletion(key: Key, into: KeyState, now_ns: int) -> Key:
    """Take the scheduled deletion back; the key is `into` afterwards."""
    if key.state is not KeyState.DELETION_SCHEDULED:
        raise KeyStateError(key)
    return replace(key, state=into, delete_at_ns=None, deletion_window_ns=None, updated_ns=now_ns)


def describe(key: Key, attributes: Mapping[str, str], now_ns: int) -> Key:
    """Replace the attributes of a key that is not about to be deleted."""
    return replace(_not_scheduled(key), attributes=attributes, updated_ns=now_ns)


def set_schedule(key: Key, schedule: Schedule | None, now_ns: int) -> Key:
    """Set or end the automatic rotation."""
    return replace(_not_scheduled(key), schedule=schedule, updated_ns=now_ns)


def add_version(
    key: Key, version_id: str, now_ns: int, *, primary: bool, attributes: Mapping[str, str] | None = None
) -> Key:
    """Append an enabled version; the caller stores its material with it."""
    number = len(key.versions) + 1
    version = Version(number, version_id, now_ns, attributes=attributes or {})
    return replace(
        _not_scheduled(key),
        versions=(*key.versions, version),
        primary=number if primary else key.primary,
        updated_ns=now_ns,
    )


def set_primary(key: Key, number: int, now_ns: int) -> Key:
    """Make an enabled version the one that encrypts."""
    version = _version(key, number)
    if version.state is not VersionState.ENABLED:
        raise VersionStateError(key, version)
    return replace(_not_scheduled(key), primary=number, updated_ns=now_ns)


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


def elapse(key: Key, now_ns: int) -> Key | None:
    """Return the key as time has made it, the same object if nothing was due; None when its deletion has come."""
    if key.delete_at_ns is not None and key.delete_at_ns <= now_ns:
        return None
    if not any(_due(version, now_ns) for version in key.versions):
        return key
    return replace(key, versions=tuple(_elapsed(version, now_ns) for version in key.versions))


def next_due_ns(key: Key) -> int | None:
    """Return when `elapse` or a rotation will next have something to do, or None."""
    destructions = [version.destroy_at_ns for version in key.versions]
    rotation = key.schedule.next_ns if key.schedule is not None and rotates(key) else None
    return min((due for due in (key.delete_at_ns, rotation, *destructions) if due is not None), default=None)


def rotates(key: Key) -> bool:
    """Tell whether automatic rotation is on for this key: only while it is enabled."""
    return key.schedule is not None and key.state is KeyState.ENABLED


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


def _not_scheduled(key: Key) -> Key:
    if key.state is KeyState.DELETION_SCHEDULED:
        raise KeyStateError(key)
    return key


def _version(key: Key, number: int) -> Version:
    version = key.version(number)
    if version is None:
        raise VersionMissingError(f"key {key.name} has no version {number}")
    return version


def _with_version(key: Key, changed: Version, now_ns: int) -> Key:
    versions = tuple(changed if version.number == changed.number else version for version in key.versions)
    return replace(_not_scheduled(key), versions=versions, updated_ns=now_ns)


def _due(version: Version, now_ns: int) -> bool:
    return version.destroy_at_ns is not None and version.destroy_at_ns <= now_ns


def _elapsed(version: Version, now_ns: int) -> Version:
    if not _due(version, now_ns):
        return version
    return replace(version, state=VersionState.DESTROYED, destroy_at_ns=None, destroyed_ns=version.destroy_at_ns)
