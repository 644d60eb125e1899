"""Google's resources from the model's values, and what a key keeps of the resource it was created with.

A key keeps the caller's whole CryptoKey message, serialized, less what only answers carry: so a field that this
emulator does not know comes back as it was sent.
"""

import base64
import json
from typing import NamedTuple, cast

from google.protobuf import json_format
from keystore_api.google_kms.v1 import resources_pb2 as pb

from kms_emulator.model.keys import NO_MATERIAL, Folder, Key, Schedule, Version, VersionState
from kms_emulator.wire.gcp.algorithms import PURPOSE_USAGES, Recipe, name_of, recipe_of
from kms_emulator.wire.gcp.errors import invalid, not_emulated
from kms_emulator.wire.gcp.names import version_name
from kms_emulator.wire.times import DAY_NS, SECOND_NS, duration, duration_ns, timestamp, timestamp_ns

Level = pb.ProtectionLevel
Algorithm = pb.CryptoKeyVersion.CryptoKeyVersionAlgorithm
Purpose = pb.CryptoKey.CryptoKeyPurpose

SETTINGS = "settings"
DESTROY_WINDOW_DEFAULT_NS = 30 * DAY_NS
DESTROY_WINDOW_MIN_NS, DESTROY_WINDOW_MAX_NS = DAY_NS, 120 * DAY_NS
ROTATION_PERIOD_MIN_NS, ROTATION_PERIOD_MAX_NS = DAY_NS, 876_000 * 3600 * SECOND_NS
IMPORT_JOB, IMPORT_TIME, IMPORT_FAILURE = "import_job", "import_time_ns", "import_failure_reason"
"""Attributes of a version that was imported: the job and the time of the latest import, and why that failed."""

_LEVEL, _ALGORITHM = "protection_level", "algorithm"
_STATES = {
    VersionState.ENABLED: pb.CryptoKeyVersion.ENABLED,
    VersionState.DISABLED: pb.CryptoKeyVersion.DISABLED,
    VersionState.DESTROY_SCHEDULED: pb.CryptoKeyVersion.DESTROY_SCHEDULED,
    VersionState.DESTROYED: pb.CryptoKeyVersion.DESTROYED,
    VersionState.MISSING: pb.CryptoKeyVersion.IMPORT_FAILED,
}


class Template(NamedTuple):
    """What new versions of a key are made as."""

    level: "pb.ProtectionLevel"
    algorithm: "pb.CryptoKeyVersion.CryptoKeyVersionAlgorithm"


def ring(folder: Folder) -> pb.KeyRing:
    """Return the resource of a key ring."""
    return pb.KeyRing(name=folder.name, create_time=timestamp(folder.created_ns))


def crypto_key(key: Key) -> pb.CryptoKey:
    """Return the resource of a key, with its primary version."""
    found = settings_of(key)
    found.name = key.name
    found.create_time.CopyFrom(timestamp(key.created_ns))
    if key.schedule is not None:
        found.rotation_period.CopyFrom(duration(key.schedule.period_ns))
        found.next_rotation_time.CopyFrom(timestamp(key.schedule.next_ns))
    if key.primary is not None:
        found.primary.CopyFrom(crypto_key_version(key, key.versions[key.primary - 1]))
    return found


def crypto_key_version(key: Key, version: Version) -> pb.CryptoKeyVersion:
    """Return the resource of a version."""
    template = template_of(key, version)
    found = pb.CryptoKeyVersion(
        name=version_name(key, version),
        state=_STATES[version.state],
        protection_level=template.level,
        algorithm=template.algorithm,
        create_time=timestamp(version.created_ns),
    )
    if IMPORT_JOB in version.attributes:
        _add_import(found, version)
    else:
        found.generate_time.CopyFrom(timestamp(version.created_ns))
    if version.destroy_at_ns is not None:
        found.destroy_time.CopyFrom(timestamp(version.destroy_at_ns))
    if version.destroyed_ns is not None:
        found.destroy_event_time.CopyFrom(timestamp(version.destroyed_ns))
    return found


def _add_import(found: pb.CryptoKeyVersion, version: Version) -> None:
    """Say where an imported version is from."""
    found.import_job = version.attributes[IMPORT_JOB]
    if IMPORT_TIME in version.attributes:
        found.import_time.CopyFrom(timestamp(int(version.attributes[IMPORT_TIME])))
    if version.state is VersionState.MISSING:
        found.import_failure_reason = version.attributes[IMPORT_FAILURE]
    found.reimport_eligible = version.state in NO_MATERIAL


def settings_of(key: Key) -> pb.CryptoKey:
    """Return the caller's part of the resource."""
    return pb.CryptoKey.FromString(base64.b64decode(key.attributes[SETTINGS]))


def shown_attributes(key: Key) -> dict[str, str]:
    """Return a key's attributes for people: the caller's part as JSON; those of other clouds' keys as they are."""
    shown = dict(key.attributes)
    if SETTINGS in shown:
        described = json_format.MessageToDict(settings_of(key), preserving_proto_field_name=True)
        shown[SETTINGS] = json.dumps(described, sort_keys=True)
    return shown


def store_settings(settings: pb.CryptoKey) -> dict[str, str]:
    """Return the attributes that keep the caller's part of the resource."""
    kept = pb.CryptoKey()
    kept.CopyFrom(settings)
    for field in ("name", "primary", "create_time", "next_rotation_time", "rotation_period"):
        kept.ClearField(field)
    return {SETTINGS: base64.b64encode(kept.SerializeToString(deterministic=True)).decode()}


def complete(settings: pb.CryptoKey) -> pb.CryptoKey:
    """Return the settings of a new key with Google's defaults, or refuse what is not emulated."""
    found = pb.CryptoKey()
    found.CopyFrom(settings)
    if found.purpose == Purpose.CRYPTO_KEY_PURPOSE_UNSPECIFIED:
        raise invalid("The purpose of the CryptoKey must be specified.")
    if found.purpose not in PURPOSE_USAGES:
        raise not_emulated(f"The purpose {name_of(Purpose, found.purpose)}")
    template = found.version_template
    template.protection_level = template.protection_level or Level.SOFTWARE
    if found.purpose == Purpose.ENCRYPT_DECRYPT:
        template.algorithm = template.algorithm or Algorithm.GOOGLE_SYMMETRIC_ENCRYPTION
    check_template(found)
    if not found.HasField("destroy_scheduled_duration"):
        found.destroy_scheduled_duration.CopyFrom(duration(DESTROY_WINDOW_DEFAULT_NS))
    if not DESTROY_WINDOW_MIN_NS <= destroy_window_ns(found) <= DESTROY_WINDOW_MAX_NS:
        raise invalid("destroy_scheduled_duration must be between 24 hours and 120 days.")
    return found


def check_template(settings: pb.CryptoKey) -> Recipe:
    """Return the recipe of new versions; refuse what they cannot be made as."""
    template = settings.version_template
    if template.protection_level not in (Level.SOFTWARE, Level.HSM):
        raise not_emulated(f"The protection level {name_of(Level, template.protection_level)}")
    return recipe_of(template.algorithm, settings.purpose)


def recipe_of_version(key: Key, version: Version) -> Recipe:
    """Return the recipe that a version was made by."""
    return recipe_of(template_of(key, version).algorithm, settings_of(key).purpose)


def schedule_of(settings: pb.CryptoKey, now_ns: int) -> Schedule | None:
    """Return the automatic rotation that a resource asks for."""
    has_period, has_next = settings.HasField("rotation_period"), settings.HasField("next_rotation_time")
    if not has_period and not has_next:
        return None
    if settings.purpose != Purpose.ENCRYPT_DECRYPT:
        raise invalid("Automatic rotation is for keys with purpose ENCRYPT_DECRYPT only.")
    if settings.import_only:
        raise invalid("Automatic rotation is not for keys that are import_only.")
    if not (has_period and has_next):
        raise invalid("rotation_period and next_rotation_time must be set together.")
    period_ns, next_ns = duration_ns(settings.rotation_period), timestamp_ns(settings.next_rotation_time)
    if not ROTATION_PERIOD_MIN_NS <= period_ns <= ROTATION_PERIOD_MAX_NS:
        raise invalid("rotation_period must be at least 24 hours and at most 876,000 hours.")
    if next_ns <= now_ns:
        raise invalid("next_rotation_time must be in the future.")
    return Schedule(period_ns, next_ns)


def destroy_window_ns(settings: pb.CryptoKey) -> int:
    """Return how long a version of the key stays restorable."""
    return duration_ns(settings.destroy_scheduled_duration)


def template_attributes(settings: pb.CryptoKey) -> dict[str, str]:
    """Return what a new version remembers of the template it was made from."""
    template = settings.version_template
    return {_LEVEL: str(int(template.protection_level)), _ALGORITHM: str(int(template.algorithm))}


def template_of(key: Key, version: Version) -> Template:
    """Return what a version was made as; one made by automatic rotation follows the key's template."""
    stored = version.attributes or template_attributes(settings_of(key))
    level = cast("pb.ProtectionLevel", int(stored[_LEVEL]))
    return Template(level, cast("pb.CryptoKeyVersion.CryptoKeyVersionAlgorithm", int(stored[_ALGORITHM])))
