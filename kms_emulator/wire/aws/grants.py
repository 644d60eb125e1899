"""AWS operations on grants. A grant holds from the answer on.

Leaves out grants to AWS services, which do not exist here.
"""

from collections.abc import Sequence

from keystore_api.aws_kms.v1 import aws_kms_pb2 as pb

from kms_emulator.model.errors import KeyMissingError, KeyStateError
from kms_emulator.model.grants import GRANTS_PER_KEY_MAX, Grant
from kms_emulator.model.keys import Key, KeyState, KeyUsage
from kms_emulator.wire.aws import names
from kms_emulator.wire.aws.authorize import allowing_grants, authorize, authorize_missing, policies_allow, standing_of
from kms_emulator.wire.aws.errors import aws_error
from kms_emulator.wire.aws.grant_tokens import read_token, token_of
from kms_emulator.wire.aws.lookup import find_key, region
from kms_emulator.wire.aws.pages import Wanted, aws_page
from kms_emulator.wire.aws.principals import is_principal, root_arn
from kms_emulator.wire.aws.specs import SYMMETRIC, spec_of
from kms_emulator.wire.aws.usable import check_dry_run
from kms_emulator.wire.call import Call, CloudError
from kms_emulator.wire.times import timestamp

LIST_LIMIT_DEFAULT, LIST_LIMIT_MAX = 50, 100
CONSTRAINT_PAIRS_MAX = 8
CONSTRAINT_VALUE_CHARACTERS_MAX = 384
_ID_BYTES = 32
_ALWAYS = {"CreateGrant", "DescribeKey", "RetireGrant"}
_DATA_KEYS = {
    "GenerateDataKey", "GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext", "GenerateDataKeyWithoutPlaintext",
}  # fmt: skip
_ENCRYPTING = {"Decrypt", "Encrypt", "ReEncryptFrom", "ReEncryptTo"}
_OPERATIONS = {
    KeyUsage.ENCRYPT: _ENCRYPTING | {"GetPublicKey"},
    KeyUsage.SIGN: {"GetPublicKey", "Sign", "Verify"},
    KeyUsage.MAC: {"GenerateMac", "VerifyMac"},
    KeyUsage.AGREE: {"DeriveSharedSecret", "GetPublicKey"},
    KeyUsage.ENCAPSULATE: {"Decapsulate", "Encapsulate", "GetPublicKey"},
}
"""What a grant on a key of each usage may allow; source: developer guide, "Grant operations"."""


def create_grant(call: Call, request: pb.CreateGrantRequest) -> pb.CreateGrantResponse:
    """Let a principal do some operations with a key."""
    if request.grantee_service_principal or request.retiring_service_principal or request.constraints.source_arn:
        raise aws_error("UnsupportedOperationException", "A grant to an AWS service is not emulated.")
    key = find_key(call, request.region, request.key_id, aliases=False)
    if key.state is not KeyState.ENABLED:
        raise KeyStateError(key)
    grant = _grant(call, key, request)
    _check_source(call, key, grant)
    check_dry_run(request.dry_run)
    held = call.registry.grants.usable(key.uid)
    same = next((old for old in held if grant.name and old.same_request(grant)), None)
    if same is None and len(held) >= GRANTS_PER_KEY_MAX:
        raise aws_error("LimitExceededException", f"{names.key_arn(key)} has {GRANTS_PER_KEY_MAX} grants already.")
    kept = same or call.registry.grants.put(grant)
    return pb.CreateGrantResponse(grant_id=kept.id, grant_token=token_of(kept))


def list_grants(call: Call, request: pb.ListGrantsRequest) -> pb.ListGrantsResponse:
    """List a key's grants, all or those of one id or grantee."""
    key = find_key(call, request.region, request.key_id, aliases=False)
    if request.grant_id and call.registry.grants.get(key.uid, request.grant_id) is None:
        raise _no_grant(request.grant_id)
    found = [
        grant
        for grant in call.registry.grants.of_key(key.uid)
        if request.grant_id in ("", grant.id) and request.grantee_principal in ("", grant.grantee)
    ]
    place = f"{names.key_arn(key)} {request.grant_id} {request.grantee_principal}"
    return _listed(call, place, found, Wanted(request.limit, request.marker, LIST_LIMIT_DEFAULT, LIST_LIMIT_MAX))


def list_retirable_grants(call: Call, request: pb.ListRetirableGrantsRequest) -> pb.ListGrantsResponse:
    """List the grants of a region that a principal may retire."""
    if not is_principal(request.retiring_principal):
        raise aws_error("InvalidArnException", "RetiringPrincipal must be the ARN of a principal.")
    place = f"{region(request.region)}/"
    found = call.registry.grants.retirable_by(request.retiring_principal)
    here = [grant for grant in found if call.registry.by_uid(grant.key_uid).name.startswith(place)]
    wanted = Wanted(request.limit, request.marker, LIST_LIMIT_DEFAULT, LIST_LIMIT_MAX)
    return _listed(call, f"{place} {request.retiring_principal}", here, wanted)


def revoke_grant(call: Call, request: pb.RevokeGrantRequest) -> pb.RevokeGrantResponse:
    """End a grant, as the key's administrator."""
    key = find_key(call, request.region, request.key_id, aliases=False)
    grant = call.registry.grants.get(key.uid, request.grant_id)
    if grant is None:
        raise _no_grant(request.grant_id)
    check_dry_run(request.dry_run)
    call.registry.grants.remove(grant)
    return pb.RevokeGrantResponse()


def retire_grant(call: Call, request: pb.RetireGrantRequest) -> pb.RetireGrantResponse:
    """End a grant, as whom it names for that, as its grantee if it says so, or as whoever the policies allow."""
    key, grant = _named(call, request)
    call.key = names.key_arn(key)
    if not _may_retire(call, grant):
        authorize(call, key, by_grants=False)
    check_dry_run(request.dry_run)
    call.registry.grants.remove(grant)
    return pb.RetireGrantResponse()


def _grant(call: Call, key: Key, request: pb.CreateGrantRequest) -> Grant:
    if not request.grantee_principal:
        raise aws_error("ValidationException", "GranteePrincipal is required.")
    for principal in (request.grantee_principal, request.retiring_principal):
        if principal and not is_principal(principal):
            raise aws_error("InvalidArnException", f"{principal} is not the ARN of a principal.")
    _check_operations(key, request.operations)
    constraints = request.constraints
    _check_constraints(key, constraints)
    return Grant(
        id=call.registry.new_bytes(_ID_BYTES).hex(),
        key_uid=key.uid,
        created_ns=call.now_ns,
        grantee=request.grantee_principal,
        operations=tuple(dict.fromkeys(request.operations)),
        name=request.name,
        retiring=request.retiring_principal,
        context_equals=dict(constraints.encryption_context_equals) or None,
        context_subset=dict(constraints.encryption_context_subset) or None,
    )


def _check_operations(key: Key, operations: Sequence[str]) -> None:
    if not operations:
        raise aws_error("ValidationException", "Operations must hold one operation or more.")
    symmetric = spec_of(key).name == SYMMETRIC
    allowed = _ALWAYS | (_ENCRYPTING | _DATA_KEYS if symmetric else _OPERATIONS[key.usage])
    wrong = [operation for operation in operations if operation not in allowed]
    if wrong:
        text = f"Grant operation {wrong[0]} is not supported for a key of spec {spec_of(key).name} and this usage."
        raise aws_error("ValidationException", text)


def _check_constraints(key: Key, constraints: pb.GrantConstraints) -> None:
    equals, subset = constraints.encryption_context_equals, constraints.encryption_context_subset
    if not equals and not subset:
        return
    if equals and subset:
        raise aws_error("ValidationException", "A grant has one constraint on the encryption context, not two.")
    if spec_of(key).name != SYMMETRIC:
        raise aws_error("ValidationException", "Constraints are for symmetric encryption keys only.")
    pairs = equals or subset
    if len(pairs) > CONSTRAINT_PAIRS_MAX:
        raise aws_error("ValidationException", f"A constraint has at most {CONSTRAINT_PAIRS_MAX} pairs.")
    if any(len(value) > CONSTRAINT_VALUE_CHARACTERS_MAX for value in pairs.values()):
        text = f"A value in a constraint has at most {CONSTRAINT_VALUE_CHARACTERS_MAX} characters."
        raise aws_error("ValidationException", text)


def _check_source(call: Call, key: Key, grant: Grant) -> None:
    """Refuse a caller who may create grants by a grant alone, and wants to give more than that grant allows."""
    if not call.caller.known or policies_allow(call, key, "CreateGrant"):
        return
    if not any(source.covers(grant) for source in allowing_grants(call, key, "CreateGrant")):
        text = (
            f"User: {call.caller.arn} is not authorized to perform: kms:CreateGrant on resource: {names.key_arn(key)} "
            "because the grant that allows it covers less than the new grant"
        )
        raise aws_error("AccessDeniedException", text)


def _named(call: Call, request: pb.RetireGrantRequest) -> tuple[Key, Grant]:
    """Return the grant that a token, or a key's ARN and an id, mean, and its key."""
    if bool(request.grant_token) is bool(request.key_id and request.grant_id):
        raise aws_error("ValidationException", "Specify either a grant token, or a key ARN and a grant ID.")
    if not request.grant_token:
        return _by_id(call, request)
    uid, grant_id = read_token(request.grant_token)
    grant = call.registry.grants.get(uid, grant_id)
    key = call.registry.by_uid(uid) if grant is not None else None
    if grant is None or key is None or names.region_of(key.name) != region(request.region):
        raise aws_error("NotFoundException", "The grant does not exist.")
    return key, grant


def _by_id(call: Call, request: pb.RetireGrantRequest) -> tuple[Key, Grant]:
    parts = names.ARN_PATTERN.fullmatch(request.key_id)
    if parts is None or parts["kind"] != "key":
        raise aws_error("InvalidArnException", f"Invalid arn {request.key_id}")
    call.key = request.key_id
    key = _key(call, request, parts["region"], parts["account"], parts["id"])
    grant = call.registry.grants.get(key.uid, request.grant_id)
    if grant is None:
        authorize(call, key, by_grants=False)
        raise _no_grant(request.grant_id)
    return key, grant


def _key(call: Call, request: pb.RetireGrantRequest, place: str, account: str, identifier: str) -> Key:
    try:
        if place == region(request.region) and account == names.ACCOUNT_ID:
            return call.registry.key(names.REALM, names.key_name(place, identifier))
    except KeyMissingError:
        pass
    authorize_missing(call, request.key_id)
    raise aws_error("NotFoundException", f"Key '{request.key_id}' does not exist")


def _may_retire(call: Call, grant: Grant) -> bool:
    callers = standing_of(call).names
    return grant.retiring in callers or (grant.grantee in callers and "RetireGrant" in grant.operations)


def _listed(call: Call, place: str, grants: list[Grant], wanted: Wanted) -> pb.ListGrantsResponse:
    found = aws_page(call, place, grants, lambda grant: grant.id, wanted)
    entries = [_entry(call, grant) for grant in found.items]
    return pb.ListGrantsResponse(grants=entries, next_marker=found.next_marker, truncated=found.truncated)


def _entry(call: Call, grant: Grant) -> pb.GrantListEntry:
    entry = pb.GrantListEntry(
        key_id=names.key_arn(call.registry.by_uid(grant.key_uid)),
        grant_id=grant.id,
        name=grant.name or None,
        creation_date=timestamp(grant.created_ns),
        grantee_principal=grant.grantee,
        retiring_principal=grant.retiring or None,
        issuing_account=root_arn(names.ACCOUNT_ID),
        operations=grant.operations,
    )
    if grant.context_equals is not None:
        entry.constraints.encryption_context_equals.update(grant.context_equals)
    if grant.context_subset is not None:
        entry.constraints.encryption_context_subset.update(grant.context_subset)
    return entry


def _no_grant(grant_id: str) -> CloudError:
    return aws_error("NotFoundException", f"Grant ID {grant_id} not found")
