"""STS through boto3: who am I, roles and their trust, sessions that end when the clock moves."""

import datetime
from typing import Any

import boto3
import pytest

from kms_emulator.model.identities import SESSIONS_MAX, Credential, Identities
from kms_emulator.model.store import MemoryStore
from tests.emulator.aws_iam.world import (
    ACCOUNT,
    FOR_ROOT,
    ROOT,
    World,
    for_principal,
    policy,
    refused,
    secret,
    statement,
)

MINUTE_NS = 60_000_000_000
ASSUME = statement("sts:AssumeRole")


def assume(world: World, role: str, name: str = "", **more: Any) -> dict[str, str]:
    """Assume a role as a user; return the credentials as boto3 takes them."""
    arguments = {"RoleArn": role, "RoleSessionName": "tester", **more}
    found = world.sts(name).assume_role(**arguments)["Credentials"]
    return {
        "aws_access_key_id": found["AccessKeyId"],
        "aws_secret_access_key": found["SecretAccessKey"],
        "aws_session_token": found["SessionToken"],
    }


def advance(world: World, minutes: int) -> None:
    world.core.set_clock(world.core.clock.advance(minutes * MINUTE_NS))


def test_who_am_i(world: World) -> None:
    arn = world.user("alice")
    found = world.sts("alice").get_caller_identity()
    assert (found["Arn"], found["Account"]) == (arn, ACCOUNT)
    assert found["UserId"].startswith("AIDA")
    stranger = world.sts().get_caller_identity()
    assert (stranger["Arn"], stranger["Account"], stranger["UserId"]) == (ROOT, ACCOUNT, ACCOUNT)


def test_session_has_the_roles_permissions_and_not_the_users(world: World) -> None:
    alice = world.user("alice", ASSUME)
    role = world.role("app", alice, statement("kms:Encrypt"))
    key = world.key()
    session = assume(world, role, "alice")
    assert session["aws_access_key_id"].startswith("ASIA")
    found = world.sts(**session).get_caller_identity()
    arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/app/tester"
    assert (found["Arn"], found["UserId"].endswith(":tester")) == (arn, True)
    world.kms(**session).encrypt(KeyId=key, Plaintext=b"x")
    with refused("AccessDeniedException", f"User: {arn} is not authorized to perform: kms:DescribeKey"):
        world.kms(**session).describe_key(KeyId=key)
    with refused("AccessDeniedException"):
        world.kms("alice").encrypt(KeyId=key, Plaintext=b"x")


def test_key_policy_and_grant_may_name_role_or_session(world: World) -> None:
    role = world.role("app", ROOT)
    arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/app/tester"
    by_role = world.key(FOR_ROOT, for_principal(role, "kms:Encrypt"))
    by_session = world.key(FOR_ROOT, for_principal(arn, "kms:Encrypt"))
    by_grant = world.key()
    world.kms().create_grant(KeyId=by_grant, GranteePrincipal=role, Operations=["Encrypt"])
    session, other = assume(world, role), assume(world, role, RoleSessionName="other")
    for key in (by_role, by_session, by_grant):
        world.kms(**session).encrypt(KeyId=key, Plaintext=b"x")
    with refused("AccessDeniedException", "kms:Encrypt"):
        world.kms(**other).encrypt(KeyId=by_session, Plaintext=b"x")
    condition = {"ArnEquals": {"aws:PrincipalArn": role}}
    conditional = world.key(FOR_ROOT, for_principal("*", "kms:Encrypt", Condition=condition))
    world.kms(**other).encrypt(KeyId=conditional, Plaintext=b"x")


def test_session_ends_when_the_clock_moves(world: World) -> None:
    role = world.role("app", ROOT, statement("kms:*"))
    session = assume(world, role, DurationSeconds=900)
    world.kms(**session).list_keys()
    advance(world, 14)
    world.kms(**session).list_keys()
    advance(world, 1)
    with refused("ExpiredTokenException", "The security token included in the request is expired"):
        world.kms(**session).list_keys()
    with refused("ExpiredToken") as seen:
        world.sts(**session).get_caller_identity()
    assert seen.status == 403
    assert assume(world, role) != session


def test_expiration_is_told_in_virtual_time(world: World) -> None:
    advance(world, 60 * 24 * 400)
    now = datetime.datetime.fromtimestamp(world.core.now_ns() / 1e9, datetime.UTC)
    role = world.role("app", ROOT)
    found = world.sts().assume_role(RoleArn=role, RoleSessionName="tester", DurationSeconds=1800)
    assert abs((found["Credentials"]["Expiration"] - now).total_seconds() - 1800) < 60


def test_token_is_part_of_the_credentials(world: World) -> None:
    session = assume(world, world.role("app", ROOT, statement("kms:*")))
    for token in ({"aws_session_token": "wrong"}, {}):
        bare = {name: value for name, value in session.items() if name != "aws_session_token"}
        with refused("UnrecognizedClientException"):
            world.kms(**{**bare, **token}).list_keys()
    with refused("InvalidSignatureException"):
        world.kms(**{**session, "aws_secret_access_key": "wrong"}).list_keys()


def test_removed_role_ends_its_sessions(world: World) -> None:
    role = world.role("app", ROOT, statement("kms:*"))
    session = assume(world, role)
    world.core.identities.remove(role)
    with refused("UnrecognizedClientException"):
        world.kms(**session).list_keys()


TRUST = [
    ("named", "alice", [], True),
    ("its account, and allowed", ROOT, [ASSUME], True),
    ("its account, and not allowed", ROOT, [], False),
    ("somebody else", "bob", [ASSUME], False),
    ("named, and denied", "alice", [statement("sts:AssumeRole", effect="Deny")], False),
]


@pytest.mark.parametrize(("name", "trusted", "statements", "allowed"), TRUST, ids=[name for name, *_ in TRUST])
def test_trust(world: World, name: str, trusted: str, statements: list[Any], allowed: bool) -> None:
    alice = world.user("alice", *statements)
    users = {"alice": alice, "bob": world.user("bob")}
    role = world.role("app", users.get(trusted, trusted))
    if allowed:
        assume(world, role, "alice")
    else:
        with refused(
            "AccessDenied", f"User: {alice} is not authorized to perform: sts:AssumeRole on resource: {role}"
        ) as seen:
            assume(world, role, "alice")
        assert seen.status == 403


def test_external_id(world: World) -> None:
    alice = world.user("alice")
    role = world.role("app", alice, Condition={"StringEquals": {"sts:ExternalId": "1234"}})
    with refused("AccessDenied"):
        assume(world, role, "alice")
    assume(world, role, "alice", ExternalId="1234")


def test_session_policy_takes_away_and_never_adds(world: World) -> None:
    role = world.role("app", ROOT, statement("kms:Encrypt", "kms:DescribeKey"))
    key = world.key(FOR_ROOT, for_principal(role, "kms:GenerateDataKey"))
    session = assume(world, role, Policy=policy(statement("kms:Encrypt", "kms:Decrypt")))
    world.kms(**session).encrypt(KeyId=key, Plaintext=b"x")
    with refused("AccessDeniedException", "no session policy allows the kms:DescribeKey action"):
        world.kms(**session).describe_key(KeyId=key)
    with refused("AccessDeniedException", "no session policy allows the kms:GenerateDataKey action"):
        world.kms(**session).generate_data_key(KeyId=key, KeySpec="AES_256")
    blob = world.kms().encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    with refused("AccessDeniedException", "no identity-based policy allows the kms:Decrypt action"):
        world.kms(**session).decrypt(KeyId=key, CiphertextBlob=blob)


def test_unknown_role_of_an_unknown_caller_is_lent_and_of_a_known_one_refused(world: World) -> None:
    role = f"arn:aws:iam::{ACCOUNT}:role/nobody-made-it"
    session = assume(world, role)
    found = world.sts(**session).get_caller_identity()
    assert found["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/nobody-made-it/tester"
    world.kms(**session).describe_key(KeyId=world.key())
    world.user("alice", ASSUME)
    with refused("AccessDenied"):
        assume(world, role, "alice")


def test_role_from_a_role_lasts_an_hour_at_most(world: World) -> None:
    first = world.role("first", ROOT, ASSUME)
    second = world.role("second", first)
    session = assume(world, first)
    sts = world.sts(**session)
    sts.assume_role(RoleArn=second, RoleSessionName="tester", DurationSeconds=3600)
    with refused("ValidationError", "role chaining"):
        sts.assume_role(RoleArn=second, RoleSessionName="tester", DurationSeconds=3601)


BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"RoleArn": f"arn:aws:iam::{ACCOUNT}:user/alice"}, "ValidationError", "is invalid"),
    ({"RoleSessionName": "a b"}, "ValidationError", "roleSessionName"),
    ({"DurationSeconds": 901 - 2}, "ValidationError", "greater than or equal to 900"),
    ({"DurationSeconds": 43_201}, "ValidationError", "less than or equal to 43200"),
    ({"DurationSeconds": 7201}, "ValidationError", "MaxSessionDuration"),
    ({"Policy": "{"}, "MalformedPolicyDocument", "not valid JSON"),
    ({"PolicyArns": [{"arn": "arn:aws:iam::aws:policy/ReadOnlyAccess"}]}, "ValidationError", "not emulated"),
]


@pytest.mark.parametrize(("change", "code", "part"), BAD)
def test_bad_request_is_refused(world: World, change: dict[str, Any], code: str, part: str) -> None:
    role = world.role("app", ROOT)
    arguments = {"RoleArn": role, "RoleSessionName": "tester", **change}
    with refused(code, part) as seen:
        world.sts().assume_role(**arguments)
    assert seen.status == 400


def test_session_token_of_a_user(world: World) -> None:
    arn = world.user("alice", statement("kms:ListKeys"))
    found = world.sts("alice").get_session_token(DurationSeconds=900)["Credentials"]
    session = {
        "aws_access_key_id": found["AccessKeyId"],
        "aws_secret_access_key": found["SecretAccessKey"],
        "aws_session_token": found["SessionToken"],
    }
    assert world.sts(**session).get_caller_identity()["Arn"] == arn
    world.kms(**session).list_keys()
    with refused("AccessDeniedException", "kms:CreateKey"):
        world.kms(**session).create_key()
    advance(world, 15)
    with refused("ExpiredTokenException"):
        world.kms(**session).list_keys()


def test_errors_in_the_words_of_sts(world: World) -> None:
    world.user("alice")
    wrong = {"aws_access_key_id": "AKIAALICEXXXXXXX", "aws_secret_access_key": "wrong"}
    with refused("SignatureDoesNotMatch") as seen:
        world.sts(**wrong).get_caller_identity()
    assert seen.status == 403
    assert secret("alice") not in seen.message
    world.core.strict_auth = True
    with refused("InvalidClientTokenId", "The security token included in the request is invalid.") as seen:
        world.sts().get_caller_identity()
    assert seen.status == 403


def test_what_is_not_served_is_an_invalid_action(world: World) -> None:
    with refused("InvalidAction", "Could not find operation DecodeAuthorizationMessage for version 2011-06-15"):
        world.sts().decode_authorization_message(EncodedMessage="x")


def test_profile_of_sdks_assumes_by_itself(world: World, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    alice = world.user("alice")
    role = world.role("app", alice, statement("kms:Encrypt"))
    key = world.key()
    config = tmp_path / "config"
    config.write_text(
        f"[profile base]\naws_access_key_id = AKIAALICEXXXXXXX\naws_secret_access_key = {secret('alice')}\n"
        f"[profile app]\nrole_arn = {role}\nsource_profile = base\nregion = us-east-1\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_ENDPOINT_URL", str(world.url))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    kms = boto3.session.Session(profile_name="app").client("kms")
    assert kms.encrypt(KeyId=key, Plaintext=b"x")["KeyId"] == key


def test_sessions_are_bounded() -> None:
    identities = Identities(MemoryStore(), [], [])
    for number in range(SESSIONS_MAX + 5):
        identities.issue(Credential(f"ASIA{number}", "s", "r", "p", ACCOUNT, 0, expires_ns=number))
    assert identities.credential("ASIA4") is None
    assert identities.credential("ASIA5") is not None


def test_a_session_of_nobody_does_not_outlive_the_days_without_strict_authentication(world: World) -> None:
    answer = world.sts().get_session_token()["Credentials"]
    session = {
        "aws_access_key_id": answer["AccessKeyId"],
        "aws_secret_access_key": answer["SecretAccessKey"],
        "aws_session_token": answer["SessionToken"],
    }
    assert world.kms(**session).list_keys()["Keys"] == []
    world.core.strict_auth = True
    with refused("UnrecognizedClientException", "The security token included in the request is invalid."):
        world.kms(**session).list_keys()
