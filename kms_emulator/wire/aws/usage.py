"""What keys were last used for: noted of every cryptographic operation that succeeded, and told by GetKeyLastUsage."""

import uuid
from functools import cache

from keystore_api.aws_kms.v1 import aws_kms_pb2 as pb

from kms_emulator.model.usage import Use
from kms_emulator.wire.aws import names
from kms_emulator.wire.aws.lookup import find_key
from kms_emulator.wire.aws.shapes import api
from kms_emulator.wire.call import Call
from kms_emulator.wire.times import timestamp

_EVENTS = uuid.UUID("2c9d3c5e-5f0a-4a52-9a4e-2f0e7b6b9c11")
"""Namespace of the ids of events: nobody records them, but each use has its own."""


@cache
def _tracked() -> frozenset[str]:
    return frozenset(api().shapes["KeyLastUsageTrackingOperation"].enum)


def note_use(call: Call) -> None:
    """Note what a call that succeeded did, of every key that it used."""
    if call.uids and call.operation in _tracked():
        use = Use(call.operation, call.now_ns, call.request_id)
        for uid in call.uids:
            call.core.uses.record(uid, use)


def get_key_last_usage(call: Call, request: pb.GetKeyLastUsageRequest) -> pb.GetKeyLastUsageResponse:
    """Say when and for what a key was last used, and since when that is known."""
    key = find_key(call, request.region, request.key_id, aliases=False)
    use, since_ns = call.core.uses.get(key.uid), call.core.uses.since_ns
    data = pb.KeyLastUsageData()
    if use is not None:
        event = uuid.uuid5(_EVENTS, f"{use.operation} {use.time_ns} {use.request_id}")
        data = pb.KeyLastUsageData(
            operation=use.operation,
            timestamp=timestamp(use.time_ns),
            cloud_trail_event_id=str(event),
            kms_request_id=use.request_id or None,
        )
    return pb.GetKeyLastUsageResponse(
        key_id=names.key_id(key),
        key_last_usage=data,
        tracking_start_date=timestamp(max(since_ns, key.created_ns)),
        key_creation_date=timestamp(key.created_ns),
    )
