"""AWS operations on aliases: second names of keys, in one region."""

from keystore_api.aws_kms.v1 import aws_kms_pb2 as pb

from kms_emulator.model.errors import KeyStateError
from kms_emulator.model.keys import Alias, Key
from kms_emulator.model.lifecycle import ENDING
from kms_emulator.wire.aws import names
from kms_emulator.wire.aws.authorize import authorize, authorize_account
from kms_emulator.wire.aws.errors import aws_error
from kms_emulator.wire.aws.lookup import find_key, region
from kms_emulator.wire.aws.pages import Wanted, aws_page
from kms_emulator.wire.aws.specs import spec_of
from kms_emulator.wire.call import Call
from kms_emulator.wire.times import timestamp

ALIASES_MAX = 50
"""LIMIT: aliases of one key (AWS KMS developer guide, "Resource quotas")."""

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
    _check_count(call, key)
    call.registry.put_alias(names.REALM, name, key, call.now_ns)
    return pb.CreateAliasResponse()


def update_alias(call: Call, request: pb.UpdateAliasRequest) -> pb.UpdateAliasResponse:
    """Point an alias at another key."""
    alias = _existing(call, request.region, request.alias_name)
    key = _target(call, request.region, request.target_key_id)
    old = call.registry.by_uid(alias.target)
    if (old.usage, spec_of(old).is_pair) != (key.usage, spec_of(key).is_pair):
        text = f"Alias {names.alias_arn(alias)} cannot be changed from {names.key_arn(old)} to {names.key_arn(key)}"
        raise aws_error("ValidationException", f"{text} because they have different key types or usages.")
    if old.uid != key.uid:
        _check_count(call, key)
    call.registry.put_alias(names.REALM, alias.name, key, call.now_ns)
    return pb.UpdateAliasResponse()


def delete_alias(call: Call, request: pb.DeleteAliasRequest) -> pb.DeleteAliasResponse:
    """Remove an alias; the key stays."""
    alias = _existing(call, request.region, request.alias_name)
    call.registry.remove_alias(names.REALM, alias.name)
    return pb.DeleteAliasResponse()


def list_aliases(call: Call, request: pb.ListAliasesRequest) -> pb.ListAliasesResponse:
    """List the aliases of a region, or of one key."""
    place = region(request.region)
    aliases = call.registry.aliases(names.REALM, f"{place}/")
    if request.key_id:
        key = find_key(call, request.region, request.key_id, aliases=False)
        aliases = [alias for alias in aliases if alias.target == key.uid]
        place = names.key_arn(key)
    wanted = Wanted(request.limit, request.marker, LIST_LIMIT_DEFAULT, LIST_LIMIT_MAX)
    found = aws_page(call, place, aliases, lambda alias: alias.name, wanted)
    entries = [_entry(call, alias) for alias in found.items]
    return pb.ListAliasesResponse(aliases=entries, next_marker=found.next_marker, truncated=found.truncated)


def _name(requested_region: str, alias_name: str) -> str:
    place = region(requested_region)
    if not alias_name.startswith("alias/"):
        text = 'Alias must start with the prefix "alias/". Please see '
        raise aws_error(
            "ValidationException", f"{text}https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html"
        )
    if not names.ALIAS_PATTERN.fullmatch(alias_name):
        raise aws_error("ValidationException", f"{alias_name} contains invalid characters for an alias")
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


def _check_count(call: Call, key: Key) -> None:
    place = f"{names.region_of(key.name)}/"
    if sum(alias.target == key.uid for alias in call.registry.aliases(names.REALM, place)) >= ALIASES_MAX:
        raise aws_error("LimitExceededException", f"{names.key_arn(key)} has {ALIASES_MAX} aliases already.")


def _entry(call: Call, alias: Alias) -> pb.AliasListEntry:
    return pb.AliasListEntry(
        alias_name=alias.name.partition("/")[2],
        alias_arn=names.alias_arn(alias),
        target_key_id=names.key_id(call.registry.by_uid(alias.target)),
        creation_date=timestamp(alias.created_ns),
        last_updated_date=timestamp(alias.updated_ns),
    )
