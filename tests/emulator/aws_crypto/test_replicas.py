"""Multi-Region keys: one id and material in several Regions, one primary, and deletion in the right order."""

import os
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.emulator.aws_crypto.importing import import_material
from tests.emulator.aws_crypto.keys import advance, create, public, state
from tests.emulator.aws_http.clients import client, refused
from tests.emulator.running import Running

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_kms.type_defs import TagTypeDef

FAR = "eu-west-1"


@pytest.fixture
def at(url: str) -> "Callable[[str], KMSClient]":
    return lambda region: client(url, region)


@pytest.fixture
def far(url: str) -> "KMSClient":
    return client(url, FAR)


def family(kms: "KMSClient") -> str:
    """Create a primary here and a replica far away; return their id."""
    primary = create(kms, MultiRegion=True)
    kms.replicate_key(KeyId=primary, ReplicaRegion=FAR)
    return primary.rpartition("/")[2]


def roles(kms: "KMSClient", key_id: str) -> tuple[str, str, list[str]]:
    found = kms.describe_key(KeyId=key_id)["KeyMetadata"]["MultiRegionConfiguration"]
    return (
        found["MultiRegionKeyType"],
        found["PrimaryKey"]["Region"],
        [replica["Region"] for replica in found["ReplicaKeys"]],
    )


def test_replica_is_described_and_opens_what_the_primary_sealed(kms: "KMSClient", far: "KMSClient") -> None:
    primary = create(kms, MultiRegion=True, Description="here")
    key_id = primary.rpartition("/")[2]
    assert key_id.startswith("mrk-")
    assert roles(kms, key_id) == ("PRIMARY", "us-east-1", [])
    tags: list[TagTypeDef] = [{"TagKey": "where", "TagValue": "far"}]
    made = kms.replicate_key(KeyId=primary, ReplicaRegion=FAR, Description="there", Tags=tags)
    found = made["ReplicaKeyMetadata"]
    assert (found["KeyId"], found["Arn"]) == (key_id, primary.replace("us-east-1", FAR))
    assert (found["Description"], found["KeyState"], found["MultiRegion"]) == ("there", "Enabled", True)
    assert made["ReplicaTags"] == tags
    assert roles(kms, key_id) == ("PRIMARY", "us-east-1", [FAR])
    assert roles(far, key_id) == ("REPLICA", "us-east-1", [FAR])

    here = kms.encrypt(KeyId=key_id, Plaintext=b"secret", EncryptionContext={"a": "b"})["CiphertextBlob"]
    opened = far.decrypt(CiphertextBlob=here, EncryptionContext={"a": "b"})
    assert (opened["Plaintext"], opened["KeyId"]) == (b"secret", found["Arn"])
    there = far.encrypt(KeyId=key_id, Plaintext=b"back")["CiphertextBlob"]
    assert kms.decrypt(CiphertextBlob=there)["Plaintext"] == b"back"


def test_every_kind_is_the_same_key_everywhere(kms: "KMSClient", far: "KMSClient") -> None:
    signing = create(kms, "ECC_NIST_P256", "SIGN_VERIFY", MultiRegion=True).rpartition("/")[2]
    kms.replicate_key(KeyId=signing, ReplicaRegion=FAR)
    assert public(kms, signing) == public(far, signing)
    mac = create(kms, "HMAC_256", "GENERATE_VERIFY_MAC", MultiRegion=True).rpartition("/")[2]
    kms.replicate_key(KeyId=mac, ReplicaRegion=FAR)
    code = kms.generate_mac(KeyId=mac, Message=b"x", MacAlgorithm="HMAC_SHA_256")["Mac"]
    assert far.verify_mac(KeyId=mac, Message=b"x", MacAlgorithm="HMAC_SHA_256", Mac=code)["MacValid"]


def test_rotation_of_the_primary_is_every_replica_s(kms: "KMSClient", far: "KMSClient") -> None:
    key_id = family(kms)
    old = far.encrypt(KeyId=key_id, Plaintext=b"old")["CiphertextBlob"]
    with refused("UnsupportedOperationException"):
        far.rotate_key_on_demand(KeyId=key_id)
    kms.rotate_key_on_demand(KeyId=key_id)
    materials = {side.describe_key(KeyId=key_id)["KeyMetadata"]["CurrentKeyMaterialId"] for side in (kms, far)}
    assert len(materials) == 1
    new = far.encrypt(KeyId=key_id, Plaintext=b"new")["CiphertextBlob"]
    for side in (kms, far):
        assert side.decrypt(CiphertextBlob=new)["Plaintext"] == b"new"
        assert side.decrypt(CiphertextBlob=old)["Plaintext"] == b"old"


def test_state_is_each_key_s_own(kms: "KMSClient", far: "KMSClient") -> None:
    key_id = family(kms)
    sealed = kms.encrypt(KeyId=key_id, Plaintext=b"secret")["CiphertextBlob"]
    kms.disable_key(KeyId=key_id)
    with refused("DisabledException"):
        kms.decrypt(CiphertextBlob=sealed)
    assert far.decrypt(CiphertextBlob=sealed)["Plaintext"] == b"secret"
    with refused("DisabledException"):
        kms.replicate_key(KeyId=key_id, ReplicaRegion="ap-southeast-2")


def test_what_cannot_be_replicated(kms: "KMSClient", far: "KMSClient") -> None:
    with refused("UnsupportedOperationException"):
        kms.replicate_key(KeyId=create(kms), ReplicaRegion=FAR)
    key_id = family(kms)
    with refused("UnsupportedOperationException"):
        far.replicate_key(KeyId=key_id, ReplicaRegion="ap-southeast-2")
    for region in (FAR, "us-east-1"):
        with refused("AlreadyExistsException"):
            kms.replicate_key(KeyId=key_id, ReplicaRegion=region)
    kms.schedule_key_deletion(KeyId=key_id)
    with refused("KMSInvalidStateException", f"{arn(kms, key_id)} is pending replica deletion."):
        kms.replicate_key(KeyId=key_id, ReplicaRegion="ap-southeast-2")


def arn(kms: "KMSClient", key_id: str) -> str:
    return kms.describe_key(KeyId=key_id)["KeyMetadata"]["Arn"]


def test_primary_moves(kms: "KMSClient", far: "KMSClient") -> None:
    key_id = family(kms)
    with refused("NotFoundException"):
        kms.update_primary_region(KeyId=key_id, PrimaryRegion="ap-southeast-2")
    with refused("UnsupportedOperationException"):
        kms.update_primary_region(KeyId=key_id, PrimaryRegion="us-east-1")
    with refused("UnsupportedOperationException"):
        far.update_primary_region(KeyId=key_id, PrimaryRegion=FAR)
    kms.update_primary_region(KeyId=key_id, PrimaryRegion=FAR)
    assert roles(kms, key_id) == ("REPLICA", FAR, ["us-east-1"])
    assert roles(far, key_id) == ("PRIMARY", FAR, ["us-east-1"])
    far.rotate_key_on_demand(KeyId=key_id)
    sealed = far.encrypt(KeyId=key_id, Plaintext=b"x")["CiphertextBlob"]
    assert kms.decrypt(CiphertextBlob=sealed)["Plaintext"] == b"x"
    kms.disable_key(KeyId=key_id)
    with refused("DisabledException"):
        far.update_primary_region(KeyId=key_id, PrimaryRegion="us-east-1")


def test_primary_is_deleted_after_its_last_replica(
    kms: "KMSClient", far: "KMSClient", at: "Callable[[str], KMSClient]", running: Running
) -> None:
    key_id, other = family(kms), at("ap-southeast-2")
    kms.replicate_key(KeyId=key_id, ReplicaRegion="ap-southeast-2")
    scheduled = kms.schedule_key_deletion(KeyId=key_id, PendingWindowInDays=10)
    assert (scheduled["KeyState"], "DeletionDate" in scheduled) == ("PendingReplicaDeletion", False)
    found = kms.describe_key(KeyId=key_id)["KeyMetadata"]
    assert (found["KeyState"], found["PendingDeletionWindowInDays"]) == ("PendingReplicaDeletion", 10)
    assert "DeletionDate" not in found
    with refused("KMSInvalidStateException", f"{found['Arn']} is pending replica deletion."):
        kms.encrypt(KeyId=key_id, Plaintext=b"x")

    advance(running, timedelta(days=400))
    assert state(kms, key_id) == "PendingReplicaDeletion"
    far.schedule_key_deletion(KeyId=key_id, PendingWindowInDays=7)
    other.schedule_key_deletion(KeyId=key_id, PendingWindowInDays=8)
    advance(running, timedelta(days=7, seconds=1))
    with refused("NotFoundException"):
        far.describe_key(KeyId=key_id)
    assert state(kms, key_id) == "PendingReplicaDeletion"
    advance(running, timedelta(days=2))
    assert state(kms, key_id) == "PendingDeletion"
    # The window began when the last replica went, a day ago.
    advance(running, timedelta(days=9, seconds=1))
    with refused("NotFoundException"):
        kms.describe_key(KeyId=key_id)


def test_everything_is_gone_after_one_long_move_of_the_clock(
    kms: "KMSClient", far: "KMSClient", running: Running
) -> None:
    key_id = family(kms)
    kms.schedule_key_deletion(KeyId=key_id, PendingWindowInDays=30)
    far.schedule_key_deletion(KeyId=key_id, PendingWindowInDays=7)
    advance(running, timedelta(days=36))
    assert state(kms, key_id) == "PendingDeletion"
    advance(running, timedelta(days=2))
    assert kms.list_keys()["Keys"] == []
    assert far.list_keys()["Keys"] == []


def test_deletion_of_a_primary_can_be_cancelled(kms: "KMSClient") -> None:
    key_id = family(kms)
    kms.schedule_key_deletion(KeyId=key_id)
    with refused("KMSInvalidStateException"):
        kms.schedule_key_deletion(KeyId=key_id)
    kms.cancel_key_deletion(KeyId=key_id)
    assert state(kms, key_id) == "Disabled"


def test_deleted_replica_can_be_made_again(kms: "KMSClient", far: "KMSClient", running: Running) -> None:
    key_id = family(kms)
    sealed = far.encrypt(KeyId=key_id, Plaintext=b"secret")["CiphertextBlob"]
    far.schedule_key_deletion(KeyId=key_id, PendingWindowInDays=7)
    with refused("AlreadyExistsException"):
        kms.replicate_key(KeyId=key_id, ReplicaRegion=FAR)
    advance(running, timedelta(days=7, seconds=1))
    kms.replicate_key(KeyId=key_id, ReplicaRegion=FAR)
    assert far.decrypt(CiphertextBlob=sealed)["Plaintext"] == b"secret"


def test_imported_material_must_be_imported_everywhere(kms: "KMSClient", far: "KMSClient") -> None:
    first, second = os.urandom(32), os.urandom(32)
    key_id = create(kms, MultiRegion=True, Origin="EXTERNAL").rpartition("/")[2]
    with refused("KMSInvalidStateException"):
        kms.replicate_key(KeyId=key_id, ReplicaRegion=FAR)
    import_material(kms, key_id, first)
    kms.replicate_key(KeyId=key_id, ReplicaRegion=FAR)
    assert state(far, key_id) == "PendingImport"
    with refused("IncorrectKeyMaterialException"):
        import_material(far, key_id, second)
    with refused("UnsupportedOperationException"):
        import_material(far, key_id, second, ImportType="NEW_KEY_MATERIAL")
    import_material(far, key_id, first)
    sealed = kms.encrypt(KeyId=key_id, Plaintext=b"secret")["CiphertextBlob"]
    assert far.decrypt(CiphertextBlob=sealed)["Plaintext"] == b"secret"

    import_material(kms, key_id, second, ImportType="NEW_KEY_MATERIAL")
    assert (state(kms, key_id), state(far, key_id)) == ("Enabled", "Enabled")
    states = [
        entry["KeyMaterialState"]
        for entry in kms.list_key_rotations(KeyId=key_id, IncludeKeyMaterial="ALL_KEY_MATERIAL")["Rotations"]
    ]
    assert sorted(states) == ["CURRENT", "PENDING_MULTI_REGION_IMPORT_AND_ROTATION"]
    with refused("KMSInvalidStateException"):
        kms.rotate_key_on_demand(KeyId=key_id)
    import_material(far, key_id, second)
    kms.rotate_key_on_demand(KeyId=key_id)
    for here, there in ((kms, far), (far, kms)):
        sealed = here.encrypt(KeyId=key_id, Plaintext=b"new")["CiphertextBlob"]
        assert there.decrypt(CiphertextBlob=sealed)["Plaintext"] == b"new"
