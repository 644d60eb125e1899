"""The AWS shape over a real socket: states, contexts, rotation, aliases, errors in AWS's words."""

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from keystore_api.admin.v1 import admin_pb2
from keystore_api.admin.v1.admin_pb2_grpc import AdminStub
from keystore_api.aws_kms.v1 import aws_kms_pb2 as pb
from keystore_api.aws_kms.v1.aws_kms_pb2_grpc import AwsKmsStub

from tests.emulator.running import refused

DAY_S = 86_400


def create(aws: AwsKmsStub, region: str = "") -> str:
    return aws.CreateKey(pb.CreateKeyRequest(region=region or None)).key_metadata.key_id


def encrypt(aws: AwsKmsStub, key_id: str, plaintext: bytes = b"secret", **context: str) -> bytes:
    request = pb.EncryptRequest(key_id=key_id, plaintext=plaintext, encryption_context=context)
    return aws.Encrypt(request).ciphertext_blob


def decrypt(aws: AwsKmsStub, ciphertext: bytes, key_id: str = "", **context: str) -> bytes:
    request = pb.DecryptRequest(key_id=key_id or None, ciphertext_blob=ciphertext, encryption_context=context)
    return aws.Decrypt(request).plaintext


def state(aws: AwsKmsStub, key_id: str) -> str:
    return aws.DescribeKey(pb.DescribeKeyRequest(key_id=key_id)).key_metadata.key_state


def disable(aws: AwsKmsStub, key_id: str) -> None:
    aws.DisableKey(pb.DisableKeyRequest(key_id=key_id))


def schedule(aws: AwsKmsStub, key_id: str, days: int = 7) -> pb.ScheduleKeyDeletionResponse:
    request = pb.ScheduleKeyDeletionRequest(key_id=key_id, pending_window_in_days=days)
    return aws.ScheduleKeyDeletion(request)


def test_new_key_is_described_as_aws_does(aws: AwsKmsStub) -> None:
    created = aws.CreateKey(pb.CreateKeyRequest(description="mine")).key_metadata
    assert created.arn == f"arn:aws:kms:us-east-1:{created.aws_account_id}:key/{created.key_id}"
    assert (created.key_state, created.enabled, created.description) == ("Enabled", True, "mine")
    assert (created.key_spec, created.key_usage, created.key_manager) == (
        "SYMMETRIC_DEFAULT",
        "ENCRYPT_DECRYPT",
        "CUSTOMER",
    )
    for name in (created.key_id, created.arn):
        assert aws.DescribeKey(pb.DescribeKeyRequest(key_id=name)).key_metadata == created


def test_encrypt_and_decrypt_with_context(aws: AwsKmsStub) -> None:
    key_id = create(aws)
    sealed = encrypt(aws, key_id, a="bc")
    reply = aws.Decrypt(pb.DecryptRequest(ciphertext_blob=sealed, encryption_context={"a": "bc"}))
    assert (reply.plaintext, reply.key_id.endswith(key_id), len(reply.key_material_id)) == (b"secret", True, 64)
    for context in ({"ab": "c"}, {}, {"a": "bc", "d": ""}, {"A": "bc"}):
        with refused("InvalidCiphertextException") as seen:
            decrypt(aws, sealed, **context)
        assert seen.message == ""


def test_tampered_cut_and_foreign_ciphertexts_are_refused(aws: AwsKmsStub) -> None:
    key_id, other = create(aws), create(aws)
    sealed = encrypt(aws, key_id)
    for wrong in (sealed[:-1], sealed[:-1] + bytes([sealed[-1] ^ 1]), b"x" * 80, b"x"):
        with refused("InvalidCiphertextException"):
            decrypt(aws, wrong)
    with refused("IncorrectKeyException"):
        decrypt(aws, sealed, key_id=other)
    with refused("AccessDeniedException"):
        decrypt(aws, sealed[:4] + bytes(16) + sealed[20:])
    assert decrypt(aws, sealed, key_id=key_id) == b"secret"


def test_disabled_key_does_nothing_until_enabled(aws: AwsKmsStub) -> None:
    key_id = create(aws)
    sealed = encrypt(aws, key_id)
    disable(aws, key_id)
    assert state(aws, key_id) == "Disabled"
    with refused("DisabledException") as seen:
        decrypt(aws, sealed)
    assert (seen.status, seen.message.endswith(" is disabled.")) == (grpc.StatusCode.FAILED_PRECONDITION, True)
    with refused("DisabledException"):
        encrypt(aws, key_id)
    with refused("DisabledException"):
        aws.GenerateDataKey(pb.GenerateDataKeyRequest(key_id=key_id, key_spec="AES_256"))
    with refused("DisabledException"):
        aws.RotateKeyOnDemand(pb.RotateKeyOnDemandRequest(key_id=key_id))
    aws.EnableKey(pb.EnableKeyRequest(key_id=key_id))
    assert decrypt(aws, sealed) == b"secret"


@pytest.mark.row("R60")
def test_deletion_is_scheduled_cancelled_and_comes(aws: AwsKmsStub, admin: AdminStub) -> None:
    key_id = create(aws)
    sealed = encrypt(aws, key_id)
    reply = schedule(aws, key_id)
    assert (reply.key_state, reply.pending_window_in_days) == ("PendingDeletion", 7)
    with refused("KMSInvalidStateException") as seen:
        decrypt(aws, sealed)
    assert seen.message.endswith(" is pending deletion.")
    for refuse in (
        lambda: schedule(aws, key_id),
        lambda: aws.EnableKey(pb.EnableKeyRequest(key_id=key_id)),
        lambda: disable(aws, key_id),
        lambda: aws.UpdateKeyDescription(pb.UpdateKeyDescriptionRequest(key_id=key_id, description="x")),
        lambda: aws.CreateAlias(pb.CreateAliasRequest(alias_name="alias/x", target_key_id=key_id)),
    ):
        with refused("KMSInvalidStateException"):
            refuse()
    aws.CancelKeyDeletion(pb.CancelKeyDeletionRequest(key_id=key_id))
    assert state(aws, key_id) == "Disabled"
    with refused("KMSInvalidStateException"):
        aws.CancelKeyDeletion(pb.CancelKeyDeletionRequest(key_id=key_id))

    schedule(aws, key_id)
    admin.AdvanceClock(admin_pb2.AdvanceClockRequest(by=Duration(seconds=7 * DAY_S - 60)))
    assert state(aws, key_id) == "PendingDeletion"
    admin.AdvanceClock(admin_pb2.AdvanceClockRequest(by=Duration(seconds=60)))
    with refused("NotFoundException") as gone:
        state(aws, key_id)
    assert gone.message.endswith(f"{key_id}' does not exist")
    with refused("AccessDeniedException"):
        decrypt(aws, sealed)


@pytest.mark.parametrize("days", [1, 6, 31, -1])
def test_deletion_window_has_bounds(aws: AwsKmsStub, days: int) -> None:
    key_id = create(aws)
    with refused("ValidationException"):
        schedule(aws, key_id, days)
    assert state(aws, key_id) == "Enabled"


@pytest.mark.row("R35")
def test_rotation_keeps_id_and_old_material(aws: AwsKmsStub) -> None:
    key_id = create(aws)
    old = encrypt(aws, key_id)
    aws.RotateKeyOnDemand(pb.RotateKeyOnDemandRequest(key_id=key_id))
    new = encrypt(aws, key_id)
    assert (decrypt(aws, old), decrypt(aws, new)) == (b"secret", b"secret")
    ids = [aws.Decrypt(pb.DecryptRequest(ciphertext_blob=sealed)).key_material_id for sealed in (old, new)]
    every = pb.ListKeyRotationsRequest(key_id=key_id, include_key_material="ALL_KEY_MATERIAL")
    listed = aws.ListKeyRotations(every).rotations
    assert [(entry.key_material_id, entry.key_material_state) for entry in listed] == [
        (ids[1], "CURRENT"),
        (ids[0], "NON_CURRENT"),
    ]
    assert len(aws.ListKeyRotations(pb.ListKeyRotationsRequest(key_id=key_id)).rotations) == 1


def test_rotations_are_limited(aws: AwsKmsStub) -> None:
    key_id = create(aws)
    for _ in range(25):
        aws.RotateKeyOnDemand(pb.RotateKeyOnDemandRequest(key_id=key_id))
    with refused("LimitExceededException"):
        aws.RotateKeyOnDemand(pb.RotateKeyOnDemandRequest(key_id=key_id))


def test_aliases(aws: AwsKmsStub) -> None:
    one, two = create(aws), create(aws)
    aws.CreateAlias(pb.CreateAliasRequest(alias_name="alias/app", target_key_id=one))
    with refused("AlreadyExistsException"):
        aws.CreateAlias(pb.CreateAliasRequest(alias_name="alias/app", target_key_id=two))
    sealed = encrypt(aws, "alias/app")
    arn = aws.ListAliases(pb.ListAliasesRequest(key_id=one)).aliases[0].alias_arn
    assert decrypt(aws, sealed, key_id=arn) == b"secret"
    aws.UpdateAlias(pb.UpdateAliasRequest(alias_name="alias/app", target_key_id=two))
    with refused("IncorrectKeyException"):
        decrypt(aws, sealed, key_id="alias/app")
    with refused("NotFoundException"):
        aws.DisableKey(pb.DisableKeyRequest(key_id="alias/app"))
    aws.DeleteAlias(pb.DeleteAliasRequest(alias_name="alias/app"))
    with refused("NotFoundException") as seen:
        encrypt(aws, "alias/app")
    assert seen.message.endswith(":alias/app is not found.")
    with refused("ValidationException"):
        aws.CreateAlias(pb.CreateAliasRequest(alias_name="app", target_key_id=one))


def test_regions_are_apart(aws: AwsKmsStub) -> None:
    key_id = create(aws, "eu-west-1")
    request = pb.EncryptRequest(region="eu-west-1", key_id=key_id, plaintext=b"secret")
    sealed = aws.Encrypt(request).ciphertext_blob
    with refused("NotFoundException"):
        encrypt(aws, key_id)
    with refused("AccessDeniedException"):
        decrypt(aws, sealed)
    assert aws.Decrypt(pb.DecryptRequest(region="eu-west-1", ciphertext_blob=sealed)).plaintext == b"secret"
    assert [key.key_id for key in aws.ListKeys(pb.ListKeysRequest(region="eu-west-1")).keys] == [key_id]
    assert not aws.ListKeys(pb.ListKeysRequest()).keys
    with refused("ValidationException"):
        create(aws, "nowhere")


def test_data_keys_and_re_encrypt(aws: AwsKmsStub) -> None:
    one, two = create(aws), create(aws)
    made = aws.GenerateDataKey(pb.GenerateDataKeyRequest(key_id=one, key_spec="AES_256", encryption_context={"a": "b"}))
    assert len(made.plaintext) == 32
    moved = aws.ReEncrypt(
        pb.ReEncryptRequest(
            ciphertext_blob=made.ciphertext_blob,
            source_encryption_context={"a": "b"},
            destination_key_id=two,
            destination_encryption_context={"c": "d"},
        )
    )
    assert decrypt(aws, moved.ciphertext_blob, key_id=two, c="d") == made.plaintext
    with refused("ValidationException"):
        aws.GenerateDataKey(pb.GenerateDataKeyRequest(key_id=one))


@pytest.mark.parametrize("length", [0, 4097])
def test_plaintext_has_bounds(aws: AwsKmsStub, length: int) -> None:
    key_id = create(aws)
    with refused("ValidationException"):
        encrypt(aws, key_id, bytes(length))
    assert decrypt(aws, encrypt(aws, key_id, bytes(4096))) == bytes(4096)


@pytest.mark.parametrize(
    ("identifier", "code"),
    [
        ("", "ValidationException"),
        ("no-uuid", "NotFoundException"),
        ("00000000-0000-4000-8000-000000000000", "NotFoundException"),
        ("arn:aws:kms:eu-west-1:111122223333:key/00000000-0000-4000-8000-000000000000", "NotFoundException"),
        ("arn:aws:s3:::bucket", "InvalidArnException"),
        ("alias/none", "NotFoundException"),
    ],
)
def test_unknown_keys(aws: AwsKmsStub, identifier: str, code: str) -> None:
    with refused(code):
        state(aws, identifier)


def test_dry_run_changes_nothing(aws: AwsKmsStub) -> None:
    key_id = create(aws)
    with refused("DryRunOperationException"):
        aws.Encrypt(pb.EncryptRequest(key_id=key_id, plaintext=b"x", dry_run=True))
    disable(aws, key_id)
    with refused("DisabledException"):
        aws.Encrypt(pb.EncryptRequest(key_id=key_id, plaintext=b"x", dry_run=True))


def test_lists_come_in_pages(aws: AwsKmsStub) -> None:
    created = {create(aws) for _ in range(7)}
    found: list[str] = []
    marker = ""
    for _ in range(4):
        reply = aws.ListKeys(pb.ListKeysRequest(limit=2, marker=marker or None))
        found += [key.key_id for key in reply.keys]
        marker = reply.next_marker
    assert (len(found), set(found), marker) == (7, created, "")


def test_what_is_not_emulated_says_so(aws: AwsKmsStub) -> None:
    with refused("UnsupportedOperationException"):
        aws.CreateKey(pb.CreateKeyRequest(key_spec="SM2", key_usage="SIGN_VERIFY"))
