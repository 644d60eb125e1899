"""Azure's rotation policies: when the clock makes a new version, and how long that is valid."""

import json
import re
from dataclasses import replace

from keystore_api.azure_keyvault.v1 import azure_keyvault_pb2 as pb

from kms_emulator.model import lifecycle
from kms_emulator.model.keys import Key, Schedule
from kms_emulator.wire.azure import names
from kms_emulator.wire.azure.bundles import attributes_after_rotation, expires_ns
from kms_emulator.wire.azure.errors import bad_parameter
from kms_emulator.wire.azure.lookup import find_live
from kms_emulator.wire.call import Call
from kms_emulator.wire.times import DAY_NS, timestamp

POLICY = "rotation_policy"
"""Attribute of a key: its policy, as JSON."""

EXPIRY_DAYS_MIN, TRIGGER_DAYS_MIN = 28, 7
NOTIFY_DEFAULT = "P30D"
ROTATE, NOTIFY = "rotate", "notify"
_PERIOD = re.compile(r"P(?:(\d{1,4})Y)?(?:(\d{1,5})M)?(?:(\d{1,5})W)?(?:(\d{1,6})D)?")
_UNIT_DAYS = (365, 30, 7, 1)


def get_policy(call: Call, request: pb.GetRotationPolicyRequest) -> pb.RotationPolicy:
    """Return a key's policy; without one, Azure's own: a note 30 days before the end."""
    return _message(find_live(call, request.vault, request.name))


def update_policy(call: Call, request: pb.UpdateRotationPolicyRequest) -> pb.RotationPolicy:
    """Set a key's policy. Its rotation acts on the clock, from the latest version on."""
    key = find_live(call, request.vault, request.name)
    lifetime_ns = _lifetime_ns(request.expiry_time)
    actions = [_stored_action(action) for action in request.lifetime_actions]
    schedule = _schedule(call, key, request, lifetime_ns)
    old = json.loads(key.attributes.get(POLICY, "{}"))
    policy = {
        "actions": actions,
        "expiry": request.expiry_time,
        "created_ns": old.get("created_ns", call.now_ns),
        "updated_ns": call.now_ns,
    }
    attributes = {
        **key.attributes,
        POLICY: json.dumps(policy),
        lifecycle.ROTATED: json.dumps(attributes_after_rotation(lifetime_ns)),
    }
    described = lifecycle.describe(key, attributes, call.now_ns)
    return _message(call.registry.put(replace(described, schedule=schedule)))


def _message(key: Key) -> pb.RotationPolicy:
    stored = json.loads(key.attributes.get(POLICY, "{}"))
    actions = stored.get("actions", [{"time_before_expiry": NOTIFY_DEFAULT, "type": "Notify"}])
    found = pb.RotationPolicy(
        id=f"{names.base_kid(key)}/rotationpolicy",
        lifetime_actions=[pb.LifetimeAction(**action) for action in actions],
        expiry_time=stored.get("expiry", ""),
    )
    if stored:
        found.created.CopyFrom(timestamp(stored["created_ns"]))
        found.updated.CopyFrom(timestamp(stored["updated_ns"]))
    return found


def _stored_action(action: pb.LifetimeAction) -> dict[str, str]:
    kind = action.type.lower()
    if kind not in (ROTATE, NOTIFY):
        raise bad_parameter(f"Lifetime action type '{action.type}' is not valid; Rotate and Notify are.")
    if bool(action.time_after_create) is bool(action.time_before_expiry):
        raise bad_parameter("A lifetime action has one trigger: timeAfterCreate or timeBeforeExpiry.")
    if kind == NOTIFY and action.time_after_create:
        raise bad_parameter("The trigger of a Notify action is timeBeforeExpiry.")
    found = {"type": kind.capitalize()}
    for name in ("time_after_create", "time_before_expiry"):
        if getattr(action, name):
            found[name] = getattr(action, name)
    return found


def _schedule(
    call: Call, key: Key, request: pb.UpdateRotationPolicyRequest, lifetime_ns: int | None
) -> Schedule | None:
    """Return when the key rotates next and how often, or None if its policy rotates nothing."""
    rotating = [action for action in request.lifetime_actions if action.type.lower() == ROTATE]
    if len(rotating) > 1:
        raise bad_parameter("A policy has at most one Rotate action.")
    if not rotating:
        return None
    latest, action = key.versions[-1], rotating[0]
    if action.time_after_create:
        period_ns = _trigger_ns(action.time_after_create)
        next_ns = latest.created_ns + period_ns
    else:
        if lifetime_ns is None:
            raise bad_parameter("timeBeforeExpiry needs an expiryTime.")
        before_ns = _trigger_ns(action.time_before_expiry)
        period_ns = lifetime_ns - before_ns
        next_ns = (expires_ns(latest) or latest.created_ns + lifetime_ns) - before_ns
    if period_ns < TRIGGER_DAYS_MIN * DAY_NS or (lifetime_ns is not None and period_ns >= lifetime_ns):
        raise bad_parameter(f"A key rotates at least {TRIGGER_DAYS_MIN} days after creation and before its expiry.")
    return Schedule(period_ns, max(next_ns, call.now_ns))


def _lifetime_ns(text: str) -> int | None:
    if not text:
        return None
    length_ns = _length_ns(text)
    if length_ns < EXPIRY_DAYS_MIN * DAY_NS:
        raise bad_parameter(f"expiryTime must be at least {EXPIRY_DAYS_MIN} days.")
    return length_ns


def _trigger_ns(text: str) -> int:
    length_ns = _length_ns(text)
    if length_ns < TRIGGER_DAYS_MIN * DAY_NS:
        raise bad_parameter(f"A trigger must be at least {TRIGGER_DAYS_MIN} days.")
    return length_ns


def _length_ns(text: str) -> int:
    """Return the length of an ISO 8601 duration of days and more; a year has 365 days, a month 30."""
    parts = _PERIOD.fullmatch(text.upper())
    if parts is None or not any(parts.groups()):
        raise bad_parameter(f"'{text}' is not an ISO 8601 duration such as P90D.")
    return sum(int(count or 0) * days for count, days in zip(parts.groups(), _UNIT_DAYS, strict=True)) * DAY_NS
