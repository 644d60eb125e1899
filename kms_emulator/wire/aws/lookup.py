"""Finds the key that a request means, by id, key ARN, alias or alias ARN, and refuses callers who may not use it."""

from kms_emulator.model.errors import KeyMissingError
from kms_emulator.model.keys import Key
from kms_emulator.wire.aws import names
from kms_emulator.wire.aws.authorize import authorize, authorize_missing
from kms_emulator.wire.aws.errors import aws_error, validation
from kms_emulator.wire.aws.grant_tokens import check_tokens
from kms_emulator.wire.aws.managed import check_manager, make_managed
from kms_emulator.wire.call import Call


def region(requested: str) -> str:
    """Return the region, us-east-1 if none is named."""
    found = requested or names.DEFAULT_REGION
    if not names.REGION_PATTERN.fullmatch(found):
        raise validation("region", "satisfy regular expression pattern: [a-z]{2}(-[a-z]+)+-[0-9]{1,2}")
    return found


def find_key(call: Call, requested_region: str, identifier: str, *, aliases: bool = True, action: str = "") -> Key:
    """Return the key, if the caller may use it.

    `aliases` tells whether the operation takes aliases, which not all do; `action` is what the caller needs the
    permission for, the operation itself if not given.

    Raises:
        CloudError: ValidationException, NotFoundException or AccessDeniedException.
    """
    call.key = identifier
    place = region(requested_region)
    if not identifier:
        raise validation("keyId", "have length greater than or equal to 1")
    resource = _resource(call, place, identifier, action)
    asked = names.arn(place, resource if resource.startswith("alias/") else f"key/{resource}")
    try:
        key = _find(call, place, identifier, resource, aliases=aliases)
    except KeyMissingError:
        authorize_missing(call, asked, action=action)
        if resource.startswith("alias/"):
            raise aws_error("NotFoundException", f"Alias {asked} is not found.") from None
        raise
    call.key = names.key_arn(key)
    check_tokens(call.request)
    authorize(call, key, action=action, asked=asked)
    check_manager(call, key)
    call.uids.append(key.uid)
    return key


def _find(call: Call, place: str, identifier: str, resource: str, *, aliases: bool) -> Key:
    if resource.startswith("alias/"):
        if not aliases:
            raise aws_error("NotFoundException", f"Invalid keyId '{identifier}'")
        return _behind_alias(call, place, resource)
    if not names.KEY_ID_PATTERN.fullmatch(resource):
        raise aws_error("NotFoundException", f"Invalid keyId '{identifier}'")
    call.key = names.arn(place, f"key/{resource}")
    return call.registry.key(names.REALM, names.key_name(place, resource))


def _behind_alias(call: Call, place: str, resource: str) -> Key:
    alias = call.registry.alias(names.REALM, names.key_name(place, resource))
    if alias is not None:
        return call.registry.by_uid(alias.target)
    managed = make_managed(call, place, resource)
    if managed is None:
        raise KeyMissingError(f"no alias {resource}")
    return managed


def _resource(call: Call, place: str, identifier: str, action: str) -> str:
    """Return the key id or ``alias/NAME`` that an identifier of this region and account means."""
    if not identifier.startswith("arn:"):
        return identifier
    parts = names.ARN_PATTERN.fullmatch(identifier)
    if parts is None:
        raise aws_error("InvalidArnException", f"Invalid arn {identifier}")
    if parts["region"] != place:
        raise aws_error("NotFoundException", f"Invalid arn {parts['region']}")
    if parts["account"] != names.ACCOUNT_ID:
        authorize_missing(call, identifier, action=action)
        raise aws_error("NotFoundException", f"Key '{identifier}' does not exist")
    return parts["id"] if parts["kind"] == "key" else f"alias/{parts['id']}"
