"""What policies may ask of a request: the condition keys of a call, as AWS KMS and IAM name them.

Source: AWS KMS developer guide, "AWS KMS condition keys"; IAM user guide, "AWS global condition context keys". Not
here: ``kms:ViaService`` and the keys of other services, which a direct call does not have, and those of Nitro enclaves.
"""

from collections.abc import Iterable, Mapping

from google.protobuf.message import Message

from kms_emulator.model.keys import Key, Role
from kms_emulator.wire.aws import names, sigv4
from kms_emulator.wire.aws.specs import SYMMETRIC, USAGE_NAMES, spec_of
from kms_emulator.wire.call import Call

TAG_PREFIX = "tag:"
_FIELDS = {
    "bypass_policy_lockout_safety_check": "kms:bypasspolicylockoutsafetycheck",
    "encryption_algorithm": "kms:encryptionalgorithm",
    "expiration_model": "kms:expirationmodel",
    "grantee_principal": "kms:granteeprincipal",
    "key_agreement_algorithm": "kms:keyagreementalgorithm",
    "key_pair_spec": "kms:datakeypairspec",
    "mac_algorithm": "kms:macalgorithm",
    "message_type": "kms:messagetype",
    "operations": "kms:grantoperations",
    "pending_window_in_days": "kms:schedulekeydeletionpendingwindowindays",
    "primary_region": "kms:primaryregion",
    "replica_region": "kms:replicaregion",
    "retiring_principal": "kms:retiringprincipal",
    "rotation_period_in_days": "kms:rotationperiodindays",
    "signing_algorithm": "kms:signingalgorithm",
    "wrapping_algorithm": "kms:wrappingalgorithm",
    "wrapping_key_spec": "kms:wrappingkeyspec",
}
"""Fields of requests that are condition keys as they are."""

_NEW_KEY = {
    "key_spec": ("kms:keyspec", SYMMETRIC),
    "key_usage": ("kms:keyusage", "ENCRYPT_DECRYPT"),
    "origin": ("kms:keyorigin", "AWS_KMS"),
    "multi_region": ("kms:multiregion", "false"),
}
"""Fields of CreateKey that say what the new key is, and what they mean when they are not set."""

_CONTEXT_FIELDS = {"ReEncryptFrom": "source_encryption_context", "ReEncryptTo": "destination_encryption_context"}
_ALGORITHM_FIELDS = {"ReEncryptFrom": "source_encryption_algorithm", "ReEncryptTo": "destination_encryption_algorithm"}


def encryption_context(request: Message | None, action: str) -> dict[str, str] | None:
    """Return the encryption context of a request; None if the operation has none."""
    return _map(request, _CONTEXT_FIELDS.get(action, "encryption_context"))


def values_of(call: Call, action: str, key: Key | None) -> dict[str, tuple[str, ...]]:
    """Return the condition keys of a call about a key, or about none; who calls is added by `authorize`."""
    request = call.request
    found: dict[str, tuple[str, ...]] = {
        "aws:requestedregion": (_text(request, "region") or names.DEFAULT_REGION,),
        "aws:currenttime": (_date(call.now_ns),),
        "aws:epochtime": (str(call.now_ns // 1_000_000_000),),
        "aws:securetransport": ("false",),
    }
    if call.caller.address:
        found["aws:sourceip"] = (call.caller.address,)
    found |= {name: values for field, name in _FIELDS.items() if (values := _values(request, field))}
    found |= _tags(request)
    context = encryption_context(request, action)
    if context:
        found |= _context(context)
    if key is not None:
        found |= _of_key(call, key)
        found |= _algorithm(request, action, key)
    elif action == "CreateKey":
        found |= {name: (_text(request, field) or default,) for field, (name, default) in _NEW_KEY.items()}
    if action in ("CreateKey", "PutKeyPolicy"):
        found.setdefault("kms:bypasspolicylockoutsafetycheck", ("false",))
    if action == "CreateGrant":
        found |= {"kms:grantisforawsresource": ("false",), **_constraint_type(request)}
    return found


def _context(context: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Return a condition key for each entry, and one for the names. AWS compares the former's names without case."""
    found: dict[str, tuple[str, ...]] = {"kms:encryptioncontextkeys": tuple(context)}
    for name, value in context.items():
        place = f"kms:encryptioncontext:{name.lower()}"
        found[place] = (*found.get(place, ()), value)
    return found


def _of_key(call: Call, key: Key) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {
        "kms:keyspec": (spec_of(key).name,),
        "kms:customermasterkeyspec": (spec_of(key).name,),
        "kms:keyusage": (USAGE_NAMES[key.usage],),
        "kms:customermasterkeyusage": (USAGE_NAMES[key.usage],),
        "kms:keyorigin": ("EXTERNAL" if key.imported else "AWS_KMS",),
        "kms:multiregion": (str(key.role is not Role.ALONE).lower(),),
        "kms:multiregionkeytype": () if key.role is Role.ALONE else (key.role.name,),
    }
    for name, value in key.attributes.items():
        if name.startswith(TAG_PREFIX):
            found[f"aws:resourcetag/{name.removeprefix(TAG_PREFIX)}".lower()] = (value,)
    aliases = call.registry.aliases(names.REALM, f"{names.region_of(key.name)}/")
    found["kms:resourcealiases"] = tuple(item.name.partition("/")[2] for item in aliases if item.target == key.uid)
    requested = _text(call.request, "key_id").rpartition(":")[2]
    if requested.startswith("alias/"):
        found["kms:requestalias"] = (requested,)
    return found


def _algorithm(request: Message | None, action: str, key: Key) -> dict[str, tuple[str, ...]]:
    """Return the algorithm that a request which names none means."""
    given = _text(request, _ALGORITHM_FIELDS.get(action, "encryption_algorithm"))
    if given:
        return {"kms:encryptionalgorithm": (given,)}
    encrypts = encryption_context(request, action) is not None
    return {"kms:encryptionalgorithm": (SYMMETRIC,)} if encrypts and spec_of(key).name == SYMMETRIC else {}


def _constraint_type(request: Message | None) -> dict[str, tuple[str, ...]]:
    constraints = getattr(request, "constraints", None)
    for field, name in (
        ("encryption_context_equals", "EncryptionContextEquals"),
        ("encryption_context_subset", "EncryptionContextSubset"),
    ):
        if _map(constraints, field):
            return {"kms:grantconstrainttype": (name,)}
    return {}


def _tags(request: Message | None) -> dict[str, tuple[str, ...]]:
    if request is None:
        return {}
    if "tag_keys" in request.DESCRIPTOR.fields_by_name:
        return {"aws:tagkeys": tuple(request.tag_keys)}  # type: ignore[attr-defined] # looked up in the line above
    if "tags" not in request.DESCRIPTOR.fields_by_name or not request.tags:  # type: ignore[attr-defined] # as above
        return {}
    tags: Iterable[tuple[str, str]] = [(tag.tag_key, tag.tag_value) for tag in request.tags]  # type: ignore[attr-defined]
    return {
        "aws:tagkeys": tuple(name for name, _ in tags),
        **{f"aws:requesttag/{name}".lower(): (value,) for name, value in tags},
    }


def _values(request: Message | None, field: str) -> tuple[str, ...]:
    """Return a field's values as texts; nothing if it is not set or the operation has no such field."""
    described = None if request is None else request.DESCRIPTOR.fields_by_name.get(field)
    if request is None or described is None:
        return ()
    value = getattr(request, field)
    if described.is_repeated:
        return tuple(str(item) for item in value)
    if not request.HasField(field):
        return ()
    return (str(value).lower(),) if isinstance(value, bool) else (str(value),)


def _text(request: Message | None, field: str) -> str:
    return next(iter(_values(request, field)), "")


def _map(request: Message | None, field: str) -> dict[str, str] | None:
    if request is None or field not in request.DESCRIPTOR.fields_by_name:
        return None
    return dict(getattr(request, field))


def _date(time_ns: int) -> str:
    time = sigv4.time_of(time_ns // 1_000_000_000)
    return f"{time[:4]}-{time[4:6]}-{time[6:11]}:{time[11:13]}:{time[13:]}"
