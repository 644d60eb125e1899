"""Key policies and identities' policies, through boto3: who may do what, and what a refusal says."""

import json
import uuid
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from tests.emulator.aws_iam.world import (
    ACCOUNT,
    FOR_ROOT,
    ROOT,
    Document,
    World,
    access_key,
    for_principal,
    policy,
    refused,
    secret,
    statement,
)

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

ALL = statement("kms:*")
OTHER_ACCOUNT = "444455556666"
CONTEXT = {"tenant": "7", "Stage": "test"}


def test_new_key_has_aws_default_policy(world: World) -> None:
    kms, key = world.kms(), world.key()
    found = kms.get_key_policy(KeyId=key, PolicyName="default")
    assert json.loads(found["Policy"]) == {
        "Version": "2012-10-17",
        "Id": "key-default-1",
        "Statement": [
            {
                "Sid": "Enable IAM User Permissions",
                "Effect": "Allow",
                "Principal": {"AWS": ROOT},
                "Action": "kms:*",
                "Resource": "*",
            }
        ],
    }
    assert found["PolicyName"] == "default"
    assert kms.list_key_policies(KeyId=key)["PolicyNames"] == ["default"]
    with refused("NotFoundException", "No such policy exists"):
        kms.get_key_policy(KeyId=key, PolicyName="other")


def test_policy_is_given_back_letter_by_letter(world: World) -> None:
    text = policy(FOR_ROOT, for_principal(f"arn:aws:iam::{ACCOUNT}:user/bob", "kms:Decrypt")).replace(" ", "  ")
    kms, key = world.kms(), world.key()
    kms.put_key_policy(KeyId=key, Policy=text)
    assert kms.get_key_policy(KeyId=key)["Policy"] == text
    created = kms.create_key(Policy=text)["KeyMetadata"]["Arn"]
    assert kms.get_key_policy(KeyId=created)["Policy"] == text


OPERATIONS: list[tuple[str, Callable[["KMSClient", str], Any]]] = [
    ("CancelKeyDeletion", lambda kms, key: kms.cancel_key_deletion(KeyId=key)),
    ("CreateGrant", lambda kms, key: kms.create_grant(KeyId=key, GranteePrincipal=ROOT, Operations=["Decrypt"])),
    ("DescribeKey", lambda kms, key: kms.describe_key(KeyId=key)),
    ("DisableKey", lambda kms, key: kms.disable_key(KeyId=key)),
    ("DisableKeyRotation", lambda kms, key: kms.disable_key_rotation(KeyId=key)),
    ("EnableKey", lambda kms, key: kms.enable_key(KeyId=key)),
    ("EnableKeyRotation", lambda kms, key: kms.enable_key_rotation(KeyId=key)),
    ("Encrypt", lambda kms, key: kms.encrypt(KeyId=key, Plaintext=b"x")),
    ("GenerateDataKey", lambda kms, key: kms.generate_data_key(KeyId=key, KeySpec="AES_256")),
    (
        "GenerateDataKeyPair",
        lambda kms, key: kms.generate_data_key_pair(KeyId=key, KeyPairSpec="ECC_NIST_P256"),
    ),
    (
        "GenerateDataKeyPairWithoutPlaintext",
        lambda kms, key: kms.generate_data_key_pair_without_plaintext(KeyId=key, KeyPairSpec="ECC_NIST_P256"),
    ),
    (
        "GenerateDataKeyWithoutPlaintext",
        lambda kms, key: kms.generate_data_key_without_plaintext(KeyId=key, KeySpec="AES_256"),
    ),
    ("GenerateMac", lambda kms, key: kms.generate_mac(KeyId=key, Message=b"x", MacAlgorithm="HMAC_SHA_256")),
    ("GetKeyPolicy", lambda kms, key: kms.get_key_policy(KeyId=key)),
    ("GetKeyRotationStatus", lambda kms, key: kms.get_key_rotation_status(KeyId=key)),
    ("GetPublicKey", lambda kms, key: kms.get_public_key(KeyId=key)),
    ("ListGrants", lambda kms, key: kms.list_grants(KeyId=key)),
    ("ListKeyPolicies", lambda kms, key: kms.list_key_policies(KeyId=key)),
    ("ListKeyRotations", lambda kms, key: kms.list_key_rotations(KeyId=key)),
    ("ListResourceTags", lambda kms, key: kms.list_resource_tags(KeyId=key)),
    ("PutKeyPolicy", lambda kms, key: kms.put_key_policy(KeyId=key, Policy=policy(FOR_ROOT))),
    ("ReEncryptTo", lambda kms, key: _reencrypt(kms, key)),
    ("RevokeGrant", lambda kms, key: kms.revoke_grant(KeyId=key, GrantId="0")),
    ("RotateKeyOnDemand", lambda kms, key: kms.rotate_key_on_demand(KeyId=key)),
    ("ScheduleKeyDeletion", lambda kms, key: kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)),
    (
        "Sign",
        lambda kms, key: kms.sign(KeyId=key, Message=b"x", SigningAlgorithm="ECDSA_SHA_256"),
    ),
    ("TagResource", lambda kms, key: kms.tag_resource(KeyId=key, Tags=[{"TagKey": "a", "TagValue": "b"}])),
    ("UntagResource", lambda kms, key: kms.untag_resource(KeyId=key, TagKeys=["a"])),
    ("UpdateKeyDescription", lambda kms, key: kms.update_key_description(KeyId=key, Description="x")),
]


def _reencrypt(kms: "KMSClient", key: str) -> Any:
    own = kms.create_key(Policy=policy(FOR_ROOT, for_principal("*", "kms:*")))["KeyMetadata"]["Arn"]
    blob = kms.encrypt(KeyId=own, Plaintext=b"x")["CiphertextBlob"]
    return kms.re_encrypt(CiphertextBlob=blob, DestinationKeyId=key)


@pytest.mark.parametrize(("action", "call"), OPERATIONS, ids=[action for action, _ in OPERATIONS])
def test_each_missing_permission_is_named(world: World, action: str, call: Callable[["KMSClient", str], Any]) -> None:
    arn = world.user("alice", statement("kms:CreateKey"))
    key = world.key(FOR_ROOT)
    with refused("AccessDeniedException") as seen:
        call(world.kms("alice"), key)
    assert seen.status == 400
    assert seen.message == (
        f"User: {arn} is not authorized to perform: kms:{action} on resource: {key} because no identity-based policy "
        f"allows the kms:{action} action"
    )


OF_ACCOUNT: list[tuple[str, str, Callable[["KMSClient"], Any]]] = [
    ("CreateKey", "*", lambda kms: kms.create_key()),
    ("ListKeys", "*", lambda kms: kms.list_keys()),
    ("ListAliases", "*", lambda kms: kms.list_aliases()),
    ("GenerateRandom", "*", lambda kms: kms.generate_random(NumberOfBytes=8)),
    ("ListRetirableGrants", "*", lambda kms: kms.list_retirable_grants(RetiringPrincipal=ROOT)),
    (
        "CreateAlias",
        f"arn:aws:kms:us-east-1:{ACCOUNT}:alias/a",
        lambda kms: kms.create_alias(AliasName="alias/a", TargetKeyId=str(uuid.uuid4())),
    ),
    (
        "DeleteAlias",
        f"arn:aws:kms:us-east-1:{ACCOUNT}:alias/a",
        lambda kms: kms.delete_alias(AliasName="alias/a"),
    ),
]


@pytest.mark.parametrize(("action", "resource", "call"), OF_ACCOUNT, ids=[action for action, _, _ in OF_ACCOUNT])
def test_what_needs_no_key_needs_permission_too(
    world: World, action: str, resource: str, call: Callable[["KMSClient"], Any]
) -> None:
    arn = world.user("alice", statement("kms:Decrypt"))
    with refused(
        "AccessDeniedException", f"User: {arn} is not authorized to perform: kms:{action} on resource: {resource} "
    ):
        call(world.kms("alice"))


def test_describe_encrypt_and_decrypt_are_given_one_by_one(world: World) -> None:
    key = world.key(FOR_ROOT)
    blob = world.kms().encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    given: list[str] = []
    for action in ("kms:DescribeKey", "kms:Encrypt", "kms:Decrypt"):
        given.append(action)
        world.user("alice", statement(*given))
        alice, done = world.kms("alice"), []
        calls: dict[str, Callable[[], Any]] = {
            "kms:DescribeKey": partial(alice.describe_key, KeyId=key),
            "kms:Encrypt": partial(alice.encrypt, KeyId=key, Plaintext=b"x"),
            "kms:Decrypt": partial(alice.decrypt, KeyId=key, CiphertextBlob=blob),
        }
        for name, call in calls.items():
            if name in given:
                call()
                done.append(name)
            else:
                with refused("AccessDeniedException", f"perform: {name} on"):
                    call()
        assert done == given


def test_deny_of_decrypt_in_the_key_policy_wins_over_everything(world: World) -> None:
    alice = world.user("alice", ALL)
    key = world.key(FOR_ROOT, for_principal(alice, "kms:*"), for_principal(alice, "kms:Decrypt", effect="Deny"))
    world.kms().create_grant(KeyId=key, GranteePrincipal=alice, Operations=["Decrypt"])
    blob = world.kms("alice").encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    with refused(
        "AccessDeniedException",
        f"User: {alice}",
        f"kms:Decrypt on resource: {key} with an explicit deny in a resource-",
    ):
        world.kms("alice").decrypt(KeyId=key, CiphertextBlob=blob)
    with refused("AccessDeniedException", "kms:Decrypt on the resource associated with this ciphertext because"):
        world.kms("alice").decrypt(CiphertextBlob=blob)
    assert world.kms().decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"


def test_deny_of_an_identity_policy_wins_over_the_key_policy(world: World) -> None:
    alice = world.user("alice", statement("kms:Encrypt", effect="Deny"))
    key = world.key(FOR_ROOT, for_principal(alice, "kms:*"))
    with refused("AccessDeniedException", "with an explicit deny in an identity-based policy"):
        world.kms("alice").encrypt(KeyId=key, Plaintext=b"x")
    world.kms("alice").describe_key(KeyId=key)


def test_key_policy_alone_is_enough(world: World) -> None:
    alice = world.user("alice")
    key = world.key(FOR_ROOT, for_principal(alice, "kms:Encrypt"))
    world.kms("alice").encrypt(KeyId=key, Plaintext=b"x")
    with refused("AccessDeniedException"):
        world.kms("alice").describe_key(KeyId=key)


def test_without_the_account_in_it_identity_policies_count_for_nothing(world: World) -> None:
    world.user("alice", ALL)
    bob = world.user("bob")
    key = world.key(for_principal(bob, "kms:*"))
    with refused("AccessDeniedException", "because no resource-based policy allows the kms:Encrypt action"):
        world.kms("alice").encrypt(KeyId=key, Plaintext=b"x")
    world.kms("bob").encrypt(KeyId=key, Plaintext=b"x")


def test_identity_policy_is_held_to_its_resource(world: World) -> None:
    first, second = world.key(), world.key()
    world.user("alice", statement("kms:Encrypt", resource=first))
    world.kms("alice").encrypt(KeyId=first, Plaintext=b"x")
    with refused("AccessDeniedException", second):
        world.kms("alice").encrypt(KeyId=second, Plaintext=b"x")


def test_reencrypt_needs_both_halves(world: World) -> None:
    first, second = world.key(), world.key()
    blob = world.kms().encrypt(KeyId=first, Plaintext=b"x")["CiphertextBlob"]
    for allowed, missing in (("kms:ReEncryptFrom", "kms:ReEncryptTo"), ("kms:ReEncryptTo", "kms:ReEncryptFrom")):
        world.user("alice", statement(allowed))
        with refused("AccessDeniedException", f"perform: {missing} on"):
            world.kms("alice").re_encrypt(CiphertextBlob=blob, DestinationKeyId=second)
    world.user("alice", statement("kms:ReEncrypt*"))
    assert world.kms("alice").re_encrypt(CiphertextBlob=blob, DestinationKeyId=second)["KeyId"] == second


# condition of an Allow for kms:Encrypt, arguments that satisfy it, arguments that do not
ENCRYPTIONS: list[tuple[str, Document, dict[str, Any], dict[str, Any]]] = [
    (
        "context value",
        {"StringEquals": {"kms:EncryptionContext:tenant": "7"}},
        {"EncryptionContext": CONTEXT},
        {"EncryptionContext": {"tenant": "8"}},
    ),
    (
        "context name without case",
        {"StringEquals": {"kms:EncryptionContext:STAGE": "test"}},
        {"EncryptionContext": CONTEXT},
        {"EncryptionContext": {"Stage": "Test"}},
    ),
    (
        "context names",
        {"ForAllValues:StringEquals": {"kms:EncryptionContextKeys": ["tenant", "Stage"]}},
        {"EncryptionContext": CONTEXT},
        {"EncryptionContext": {"tenant": "7", "stage": "test"}},
    ),
    (
        "context present",
        {"Null": {"kms:EncryptionContextKeys": "false"}},
        {"EncryptionContext": {"a": "b"}},
        {},
    ),
    ("algorithm", {"StringEquals": {"kms:EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}}, {}, {}),
    ("key spec", {"StringEquals": {"kms:KeySpec": "SYMMETRIC_DEFAULT", "kms:KeyUsage": "ENCRYPT_DECRYPT"}}, {}, {}),
    ("origin", {"StringEquals": {"kms:KeyOrigin": "AWS_KMS"}, "Bool": {"kms:MultiRegion": "false"}}, {}, {}),
    ("account", {"StringEquals": {"kms:CallerAccount": ACCOUNT, "aws:PrincipalAccount": ACCOUNT}}, {}, {}),
    ("address", {"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}, {}, {}),
    (
        "name",
        {"StringEquals": {"aws:username": "alice"}, "ArnLike": {"aws:PrincipalArn": "arn:*:*:*:*:user/a*"}},
        {},
        {},
    ),
    ("region", {"StringEquals": {"aws:RequestedRegion": "us-east-1"}}, {}, {}),
    ("time", {"DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}, {}, {}),
]
NEVER: list[tuple[str, Document]] = [
    ("service", {"StringEquals": {"kms:ViaService": "s3.us-east-1.amazonaws.com"}}),
    ("key spec", {"StringEquals": {"kms:KeySpec": "RSA_2048"}}),
    ("address", {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}),
    ("transport", {"Bool": {"aws:SecureTransport": "true"}}),
    ("account", {"StringNotEquals": {"kms:CallerAccount": ACCOUNT}}),
    ("tag", {"StringEquals": {"aws:ResourceTag/stage": "prod"}}),
]


@pytest.mark.parametrize(("name", "condition", "good", "bad"), ENCRYPTIONS, ids=[name for name, *_ in ENCRYPTIONS])
def test_conditions_of_a_key_policy(
    world: World, name: str, condition: Document, good: dict[str, Any], bad: dict[str, Any]
) -> None:
    alice = world.user("alice")
    key = world.key(FOR_ROOT, for_principal(alice, "kms:Encrypt", Condition=condition))
    world.kms("alice").encrypt(KeyId=key, Plaintext=b"x", **good)
    if bad or good:
        with refused("AccessDeniedException", "kms:Encrypt"):
            world.kms("alice").encrypt(KeyId=key, Plaintext=b"x", **bad)


@pytest.mark.parametrize(("name", "condition"), NEVER, ids=[name for name, _ in NEVER])
def test_conditions_that_a_plain_call_cannot_meet(world: World, name: str, condition: Document) -> None:
    alice = world.user("alice")
    key = world.key(FOR_ROOT, for_principal(alice, "kms:Encrypt", Condition=condition))
    with refused("AccessDeniedException", "kms:Encrypt"):
        world.kms("alice").encrypt(KeyId=key, Plaintext=b"x")


def test_conditions_on_tags_aliases_and_windows(world: World) -> None:
    world.user(
        "alice",
        statement("kms:Encrypt", Condition={"StringEquals": {"aws:ResourceTag/stage": "test"}}),
        statement("kms:DescribeKey", Condition={"ForAnyValue:StringEquals": {"kms:ResourceAliases": "alias/a"}}),
        statement("kms:GenerateDataKey", Condition={"StringEquals": {"kms:RequestAlias": "alias/a"}}),
        statement(
            "kms:ScheduleKeyDeletion",
            Condition={"NumericGreaterThanEquals": {"kms:ScheduleKeyDeletionPendingWindowInDays": "14"}},
        ),
    )
    key = world.key()
    kms, alice = world.kms(), world.kms("alice")
    calls: list[Callable[[], Any]] = [
        lambda: alice.encrypt(KeyId=key, Plaintext=b"x"),
        lambda: alice.describe_key(KeyId=key),
        lambda: alice.generate_data_key(KeyId=key, KeySpec="AES_256"),
        lambda: alice.schedule_key_deletion(KeyId=key, PendingWindowInDays=7),
    ]
    for call in calls:
        with refused("AccessDeniedException"):
            call()
    kms.tag_resource(KeyId=key, Tags=[{"TagKey": "stage", "TagValue": "test"}])
    kms.create_alias(AliasName="alias/a", TargetKeyId=key)
    calls[0]()
    calls[1]()
    alice.generate_data_key(KeyId="alias/a", KeySpec="AES_256")
    alice.schedule_key_deletion(KeyId=key, PendingWindowInDays=14)


def test_another_account_needs_both_policies(world: World) -> None:
    other = world.user("other", account=OTHER_ACCOUNT)
    key = world.key(FOR_ROOT, for_principal(other, "kms:Encrypt", "kms:DisableKey"))
    with refused("AccessDeniedException", "no identity-based policy allows the kms:Encrypt action"):
        world.kms("other").encrypt(KeyId=key, Plaintext=b"x")
    world.user("other", ALL, account=OTHER_ACCOUNT)
    world.kms("other").encrypt(KeyId=key, Plaintext=b"x")
    other_kms = world.kms("other")
    calls: list[Callable[[], Any]] = [
        lambda: other_kms.disable_key(KeyId=key),
        lambda: other_kms.describe_key(KeyId=key),
        lambda: other_kms.describe_key(KeyId=key[:-4] + "0000"),
    ]
    for call in calls:
        with refused("AccessDeniedException", "because the resource does not exist in this Region"):
            call()


def test_nothing_tells_a_hidden_key_from_a_missing_one(world: World) -> None:
    world.user("alice", statement("kms:ListKeys"))
    hidden = [world.key(), world.key(for_principal(f"arn:aws:iam::{ACCOUNT}:user/bob", "kms:*"))]
    world.kms().create_alias(AliasName="alias/hidden", TargetKeyId=hidden[0])
    missing = f"{hidden[0][:-12]}000000000000"
    prefix = hidden[0].rpartition("key/")[0]

    def message(identifier: str) -> str:
        with refused("AccessDeniedException") as seen:
            world.kms("alice").describe_key(KeyId=identifier)
        return seen.message.replace(identifier, "IT").replace(f"{prefix}{identifier}", "IT")

    assert len({message(key) for key in (*hidden, missing)}) == 1
    aliases = [f"{prefix}alias/{name}" for name in ("hidden", "missing")]
    assert len({message(alias) for alias in aliases}) == 1
    blobs = [world.kms().encrypt(KeyId=hidden[0], Plaintext=b"x")["CiphertextBlob"]]
    gone = world.key()
    blobs.append(world.kms().encrypt(KeyId=gone, Plaintext=b"x")["CiphertextBlob"])
    found = world.core.registry.keys("aws")
    world.core.registry.remove(next(key for key in found if gone.endswith(key.name.rpartition("/")[2])))
    messages = set()
    for blob in blobs:
        with refused("AccessDeniedException") as seen:
            world.kms("alice").decrypt(CiphertextBlob=blob)
        messages.add(seen.message)
    assert len(messages) == 1


def test_who_may_see_it_learns_that_it_is_missing(world: World) -> None:
    world.user("alice", ALL)
    with refused("NotFoundException"):
        world.kms("alice").describe_key(KeyId=str(uuid.uuid4()))
    with refused("NotFoundException"):
        world.kms("alice").describe_key(KeyId="alias/missing")


LOCKOUT = "The new key policy will not allow you to update the key policy in the future."
BAD_POLICIES = [
    ("{", "not valid JSON"),
    (policy(statement("kms:*")), "either Principal or NotPrincipal"),
    (policy(for_principal("arn:aws:iam::1:user/x", "kms:*")), "invalid principals"),
    (policy(for_principal("arn:aws:iam::*:user/x", "kms:*")), "invalid principals"),
    (policy(FOR_ROOT, for_principal("AIDAEXAMPLE", "kms:*")), "invalid principals"),
    (policy(for_principal(f"arn:aws:iam::{ACCOUNT}:user/bob", "kms:*")), LOCKOUT),
    (policy(for_principal(ROOT, "kms:Encrypt")), LOCKOUT),
    (policy(FOR_ROOT, for_principal("*", "kms:PutKeyPolicy", effect="Deny")), LOCKOUT),
]


@pytest.mark.parametrize(("text", "expected"), BAD_POLICIES)
def test_bad_policy_is_refused_and_changes_nothing(world: World, text: str, expected: str) -> None:
    kms, key = world.kms(), world.key()
    before = kms.get_key_policy(KeyId=key)["Policy"]
    with refused("MalformedPolicyDocumentException", expected):
        kms.put_key_policy(KeyId=key, Policy=text)
    with refused("MalformedPolicyDocumentException", expected):
        kms.create_key(Policy=text)
    assert kms.get_key_policy(KeyId=key)["Policy"] == before
    assert len(kms.list_keys()["Keys"]) == 1


def test_lockout_check_can_be_bypassed_and_asks_for_the_caller(world: World) -> None:
    bob = world.user("bob", ALL)
    only_bob = policy(for_principal(bob, "kms:*"))
    key = world.key()
    world.kms("bob").put_key_policy(KeyId=key, Policy=only_bob)
    with refused("MalformedPolicyDocumentException", LOCKOUT):
        world.kms("bob").put_key_policy(KeyId=key, Policy=policy(for_principal(bob, "kms:Decrypt")))
    world.kms("bob").put_key_policy(
        KeyId=key, Policy=policy(for_principal(bob, "kms:Decrypt")), BypassPolicyLockoutSafetyCheck=True
    )
    with refused("AccessDeniedException", "kms:PutKeyPolicy"):
        world.kms("bob").put_key_policy(KeyId=key, Policy=only_bob)


def test_too_long_a_policy_is_refused(world: World) -> None:
    text = policy(FOR_ROOT, *(for_principal(ROOT, "kms:Decrypt", Sid=f"S{number}") for number in range(400)))
    assert len(text) > 32_768
    with refused("LimitExceededException"):
        world.kms().create_key(Policy=text)


def test_policy_holds_for_pending_deletion_too(world: World) -> None:
    kms, key = world.kms(), world.key()
    kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    kms.put_key_policy(KeyId=key, Policy=policy(FOR_ROOT))
    assert kms.get_key_policy(KeyId=key)["Policy"] == policy(FOR_ROOT)


def test_credentials_over_the_wire_are_those_of_the_world(world: World) -> None:
    arn = world.user("alice")
    credential = world.core.identities.credential(access_key("alice"))
    assert credential is not None
    assert (credential.identity, credential.secret) == (arn, secret("alice"))
    assert secret("alice") not in repr(credential)
