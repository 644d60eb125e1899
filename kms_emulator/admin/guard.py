"""The guard of keys in use: the switch, and who uses what. Keys are named as their clouds name them."""

import re

from keystore_api.admin.v1 import admin_pb2 as pb

from kms_emulator.admin.errors import MissingError, RefusedError
from kms_emulator.core import Core
from kms_emulator.model.errors import ModelError
from kms_emulator.model.guard import KeyUse
from kms_emulator.model.keys import Key
from kms_emulator.wire.aws import names as aws
from kms_emulator.wire.azure import names as azure
from kms_emulator.wire.azure.hosts import Host
from kms_emulator.wire.gcp import names as gcp

USER_CHARACTERS_MAX = 200
"""LIMIT: characters of a user's name; five of them stand in a message."""

_KEY_URL = re.compile(r"https://(?P<host>[^/]+)/keys/(?P<name>[^/]+)(/(?P<version>[0-9a-fA-F]{32}))?/?")


def guard_message(core: Core) -> pb.Guard:
    """Return whether the guard is on, and all uses, oldest first."""
    return pb.Guard(on=core.guard.on, uses=[_message(use) for use in core.guard.uses])


def add_use(core: Core, request: pb.KeyUse) -> pb.KeyUse:
    """Note that somebody uses a key; a use that is known already stays as it is."""
    if not 1 <= len(request.user) <= USER_CHARACTERS_MAX or not request.user.isprintable():
        raise RefusedError(f"user must have 1 to {USER_CHARACTERS_MAX} characters that can be printed")
    key, version = _found(core, request.key)
    try:
        return _message(core.guard.add(key, version, request.key, request.user))
    except ValueError as error:
        raise RefusedError(str(error)) from None


def remove_uses(core: Core, request: pb.RemoveKeyUsesRequest) -> pb.RemoveKeyUsesResponse:
    """Forget one use, those of a user, or all."""
    removed = core.guard.remove(request.number, request.user)
    if not removed and (request.number or request.user):
        what = f"number {request.number}" if request.number else f"user {request.user}"
        raise MissingError(f"there is no use of a key with the {what}")
    return pb.RemoveKeyUsesResponse(removed=removed)


def _message(use: KeyUse) -> pb.KeyUse:
    return pb.KeyUse(number=use.number, key=use.key, user=use.user, provider=use.realm)


def _found(core: Core, text: str) -> tuple[Key, int | None]:
    """Return the key that a text names, and the number of the version, if it names one."""
    core.now_ns()  # what is gone by now is gone
    try:
        if text.startswith("projects/"):
            return _google_key(core, text)
        if text.startswith("https://"):
            return _azure_key(core, text)
        return _aws_key(core, text), None
    except ModelError:
        raise MissingError(f"there is no key {text}; name it by ARN, alias, https://…/keys/… or projects/…") from None


def _google_key(core: Core, text: str) -> tuple[Key, int | None]:
    name, _, number = text.partition("/cryptoKeyVersions/")
    key = core.registry.key(gcp.REALM, name)
    if not number:
        return key, None
    if not number.isdecimal() or key.version(int(number[:9])) is None:
        raise MissingError(f"there is no key version {text}")
    return key, int(number[:9])


def _azure_key(core: Core, text: str) -> tuple[Key, int | None]:
    parts = _KEY_URL.fullmatch(text)
    if parts is None:
        raise RefusedError(f"{text} is not https://VAULT.vault.azure.net/keys/NAME or …/NAME/VERSION")
    key = core.registry.key(azure.REALM, azure.key_name(Host(parts["host"]).vault, parts["name"]))
    if parts["version"] is None:
        return key, None
    version = key.version_by_id(parts["version"].lower())
    if version is None:
        raise MissingError(f"there is no key version {text}")
    return key, version.number


def _aws_key(core: Core, text: str) -> Key:
    arn = aws.ARN_PATTERN.fullmatch(text)
    place = arn["region"] if arn else aws.DEFAULT_REGION
    resource = text if arn is None else arn["id"] if arn["kind"] == "key" else f"alias/{arn['id']}"
    alias = core.registry.alias(aws.REALM, aws.key_name(place, resource))
    if alias is not None:
        return core.registry.by_uid(alias.target)
    return core.registry.key(aws.REALM, aws.key_name(place, resource))
