"""Key Vault's JSON: what a request's body, path and query say as a message, and what a message says as JSON.

Bytes are base64url without padding, times are seconds since 1970. Unknown members are passed over, as Azure does.
"""

import base64
import binascii
import json
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from keystore_api.azure_keyvault.v1 import azure_keyvault_pb2 as pb

from kms_emulator.wire.azure.adapter import AZURE
from kms_emulator.wire.azure.errors import bad_parameter
from kms_emulator.wire.azure.hosts import Host
from kms_emulator.wire.azure.routes import Route

TIME_S_MAX = 253_402_300_799
"""LIMIT: the last second of the year 9999, as protobuf's timestamps have it."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """What ids and links in an answer are made of: the host that was asked, and the path and query of a list."""

    host: Host
    path: str
    query: Mapping[str, str]


# -- requests


def decode(route: Route, vault: str, query: Mapping[str, str], body: bytes) -> Message:
    """Return the request's message; BadParameter says which property is of the wrong type."""
    given = _object(body)
    message: Any = AZURE.operations[route.operation].request()
    fields = message.DESCRIPTOR.fields_by_name
    message.vault = vault
    if "name" in fields:
        message.name = route.name
    if "version" in fields:
        message.version = route.version
    if "max_results" in fields:
        message.max_results = _count(query.get("maxresults"))
        message.skip_token = query.get("$skiptoken", "")
    for name, read in _MEMBERS.items():
        value, field = given.get(name), _FIELDS.get(name, name)
        if value is not None and field in fields:
            read(message, field, value)
    if isinstance(message, pb.UpdateRotationPolicyRequest):
        expiry = _members(given.get("attributes") or {}, "attributes").get("expiryTime")
        if expiry is not None:
            _text(message, "expiry_time", expiry)
    return message  # type: ignore[no-any-return]


def _object(body: bytes) -> Json:
    if not body.strip():
        return {}
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise bad_parameter("The request body is not valid JSON.") from None
    if not isinstance(found, dict):
        raise bad_parameter("The request body must be a JSON object.")
    return found


def _count(text: str | None) -> int:
    if text is None:
        return 0
    if not text.isascii() or not text.isdecimal() or not 0 < int(text[:9]) <= 25:
        raise bad_parameter("maxresults must be between 1 and 25.")
    return int(text)


def _text(message: Any, name: str, value: object) -> None:
    if not isinstance(value, str):
        raise _wrong_type(name)
    setattr(message, name, value)


def _number(message: Any, name: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 31:
        raise _wrong_type(name)
    setattr(message, name, value)


def _bytes(message: Any, name: str, value: object) -> None:
    if not isinstance(value, str):
        raise _wrong_type(name)
    setattr(message, name, from_base64url(name, value))


def from_base64url(name: str, value: str) -> bytes:
    """Return the bytes; padding may be there or not."""
    bare = value.rstrip("=")
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        raise bad_parameter(f"Property {name} has invalid value: it is not base64url.") from None


def to_base64url(value: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _texts(message: Any, name: str, value: object) -> None:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _wrong_type(name)
    getattr(message, name).extend(value)


def _tags(message: Any, name: str, value: object) -> None:
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise _wrong_type(name)
    getattr(message, name).update(value)


def _attributes(message: Any, name: str, value: object) -> None:
    if not isinstance(value, dict):
        raise _wrong_type(name)
    target: pb.KeyAttributes = getattr(message, name)
    target.SetInParent()
    enabled = value.get("enabled")
    if enabled is not None:
        if not isinstance(enabled, bool):
            raise _wrong_type("enabled")
        target.enabled = enabled
    for field in ("nbf", "exp"):
        seconds = value.get(field)
        if seconds is None:
            continue
        if not isinstance(seconds, int) or isinstance(seconds, bool) or not 0 <= seconds <= TIME_S_MAX:
            raise _wrong_type(field)
        getattr(target, field).seconds = seconds


def _private_key(message: Any, name: str, value: object) -> None:
    target = getattr(message, name)
    target.SetInParent()
    for member, item in _members(value, name).items():
        field = target.DESCRIPTOR.fields_by_name.get(member)
        if field is None or item is None:
            continue
        read = _texts if member == "key_ops" else _bytes if field.type == field.TYPE_BYTES else _text
        read(target, member, item)


def _actions(message: Any, name: str, value: object) -> None:
    if not isinstance(value, list):
        raise _wrong_type("lifetimeActions")
    for item in value:
        found = _members(item, "lifetimeActions")
        trigger, action = (_members(found.get(part) or {}, part) for part in ("trigger", "action"))
        target = getattr(message, name).add()
        for field, text in (
            ("time_after_create", trigger.get("timeAfterCreate")),
            ("time_before_expiry", trigger.get("timeBeforeExpiry")),
            ("type", action.get("type")),
        ):
            if text is not None:
                _text(target, field, text)


def _members(value: object, name: str) -> Json:
    if not isinstance(value, dict):
        raise _wrong_type(name)
    return value


def _wrong_type(name: str) -> Exception:
    return bad_parameter(f"Property {name} has invalid value.")


_MEMBERS: Mapping[str, Callable[[Any, str, object], None]] = {
    "kty": _text,
    "key_size": _number,
    "key_ops": _texts,
    "attributes": _attributes,
    "tags": _tags,
    "alg": _text,
    "value": _bytes,
    "iv": _bytes,
    "tag": _bytes,
    "aad": _bytes,
    "digest": _bytes,
    "crv": _text,
    "count": _number,
    "key": _private_key,
    "lifetimeActions": _actions,
}
"""The members of bodies, by their name, which is the field's too unless `_FIELDS` says so."""

_FIELDS = {"lifetimeActions": "lifetime_actions"}


# -- answers


def encode(message: Message, place: Place) -> Json | None:
    """Return the answer as JSON, or None for one without a body."""
    writer = _WRITERS[type(message)]
    return None if writer is None else _without_nones(writer(message, place))


def _bundle(message: pb.KeyBundle, place: Place) -> Json:
    return {
        "key": _web_key(message.key, place),
        "attributes": _attributes_json(message.attributes),
        "tags": dict(message.tags) or None,
    }


def _web_key(key: pb.JsonWebKey, place: Place) -> Json:
    found: Json = {"kid": _id(key.kid, place), "kty": key.kty, "key_ops": list(key.key_ops)}
    found |= {name: to_base64url(getattr(key, name)) for name in ("n", "e", "x", "y") if getattr(key, name)}
    return found | ({"crv": key.crv} if key.crv else {})


def _deleted_bundle(message: pb.DeletedKeyBundle, place: Place) -> Json:
    found = {
        "key": _web_key(message.key, place),
        "attributes": _attributes_json(message.attributes),
        "tags": dict(message.tags) or None,
    }
    return found | _deletion(message, place)


def _deletion(message: pb.DeletedKeyBundle | pb.DeletedKeyItem, place: Place) -> Json:
    return {
        "recoveryId": _id(message.recovery_id, place),
        "deletedDate": message.deleted_date.seconds,
        "scheduledPurgeDate": message.scheduled_purge_date.seconds,
    }


def _attributes_json(attributes: pb.KeyAttributes) -> Json:
    return {
        "enabled": attributes.enabled,
        "nbf": _seconds(attributes, "nbf"),
        "exp": _seconds(attributes, "exp"),
        "created": attributes.created.seconds,
        "updated": attributes.updated.seconds,
        "recoveryLevel": attributes.recovery_level,
        "recoverableDays": attributes.recoverable_days,
        "exportable": False,
    }


def _seconds(attributes: pb.KeyAttributes, field: str) -> int | None:
    value: Timestamp = getattr(attributes, field)
    return value.seconds if attributes.HasField(field) else None


def _item(item: pb.KeyItem | pb.DeletedKeyItem, place: Place) -> Json:
    found: Json = {
        "kid": _id(item.kid, place),
        "attributes": _attributes_json(item.attributes),
        "tags": dict(item.tags) or None,
    }
    return found if isinstance(item, pb.KeyItem) else found | _deletion(item, place)


def _list(message: pb.ListKeysResponse | pb.ListDeletedKeysResponse, place: Place) -> Json:
    link = None
    if message.next_skip_token:
        query = urllib.parse.urlencode(dict(place.query) | {"$skiptoken": message.next_skip_token})
        link = f"{place.host.url}{place.path}?{query}"
    return {"value": [_without_nones(_item(item, place)) for item in message.value]} | {"nextLink": link}


def _result(message: pb.KeyOperationResult, place: Place) -> Json:
    found = {"kid": _id(message.kid, place), "value": to_base64url(message.value)}
    return found | {
        name: to_base64url(getattr(message, name)) for name in ("iv", "tag", "aad") if getattr(message, name)
    }


def _verdict(message: pb.VerifyResult, place: Place) -> Json:
    return {"value": message.value}


def _bytes_alone(message: pb.KeyBackup | pb.RandomBytes, place: Place) -> Json:
    return {"value": to_base64url(message.value)}


def _policy(message: pb.RotationPolicy, place: Place) -> Json:
    return {
        "id": _id(message.id, place),
        "lifetimeActions": [
            {
                "trigger": _without_nones(
                    {
                        "timeAfterCreate": action.time_after_create or None,
                        "timeBeforeExpiry": action.time_before_expiry or None,
                    }
                ),
                "action": {"type": action.type},
            }
            for action in message.lifetime_actions
        ],
        "attributes": {
            "expiryTime": message.expiry_time or None,
            "created": message.created.seconds or None,
            "updated": message.updated.seconds or None,
        },
    }


def _id(text: str, place: Place) -> str:
    """Return a key id with the host that was asked in place of the vault's name at Azure."""
    return place.host.url + text[text.index("/", len("https://")) :]


def _without_nones(value: Json) -> Json:
    return {
        name: _without_nones(item) if isinstance(item, dict) else item
        for name, item in value.items()
        if item is not None
    }


_WRITERS: Mapping[type[Message], Callable[[Any, Place], Json] | None] = {
    pb.KeyBundle: _bundle,
    pb.DeletedKeyBundle: _deleted_bundle,
    pb.ListKeysResponse: _list,
    pb.ListDeletedKeysResponse: _list,
    pb.KeyOperationResult: _result,
    pb.VerifyResult: _verdict,
    pb.KeyBackup: _bytes_alone,
    pb.RandomBytes: _bytes_alone,
    pb.RotationPolicy: _policy,
    pb.PurgeDeletedKeyResponse: None,
}
