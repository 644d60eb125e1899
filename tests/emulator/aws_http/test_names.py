"""Tags, aliases and descriptions through boto3, and the keys that AWS manages."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from tests.emulator.aws_http.clients import refused

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient


@pytest.fixture
def key(kms: "KMSClient") -> Any:
    return kms.create_key(Tags=[{"TagKey": "team", "TagValue": "blue"}])["KeyMetadata"]


def tags(kms: "KMSClient", key: Any) -> dict[str, str]:
    return {tag["TagKey"]: tag["TagValue"] for tag in kms.list_resource_tags(KeyId=key["KeyId"])["Tags"]}


def test_tags_are_added_changed_and_taken_away(kms: "KMSClient", key: Any) -> None:
    kms.tag_resource(KeyId=key["Arn"], Tags=[{"TagKey": "team", "TagValue": "red"}, {"TagKey": "Team", "TagValue": ""}])
    assert tags(kms, key) == {"team": "red", "Team": ""}
    kms.untag_resource(KeyId=key["KeyId"], TagKeys=["team", "none"])
    assert tags(kms, key) == {"Team": ""}
    assert kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"] == key


@pytest.mark.parametrize("names", [["a", "a"], ["aws:a"], ["AWS:a"]])
def test_tags_that_are_no_tags(kms: "KMSClient", key: Any, names: list[str]) -> None:
    wrong: Any = [{"TagKey": name, "TagValue": "x"} for name in names]
    attempts: list[Callable[[], object]] = [
        lambda: kms.tag_resource(KeyId=key["KeyId"], Tags=wrong),
        lambda: kms.create_key(Tags=wrong),
        lambda: kms.untag_resource(KeyId=key["KeyId"], TagKeys=names),
    ]
    for attempt in attempts:
        with refused("TagException"):
            attempt()
    assert tags(kms, key) == {"team": "blue"}


def test_a_key_has_at_most_50_tags(kms: "KMSClient", key: Any) -> None:
    many: Any = [{"TagKey": str(number), "TagValue": ""} for number in range(50)]
    with refused("LimitExceededException"):
        kms.tag_resource(KeyId=key["KeyId"], Tags=many)
    kms.tag_resource(KeyId=key["KeyId"], Tags=many[:49])
    assert len(tags(kms, key)) == 50


def test_tags_of_a_key_pending_deletion_can_be_read_only(kms: "KMSClient", key: Any) -> None:
    kms.schedule_key_deletion(KeyId=key["KeyId"])
    attempts: list[Callable[[], object]] = [
        lambda: kms.tag_resource(KeyId=key["KeyId"], Tags=[{"TagKey": "a", "TagValue": "b"}]),
        lambda: kms.untag_resource(KeyId=key["KeyId"], TagKeys=["team"]),
    ]
    for attempt in attempts:
        with refused("KMSInvalidStateException"):
            attempt()
    assert tags(kms, key) == {"team": "blue"}


def test_aliases_name_keys_and_move(kms: "KMSClient", key: Any) -> None:
    other = kms.create_key()["KeyMetadata"]
    kms.create_alias(AliasName="alias/app", TargetKeyId=key["Arn"])
    arn = key["Arn"].replace(f"key/{key['KeyId']}", "alias/app")
    with refused("AlreadyExistsException", f"An alias with the name {arn} already exists"):
        kms.create_alias(AliasName="alias/app", TargetKeyId=other["KeyId"])
    for name in ("alias/app", arn):
        assert kms.describe_key(KeyId=name)["KeyMetadata"] == key
    kms.update_alias(AliasName="alias/app", TargetKeyId=other["KeyId"])
    entry = kms.list_aliases(KeyId=other["KeyId"])["Aliases"][0]
    assert (entry["AliasName"], entry["AliasArn"], entry["TargetKeyId"]) == ("alias/app", arn, other["KeyId"])
    assert kms.list_aliases(KeyId=key["KeyId"])["Aliases"] == []
    kms.delete_alias(AliasName="alias/app")
    with refused("NotFoundException", f"Alias {arn} is not found."):
        kms.describe_key(KeyId="alias/app")
    with refused("NotFoundException", f"Alias {arn} is not found."):
        kms.delete_alias(AliasName="alias/app")


@pytest.mark.parametrize("name", ["app", "Alias/app", "key/app", "alias/a:b", "alias/"])
def test_names_that_are_no_aliases(kms: "KMSClient", key: Any, name: str) -> None:
    with refused("ValidationException"):
        kms.create_alias(AliasName=name, TargetKeyId=key["KeyId"])


def test_aws_s_own_names_are_aws_s(kms: "KMSClient", key: Any) -> None:
    with refused("NotAuthorizedException"):
        kms.create_alias(AliasName="alias/aws/mine", TargetKeyId=key["KeyId"])
    kms.describe_key(KeyId="alias/aws/s3")
    with refused("NotAuthorizedException"):
        kms.delete_alias(AliasName="alias/aws/s3")
    with refused("NotFoundException"):
        kms.describe_key(KeyId="alias/aws/none")


def test_an_alias_names_keys_of_one_type_and_usage(kms: "KMSClient", key: Any) -> None:
    mac = kms.create_key(KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")["KeyMetadata"]
    kms.create_alias(AliasName="alias/app", TargetKeyId=key["KeyId"])
    with refused("ValidationException"):
        kms.update_alias(AliasName="alias/app", TargetKeyId=mac["KeyId"])
    assert kms.describe_key(KeyId="alias/app")["KeyMetadata"] == key


def test_a_key_has_at_most_50_aliases(kms: "KMSClient", key: Any) -> None:
    for number in range(50):
        kms.create_alias(AliasName=f"alias/{number}", TargetKeyId=key["KeyId"])
    with refused("LimitExceededException"):
        kms.create_alias(AliasName="alias/50", TargetKeyId=key["KeyId"])
    kms.update_alias(AliasName="alias/0", TargetKeyId=key["KeyId"])


def test_description_is_replaced(kms: "KMSClient", key: Any) -> None:
    assert key["Description"] == ""
    kms.update_key_description(KeyId=key["KeyId"], Description="payments: \u00e9")
    assert kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"]["Description"] == "payments: \u00e9"


def test_managed_keys_can_be_used_and_not_be_changed(kms: "KMSClient", key: Any) -> None:
    sealed = kms.encrypt(KeyId="alias/aws/s3", Plaintext=b"object")["CiphertextBlob"]
    assert kms.decrypt(CiphertextBlob=sealed)["Plaintext"] == b"object"
    managed = kms.describe_key(KeyId="alias/aws/s3")["KeyMetadata"]["KeyId"]
    assert kms.list_aliases(KeyId=managed)["Aliases"][0]["AliasName"] == "alias/aws/s3"
    attempts: list[Callable[[], object]] = [
        lambda: kms.disable_key(KeyId=managed),
        lambda: kms.schedule_key_deletion(KeyId=managed),
        lambda: kms.update_key_description(KeyId=managed, Description="mine"),
        lambda: kms.tag_resource(KeyId=managed, Tags=[{"TagKey": "a", "TagValue": "b"}]),
        lambda: kms.create_alias(AliasName="alias/mine", TargetKeyId=managed),
        lambda: kms.rotate_key_on_demand(KeyId=managed),
        lambda: kms.put_key_policy(KeyId=managed, Policy="{}"),
    ]
    for attempt in attempts:
        with refused("AccessDeniedException") as seen:
            attempt()
        assert f"key/{managed} because no resource-based policy allows the kms:" in seen.message
