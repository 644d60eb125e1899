"""AWS managed keys: one for each service of AWS, made when its alias is first used, and not for customers to change.

Their policies let the service alone use them; here nobody stands between a caller and a service, so everybody may.
"""

from dataclasses import replace

from kms_emulator.model.keys import Key, KeyKind, Schedule
from kms_emulator.wire.aws import names
from kms_emulator.wire.aws.errors import aws_error
from kms_emulator.wire.aws.metadata import MANAGER
from kms_emulator.wire.aws.principals import DEFAULT_ROOT
from kms_emulator.wire.call import Call
from kms_emulator.wire.times import DAY_NS

ROTATION_DAYS = 365
SERVICES = frozenset({
    "acm", "aoss", "backup", "cloud9", "codecommit", "codebuild", "connect", "dms", "dynamodb", "ebs", "ecr",
    "elasticfilesystem", "es", "fsx", "glue", "kafka", "kinesis", "kinesisvideo", "lambda", "lex", "lightsail", "mgn",
    "mwaa", "rds", "redshift", "s3", "secretsmanager", "sns", "sqs", "ssm", "workspaces", "xray",
})  # fmt: skip
"""Services that have a managed key in each account and Region."""

_FOR_CUSTOMERS = frozenset({
    "CancelKeyDeletion", "CreateAlias", "CreateGrant", "DisableKey", "DisableKeyRotation", "EnableKey",
    "EnableKeyRotation", "PutKeyPolicy", "ReplicateKey", "RotateKeyOnDemand", "ScheduleKeyDeletion", "TagResource",
    "UntagResource", "UpdateAlias", "UpdateKeyDescription", "UpdatePrimaryRegion",
})  # fmt: skip
"""Operations that no policy of a managed key allows anybody."""


def make_managed(call: Call, place: str, alias: str) -> Key | None:
    """Return the managed key behind ``alias/aws/SERVICE``, made now; None if there is no such service."""
    service = alias.removeprefix("alias/aws/")
    if service == alias or service not in SERVICES:
        return None
    uid = names.uuid4(call.registry.new_uid())
    name = names.key_name(place, names.identifier(uid))
    purpose = f"Default key that protects my {service} data when no other key is defined"
    empty = call.registry.create(
        names.REALM, name, KeyKind.AES_256, call.now_ns, uid=uid, attributes={"description": purpose, MANAGER: "AWS"}
    )
    period_ns = ROTATION_DAYS * DAY_NS
    scheduled = replace(empty, schedule=Schedule(period_ns, call.now_ns + period_ns))
    key = call.registry.add_version(scheduled, call.registry.new_aes(), call.now_ns)
    call.registry.put_alias(names.REALM, names.key_name(place, alias), key, call.now_ns)
    return key


def check_manager(call: Call, key: Key) -> None:
    """Refuse to change a managed key."""
    if key.attributes.get(MANAGER) == "AWS" and call.operation in _FOR_CUSTOMERS:
        action = f"kms:{call.operation}"
        raise aws_error(
            "AccessDeniedException",
            f"User: {call.caller.arn or DEFAULT_ROOT} is not authorized to perform: {action} on resource: "
            f"{names.key_arn(key)} because no resource-based policy allows the {action} action",
        )
