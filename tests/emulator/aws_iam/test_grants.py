"""Grants: they allow exactly their operations under exactly their constraints, and end when they are ended."""

from typing import Any

import pytest

from tests.emulator.aws_iam.world import ACCOUNT, FOR_ROOT, ROOT, World, for_principal, refused, statement

DAY_NS = 86_400_000_000_000


@pytest.fixture
def alice(world: World) -> str:
    return world.user("alice")


def grant(world: World, key: str, *operations: str, to: str, name: str = "", **more: Any) -> dict[str, Any]:
    return dict(
        world.kms(name).create_grant(KeyId=key, GranteePrincipal=to, Operations=list(operations), **more)  # type: ignore[arg-type]
    )


def test_grant_allows_its_operations_and_no_other(world: World, alice: str) -> None:
    key = world.key()
    blob = world.kms().encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    grant(world, key, "Decrypt", "DescribeKey", to=alice)
    kms = world.kms("alice")
    assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["Arn"] == key
    with refused("AccessDeniedException", "kms:Encrypt"):
        kms.encrypt(KeyId=key, Plaintext=b"x")
    with refused("AccessDeniedException", "kms:DisableKey"):
        kms.disable_key(KeyId=key)
    world.user("bob")
    with refused("AccessDeniedException", "kms:Decrypt"):
        world.kms("bob").decrypt(CiphertextBlob=blob)
    with refused("AccessDeniedException", "kms:DescribeKey"):
        kms.describe_key(KeyId=world.key())


CONSTRAINTS = [
    ("EncryptionContextEquals", {"a": "1"}, True),
    ("EncryptionContextEquals", {"a": "1", "b": "2"}, False),
    ("EncryptionContextEquals", {"a": "2"}, False),
    ("EncryptionContextEquals", {"A": "1"}, False),
    ("EncryptionContextEquals", {}, False),
    ("EncryptionContextSubset", {"a": "1"}, True),
    ("EncryptionContextSubset", {"a": "1", "b": "2"}, True),
    ("EncryptionContextSubset", {"b": "2"}, False),
    ("EncryptionContextSubset", {}, False),
]


@pytest.mark.parametrize(("kind", "context", "allowed"), CONSTRAINTS)
def test_constraints(world: World, alice: str, kind: str, context: dict[str, str], allowed: bool) -> None:
    key = world.key()
    grant(world, key, "Encrypt", "GenerateDataKey", "DescribeKey", to=alice, Constraints={kind: {"a": "1"}})
    kms = world.kms("alice")
    kms.describe_key(KeyId=key)
    if allowed:
        kms.encrypt(KeyId=key, Plaintext=b"x", EncryptionContext=context)
        kms.generate_data_key(KeyId=key, KeySpec="AES_256", EncryptionContext=context)
    else:
        with refused("AccessDeniedException", "kms:Encrypt"):
            kms.encrypt(KeyId=key, Plaintext=b"x", EncryptionContext=context)
        with refused("AccessDeniedException", "kms:GenerateDataKey"):
            kms.generate_data_key(KeyId=key, KeySpec="AES_256", EncryptionContext=context)


def test_reencrypt_uses_each_sides_own_context(world: World, alice: str) -> None:
    key = world.key()
    blob = world.kms().encrypt(KeyId=key, Plaintext=b"x", EncryptionContext={"a": "1"})["CiphertextBlob"]
    grant(world, key, "ReEncryptFrom", to=alice, Constraints={"EncryptionContextEquals": {"a": "1"}})
    grant(world, key, "ReEncryptTo", to=alice, Constraints={"EncryptionContextEquals": {"b": "2"}})
    arguments = {"CiphertextBlob": blob, "SourceEncryptionContext": {"a": "1"}, "DestinationKeyId": key}
    world.kms("alice").re_encrypt(**arguments, DestinationEncryptionContext={"b": "2"})  # type: ignore[arg-type]
    with refused("AccessDeniedException", "kms:ReEncryptTo"):
        world.kms("alice").re_encrypt(**arguments, DestinationEncryptionContext={"b": "3"})  # type: ignore[arg-type]


def test_listed_as_aws_does(world: World, alice: str) -> None:
    key = world.key()
    made = grant(
        world,
        key,
        "Decrypt",
        "Encrypt",
        to=alice,
        Name="first",
        RetiringPrincipal=ROOT,
        Constraints={"EncryptionContextSubset": {"a": "1"}},
    )
    (entry,) = world.kms().list_grants(KeyId=key)["Grants"]
    assert entry.pop("CreationDate") is not None
    assert entry == {
        "KeyId": key,
        "GrantId": made["GrantId"],
        "Name": "first",
        "GranteePrincipal": alice,
        "RetiringPrincipal": ROOT,
        "IssuingAccount": ROOT,
        "Operations": ["Decrypt", "Encrypt"],
        "Constraints": {"EncryptionContextSubset": {"a": "1"}},
    }
    assert len(made["GrantId"]) == 64


def test_lists_are_filtered_and_paged(world: World, alice: str) -> None:
    key, other = world.key(), world.user("other")
    ids = sorted(grant(world, key, "Decrypt", to=alice, RetiringPrincipal=other)["GrantId"] for _ in range(5))
    mine = grant(world, key, "Decrypt", to=other)["GrantId"]
    kms = world.kms()
    assert [entry["GrantId"] for entry in kms.list_grants(KeyId=key, GranteePrincipal=other)["Grants"]] == [mine]
    assert [entry["GrantId"] for entry in kms.list_grants(KeyId=key, GrantId=ids[0])["Grants"]] == [ids[0]]
    with refused("NotFoundException"):
        kms.list_grants(KeyId=key, GrantId="0" * 64)
    first = kms.list_retirable_grants(RetiringPrincipal=other, Limit=3)
    assert first["Truncated"]
    second = kms.list_retirable_grants(RetiringPrincipal=other, Limit=3, Marker=first["NextMarker"])
    assert [entry["GrantId"] for page in (first, second) for entry in page["Grants"]] == ids
    assert world.kms(region="eu-west-1").list_retirable_grants(RetiringPrincipal=other)["Grants"] == []
    pages = kms.get_paginator("list_grants").paginate(KeyId=key, PaginationConfig={"PageSize": 2})
    assert sorted(entry["GrantId"] for page in pages for entry in page["Grants"]) == sorted([*ids, mine])


def test_same_name_and_request_make_one_grant(world: World, alice: str) -> None:
    key = world.key()
    first = grant(world, key, "Decrypt", to=alice, Name="once")
    assert grant(world, key, "Decrypt", to=alice, Name="once")["GrantId"] == first["GrantId"]
    assert grant(world, key, "Encrypt", to=alice, Name="once")["GrantId"] != first["GrantId"]
    assert grant(world, key, "Decrypt", to=alice)["GrantId"] != grant(world, key, "Decrypt", to=alice)["GrantId"]
    assert len(world.kms().list_grants(KeyId=key)["Grants"]) == 4


def test_revoked_grant_allows_nothing(world: World, alice: str) -> None:
    key = world.key()
    made = grant(world, key, "DescribeKey", to=alice)
    world.kms("alice").describe_key(KeyId=key)
    with refused("AccessDeniedException", "kms:RevokeGrant"):
        world.kms("alice").revoke_grant(KeyId=key, GrantId=made["GrantId"])
    with refused("DryRunOperationException"):
        world.kms().revoke_grant(KeyId=key, GrantId=made["GrantId"], DryRun=True)
    world.kms("alice").describe_key(KeyId=key)
    world.kms().revoke_grant(KeyId=key, GrantId=made["GrantId"])
    with refused("AccessDeniedException", "kms:DescribeKey"):
        world.kms("alice").describe_key(KeyId=key, GrantTokens=[made["GrantToken"]])
    with refused("NotFoundException"):
        world.kms().revoke_grant(KeyId=key, GrantId=made["GrantId"])


def test_retiring(world: World, alice: str) -> None:
    key, bob = world.key(), world.user("bob")
    by_bob = grant(world, key, "Decrypt", to=alice, RetiringPrincipal=bob)
    by_herself = grant(world, key, "Decrypt", "RetireGrant", to=alice)
    by_nobody = grant(world, key, "Decrypt", to=alice)
    with refused("AccessDeniedException", "kms:RetireGrant"):
        world.kms("alice").retire_grant(GrantToken=by_bob["GrantToken"])
    world.kms("bob").retire_grant(KeyId=key, GrantId=by_bob["GrantId"])
    world.kms("alice").retire_grant(GrantToken=by_herself["GrantToken"])
    with refused("AccessDeniedException", "kms:RetireGrant"):
        world.kms("bob").retire_grant(GrantToken=by_nobody["GrantToken"])
    world.user("bob", statement("kms:RetireGrant"))
    world.kms("bob").retire_grant(GrantToken=by_nobody["GrantToken"])
    assert world.kms().list_grants(KeyId=key)["Grants"] == []
    with refused("NotFoundException"):
        world.kms().retire_grant(GrantToken=by_nobody["GrantToken"])
    with refused("ValidationException"):
        world.kms().retire_grant(KeyId=key)


def test_who_creates_by_a_grant_gives_no_more_than_it_has(world: World, alice: str) -> None:
    key, bob = world.key(), world.user("bob")
    constraint = {"EncryptionContextSubset": {"a": "1"}}
    grant(world, key, "CreateGrant", "Decrypt", to=alice, Constraints=constraint)
    tighter = {"EncryptionContextSubset": {"a": "1", "b": "2"}}
    grant(world, key, "Decrypt", to=bob, name="alice", Constraints=constraint)
    grant(world, key, "Decrypt", to=bob, name="alice", Constraints=tighter)
    grant(world, key, "Decrypt", to=bob, name="alice", Constraints={"EncryptionContextEquals": {"a": "1"}})
    too_much: list[tuple[list[str], dict[str, Any]]] = [
        (["Encrypt"], {"Constraints": constraint}),
        (["Decrypt"], {}),
        (["Decrypt"], {"Constraints": {"EncryptionContextSubset": {"b": "2"}}}),
    ]
    for operations, more in too_much:
        with refused("AccessDeniedException", "kms:CreateGrant"):
            grant(world, key, *operations, to=bob, name="alice", **more)
    with refused("AccessDeniedException", "kms:CreateGrant"):
        grant(world, key, "Decrypt", to=bob, name="bob", Constraints=tighter)


BAD_GRANTS: list[tuple[dict[str, Any], str]] = [
    ({"GranteePrincipal": "alice"}, "InvalidArnException"),
    ({"RetiringPrincipal": "arn:aws:s3:::bucket"}, "InvalidArnException"),
    ({"Operations": ["Sign"]}, "ValidationException"),
    ({"Operations": ["GenerateMac", "Decrypt"]}, "ValidationException"),
    (
        {"Constraints": {"EncryptionContextSubset": {"a": "1"}, "EncryptionContextEquals": {"a": "1"}}},
        "ValidationException",
    ),
    ({"Constraints": {"EncryptionContextSubset": {str(n): "1" for n in range(9)}}}, "ValidationException"),
    ({"Constraints": {"EncryptionContextSubset": {"a": "x" * 385}}}, "ValidationException"),
    ({"GrantTokens": ["bm90IG9uZQ=="]}, "InvalidGrantTokenException"),
    ({"GranteePrincipal": None, "GranteeServicePrincipal": "s3.amazonaws.com"}, "UnsupportedOperationException"),
]


@pytest.mark.parametrize(("change", "code"), BAD_GRANTS)
def test_bad_grant_is_refused(world: World, alice: str, change: dict[str, Any], code: str) -> None:
    key = world.key()
    arguments = {"KeyId": key, "GranteePrincipal": alice, "Operations": ["Decrypt"], **change}
    with refused(code):
        world.kms().create_grant(**{name: value for name, value in arguments.items() if value is not None})
    assert world.kms().list_grants(KeyId=key)["Grants"] == []


def test_grants_on_other_kinds_of_keys(world: World, alice: str) -> None:
    kms = world.kms()
    key = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
    grant(world, key, "Sign", "GetPublicKey", to=alice)
    world.kms("alice").sign(KeyId=key, Message=b"x", SigningAlgorithm="ECDSA_SHA_256")
    with refused("ValidationException"):
        grant(world, key, "Sign", to=alice, Constraints={"EncryptionContextSubset": {"a": "1"}})
    with refused("ValidationException"):
        grant(world, key, "Encrypt", to=alice)


def test_grant_tokens_are_checked(world: World, alice: str) -> None:
    key = world.key()
    token = grant(world, key, "Encrypt", to=alice)["GrantToken"]
    world.kms("alice").encrypt(KeyId=key, Plaintext=b"x", GrantTokens=[token])
    with refused("InvalidGrantTokenException"):
        world.kms().encrypt(KeyId=key, Plaintext=b"x", GrantTokens=["made up"])


def test_states_of_the_key(world: World, alice: str) -> None:
    key = world.key()
    made = grant(world, key, "Decrypt", to=alice)
    with refused("DryRunOperationException"):
        grant(world, key, "Decrypt", to=alice, DryRun=True)
    world.kms().disable_key(KeyId=key)
    with refused("DisabledException"):
        grant(world, key, "Decrypt", to=alice)
    world.kms().schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    with refused("KMSInvalidStateException"):
        grant(world, key, "Decrypt", to=alice)
    assert len(world.kms().list_grants(KeyId=key)["Grants"]) == 1
    world.kms().revoke_grant(KeyId=key, GrantId=made["GrantId"])


def test_grants_end_with_their_key(world: World, alice: str) -> None:
    key = world.key()
    grant(world, key, "Decrypt", to=alice, RetiringPrincipal=alice)
    world.kms().schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    world.core.set_clock(world.core.clock.advance(7 * DAY_NS))
    assert world.kms().list_retirable_grants(RetiringPrincipal=alice)["Grants"] == []


def test_condition_on_what_a_grant_is_for(world: World, alice: str) -> None:
    conditions = {
        "ForAllValues:StringEquals": {"kms:GrantOperations": ["Decrypt", "DescribeKey"]},
        "StringEquals": {"kms:GranteePrincipal": alice, "kms:GrantConstraintType": "EncryptionContextSubset"},
        "Bool": {"kms:GrantIsForAWSResource": "false"},
    }
    bob = world.user("bob")
    key = world.key(FOR_ROOT, for_principal(bob, "kms:CreateGrant", Condition=conditions))
    constraint = {"EncryptionContextSubset": {"a": "1"}}
    grant(world, key, "Decrypt", to=alice, name="bob", Constraints=constraint)
    for operations, to, more in (
        (["Encrypt"], alice, {"Constraints": constraint}),
        (["Decrypt"], bob, {"Constraints": constraint}),
        (["Decrypt"], alice, {}),
    ):
        with refused("AccessDeniedException", "kms:CreateGrant"):
            grant(world, key, *operations, to=to, name="bob", **more)


def test_grant_to_another_account(world: World) -> None:
    other = world.user("other", account="444455556666")
    key = world.key()
    grant(world, key, "Encrypt", to=other)
    world.kms("other").encrypt(KeyId=key, Plaintext=b"x")
    with refused("AccessDeniedException"):
        world.kms("other").describe_key(KeyId=key)
    assert ACCOUNT in key
