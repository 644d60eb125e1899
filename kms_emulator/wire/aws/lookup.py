"""Finds the key that a request means: by id, key ARN, alias or alias ARN, in the request's region."""

from kms_emulator.model.keys import Key
from kms_emulator.wire.aws import names
from kms_emulator.wire.aws.errors import aws_error, validation
from kms_emulator.wire.call import Call, CloudError


def region(requested: str) -> str:
    """Return the region, us-east-1 if none is named."""
    found = requested or names.DEFAULT_REGION
    if not names.REGION_PATTERN.fullmatch(found):
        raise validation("region", "satisfy regular expression pattern: [a-z]{2}(-[a-z]+)+-[0-9]{1,2}")
    return found


def find_key(call: Call, requested_region: str, identifier: str, *, aliases: bool = True) -> Key:
    """Return the key; `aliases` tells whether the operation takes aliases, which not all do.

    Raises:
        CloudError: ValidationException or NotFoundException.
    """
    call.key = identifier
    place = region(requested_region)
    if not identifier:
        raise validation("keyId", "have length greater than or equal to 1")
    resource = _resource(place, identifier)
    if resource.startswith("alias/"):
        if not aliases:
            raise aws_error("NotFoundException", f"Invalid keyId '{identifier}'")
        key = _behind_alias(call, place, resource)
    else:
        if not names.KEY_ID_PATTERN.fullmatch(resource):
            raise aws_error("NotFoundException", f"Invalid keyId '{identifier}'")
        call.key = names.arn(place, f"key/{resource}")
        key = call.registry.key(names.REALM, names.key_name(place, resource))
    call.key = names.key_arn(key)
    return key


def _resource(place: str, identifier: str) -> str:
    """Return the key id or ``alias/NAME`` that an identifier of this region and account means."""
    if not identifier.startswith("arn:"):
        return identifier
    parts = names.ARN_PATTERN.fullmatch(identifier)
    if parts is None:
        raise aws_error("InvalidArnException", f"Invalid arn {identifier}")
    if parts["region"] != place:
        raise aws_error("NotFoundException", f"Invalid arn {parts['region']}")
    if parts["account"] != names.ACCOUNT_ID:
        raise _missing(identifier)
    return parts["id"] if parts["kind"] == "key" else f"alias/{parts['id']}"


def _behind_alias(call: Call, place: str, resource: str) -> Key:
    alias = call.registry.alias(names.REALM, names.key_name(place, resource))
    if alias is None:
        raise aws_error("NotFoundException", f"Alias {names.arn(place, resource)} is not found.")
    return call.registry.by_uid(alias.target)


def _missing(identifier: str) -> CloudError:
    return aws_error("NotFoundException", f"Key '{identifier}' does not exist")
