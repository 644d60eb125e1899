"""AWS operations on the tags of a key."""

from collections.abc import Iterable

from keystore_api.aws_kms.v1 import aws_kms_pb2 as pb

from kms_emulator.model import lifecycle
from kms_emulator.wire.aws.creation import TAG_PREFIX, TAGS_MAX
from kms_emulator.wire.aws.errors import aws_error
from kms_emulator.wire.aws.lookup import find_key
from kms_emulator.wire.aws.names import key_arn
from kms_emulator.wire.aws.pages import Wanted, aws_page
from kms_emulator.wire.call import Call

LIST_LIMIT_MAX = LIST_LIMIT_DEFAULT = 50


def tag_resource(call: Call, request: pb.TagResourceRequest) -> pb.TagResourceResponse:
    """Add tags to a key, or give those it has other values."""
    key = find_key(call, request.region, request.key_id, aliases=False)
    _check_names(tag.tag_key for tag in request.tags)
    added = {TAG_PREFIX + tag.tag_key: tag.tag_value for tag in request.tags}
    attributes = {**key.attributes, **added}
    if sum(name.startswith(TAG_PREFIX) for name in attributes) > TAGS_MAX:
        raise aws_error("LimitExceededException", f"Too many tags; a key has at most {TAGS_MAX}")
    call.registry.put(lifecycle.describe(key, attributes, call.now_ns))
    return pb.TagResourceResponse()


def untag_resource(call: Call, request: pb.UntagResourceRequest) -> pb.UntagResourceResponse:
    """Take tags from a key; those it does not have are passed over."""
    key = find_key(call, request.region, request.key_id, aliases=False)
    _check_names(request.tag_keys)
    gone = {TAG_PREFIX + name for name in request.tag_keys}
    attributes = {name: value for name, value in key.attributes.items() if name not in gone}
    call.registry.put(lifecycle.describe(key, attributes, call.now_ns))
    return pb.UntagResourceResponse()


def list_resource_tags(call: Call, request: pb.ListResourceTagsRequest) -> pb.ListResourceTagsResponse:
    """List a key's tags, in any state."""
    key = find_key(call, request.region, request.key_id, aliases=False)
    tags = sorted(name.removeprefix(TAG_PREFIX) for name in key.attributes if name.startswith(TAG_PREFIX))
    wanted = Wanted(request.limit, request.marker, LIST_LIMIT_DEFAULT, LIST_LIMIT_MAX)
    found = aws_page(call, key_arn(key), tags, str, wanted)
    entries = [pb.Tag(tag_key=name, tag_value=key.attributes[TAG_PREFIX + name]) for name in found.items]
    return pb.ListResourceTagsResponse(tags=entries, next_marker=found.next_marker, truncated=found.truncated)


def _check_names(names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise aws_error("TagException", "Duplicate tag keys")
        if name.lower().startswith("aws:"):
            raise aws_error("TagException", "Tag keys starting with 'aws:' are reserved")
        seen.add(name)
