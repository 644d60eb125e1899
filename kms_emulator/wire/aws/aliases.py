"""AWS operations on aliases: second names of keys, in one region."""

from keystore_api.aws_kms.v1 import aws_kms_pb2 as pb

from kms_emulator.model.errors import KeyStateError
from kms_emulator.model.keys import Alias, Key
from kms_emulator.model.lifecycle import ENDING
from kms_emulator.wire.aws import names
from kms_emulator.wire.aws.authorize import authorize, authorize_account
from kms_emulator.wire.aws.errors import aws_error, validation
from kms_emulator.wire.aws.keys import limit
from kms_emulator.wire.aws.lookup import find_key, region
from kms_emulator.wire.call import Call
from kms_emulator.wire.paging import page
from kms_emulator.wire.times import timestamp

LIST_LIMIT_MAX = 100
LIST_LIMIT_DEFAULT = 50


def create_alias(call: Call, request: pb.CreateAliasRequest) -> pb.CreateAliasResponse:
    """Give a key a second name."""
    name = _name(request.region, request.alias_name)
    authorize_account(call, resource=names.arn(region(request.region), request.alias_name))
    key = _target(call, request.region, request.target_key_id)
    old = call.registry.alias(names.REALM, name)
    if old is not None:
        text = f"An alias with the name {names.alias_arn(old)} already exists"
        raise aws_error("AlreadyExistsException", text)
    call.registry.put_alias(names.REALM, name, key, call.now_ns)
    return pb.CreateAliasResponse()


def update_alias(call: Call, request: pb.UpdateAliasRequest) -> pb.UpdateAliasResponse:
    """Point an alias at another key."""
    alias = _existing(call, request.region, request.alias_name)
    key = _target(call, request.region, request.target_key_id)
    call.registry.put_alias(names.REALM, alias.name, key, call.now_ns)
    return pb.UpdateAliasResponse()


def delete_alias(call: Call, request: pb.DeleteAliasRequest) -> pb.DeleteAliasResponse:
    """Remove an alias; the key stays."""
    alias = _existing(call, request.region, request.alias_name)
    call.registry.remove_alias(names.REALM, alias.name)
    return pb.DeleteAliasResponse()


def list_aliases(call: Call, request: pb.ListAliasesRequest) -> pb.ListAliasesResponse:
    """List the aliases of a region, or of one key."""
    aliases = call.registry.aliases(names.REALM, f"{region(request.region)}/")
    if request.key_id:
        key = find_key(call, request.region, request.key_id, aliases=False)
        aliases = [alias for alias in aliases if alias.target == key.uid]
    count = limit(request.limit, LIST_LIMIT_DEFAULT, LIST_LIMIT_MAX)
    found, marker = page(aliases, lambda alias: alias.name, request.marker, count)
    entries = [_entry(call, alias) for alias in found]
    return pb.ListAliasesResponse(aliases=entries, next_marker=marker or None, truncated=bool(marker))


def _name(requested_region: str, alias_name: str) -> str:
    place = region(requested_region)
    if not names.ALIAS_PATTERN.fullmatch(alias_name):
        raise validation("aliasName", "satisfy regular expression pattern: ^alias/[a-zA-Z0-9/_-]+$")
    if alias_name.startswith("alias/aws/"):
        raise aws_error("NotAuthorizedException", "")
    return names.key_name(place, alias_name)


def _existing(call: Call, requested_region: str, alias_name: str) -> Alias:
    name = _name(requested_region, alias_name)
    call.key = alias_name
    alias = call.registry.alias(names.REALM, name)
    arn = names.arn(region(requested_region), alias_name)
    authorize_account(call, resource=arn)
    if alias is None:
        raise aws_error("NotFoundException", f"Alias {arn} is not found.")
    authorize(call, call.registry.by_uid(alias.target), asked=arn)
    return alias


def _target(call: Call, requested_region: str, identifier: str) -> Key:
    key = find_key(call, requested_region, identifier, aliases=False)
    if key.state in ENDING:
        raise KeyStateError(key)
    return key


def _entry(call: Call, alias: Alias) -> pb.AliasListEntry:
    return pb.AliasListEntry(
        alias_name=alias.name.partition("/")[2],
        alias_arn=names.alias_arn(alias),
        target_key_id=names.key_id(call.registry.by_uid(alias.target)),
        creation_date=timestamp(alias.created_ns),
        last_updated_date=timestamp(alias.updated_ns),
    )
