"""What is wrong with a customer's key, over HTTP: fields, permissions, states; it is named, and nothing is stored."""

from collections.abc import Mapping
from typing import Any

import pytest
import sqlalchemy as sa
from botocore.session import get_session as botocore_session

from keystore.projects.fields import AWS_REGIONS, BLOCKS, RULES, Provider
from keystore.projects.tables import configurations, credentials
from kms_emulator.embedded import KmsEmulator
from tests.control.on_sqlite import database_url as database_url
from tests.projects.providers import NEEDED, Aws, Azure
from tests.projects.providers import aws as aws
from tests.projects.providers import azure as azure
from tests.projects.providers import kms as kms
from tests.projects.test_fields import BAD, URL, whole
from tests.rest.client import Answered
from tests.rest.conftest import Rest

NOBODY = "11111111-2222-4333-8444-555555555555"


def patch(rest: Rest, body: Any) -> Answered:
    return rest.owner.patch(f"{rest.project}/encryptionAtRest", body)


def stored(rest: Rest) -> list[tuple[Any, ...]]:
    with rest.plane.database.read() as connection:
        return [tuple(row) for table in (configurations, credentials) for row in connection.execute(sa.select(table))]


def field_of(answered: Answered) -> str:
    return str(answered.body["badRequestDetail"]["fields"][0]["field"])


def without(provider: Provider, name: str) -> dict[str, Any]:
    """Return a block that is right but for one field, which is not there."""
    return {key: value for key, value in whole(provider).items() if key != name}


@pytest.mark.row("R66", "R71", "R101", "R119", "R121", "R136")
def test_each_wrong_form_of_a_field_is_refused_and_asks_no_provider(rest: Rest, kms: KmsEmulator) -> None:
    kms.reset()
    cases: Mapping[str, list[Any]] = BAD
    for at, values in cases.items():
        provider, name = at.split(".")
        for value in values:
            refused = patch(rest, {BLOCKS[provider]: {**whole(provider), name: value}})  # type: ignore[index, arg-type]
            assert (refused.status, field_of(refused)) == (400, f"{BLOCKS[provider]}.{name}"), (at, value)  # type: ignore[index]
    for cloud, domain in (("AZURE", "vault.azure.cn"), ("AZURE_CHINA", "vault.azure.net"), ("AZURE", "example.com")):
        elsewhere = {"azureEnvironment": cloud, "keyIdentifier": URL.replace("vault.azure.net", domain)}
        refused = patch(rest, {"azureKeyVault": {**whole("AZURE"), **elsewhere}})
        assert (refused.status, field_of(refused)) == (400, "azureKeyVault.keyIdentifier")
    assert (stored(rest), kms.calls()) == ([], [])


@pytest.mark.row("R16", "R118", "R120")
def test_each_field_is_needed_at_first(rest: Rest, kms: KmsEmulator) -> None:
    kms.reset()
    for provider, rules in RULES.items():
        for name in (name for name, rule in rules.items() if not rule.optional):
            refused = patch(rest, {BLOCKS[provider]: without(provider, name)})
            assert (refused.status, refused.code) == (400, "MISSING_ATTRIBUTE")
            assert (refused.body["parameters"], field_of(refused)) == ([name], f"{BLOCKS[provider]}.{name}")
    assert (stored(rest), kms.calls()) == ([], [])


@pytest.mark.row("R66", "R87")
def test_every_form_of_an_aws_key_is_taken_and_shown_as_it_was_given(rest: Rest, aws: Aws) -> None:
    made = [aws.client.create_key(MultiRegion=multi)["KeyMetadata"] for multi in (False, True)]
    assert made[1]["KeyId"].startswith("mrk-")
    assert patch(rest, aws.body()).status == 200
    for key in [form for each in made for form in (each["KeyId"], each["Arn"])]:
        saved = patch(rest, {"awsKms": {"customerMasterKeyID": key}})
        assert (saved.status, saved.body["awsKms"]["customerMasterKeyID"]) == (200, key)


@pytest.mark.row("R71")
def test_the_regions_are_those_in_which_aws_has_kms(rest: Rest) -> None:
    botocore = botocore_session()
    with_kms = [
        region
        for partition in ("aws", "aws-cn", "aws-us-gov")
        for region in botocore.get_available_regions("kms", partition)
    ]
    assert sorted(AWS_REGIONS) == sorted(region.upper().replace("-", "_") for region in with_kms)
    for region in ("GLOBAL", "US_ISO_EAST_1", "EUSC_DE_EAST_1", "US_EAST_3"):
        refused = patch(rest, {"awsKms": {**whole("AWS"), "region": region}})
        assert (refused.status, refused.code) == (400, "AWS_KMS_REGION_NOT_SUPPORTED")
        listed = refused.body["detail"].partition("that has KMS: ")[2].partition(". ")[0].split(", ")
        assert listed == sorted(AWS_REGIONS)


@pytest.mark.row("R67", "R68", "R69", "R70", "R72")
def test_what_aws_refuses_is_named_and_not_stored(rest: Rest, aws: Aws) -> None:
    for missing in NEEDED["AWS"]:
        aws.grant(*(name for name in NEEDED["AWS"] if name != missing))
        refused = patch(rest, aws.body())
        assert (refused.status, refused.code) == (400, "NO_PERMISSION_TO_ENCRYPT_DECRYPT")
        assert (refused.body["parameters"], missing in refused.body["detail"]) == ([missing], True)
    aws.grant(*NEEDED["AWS"])
    for change, status, code in (
        ({"region": "EU_WEST_1"}, 404, "AWS_CUSTOMER_MASTER_KEY_NOT_FOUND"),
        ({"customerMasterKeyID": NOBODY}, 404, "AWS_CUSTOMER_MASTER_KEY_NOT_FOUND"),
        ({"accessKeyID": "AKIA0000000000000000"}, 400, "INVALID_AWS_CREDENTIALS"),
        ({"secretAccessKey": "w" * 40}, 400, "INVALID_AWS_CREDENTIALS"),
    ):
        refused = patch(rest, aws.body(**change))
        assert (refused.status, refused.code) == (status, code)
    assert stored(rest) == []
    assert patch(rest, aws.body()).body["awsKms"]["accessKeyID"] == aws.user.access_key_id
    asked = {call.operation for call in aws.kms.calls(caller=aws.user.access_key_id)}
    assert asked == {name.removeprefix("kms:") for name in NEEDED["AWS"]}


@pytest.mark.row("R101", "R102", "R103", "R104", "R105", "R106", "R107", "R108", "R109", "R110", "R117", "R131")
def test_what_azure_refuses_is_named_and_not_stored(rest: Rest, azure: Azure) -> None:
    assert patch(rest, Aws(azure.kms).body()).status == 200
    before = stored(rest)

    def refused(code: str, *named: str, **change: str) -> Answered:
        answered = patch(rest, azure.body(**change))
        assert (answered.status, answered.code) == (400, code), answered.body
        assert all(text in answered.body["detail"] for text in named), answered.body
        assert stored(rest) == before
        return answered

    for change in ({"tenantID": NOBODY}, {"clientID": NOBODY}, {"secret": "wrong"}):
        refused("INVALID_AZURE_CREDENTIALS", **change)
    for change in ({"resourceGroupName": "other-group"}, {"subscriptionID": NOBODY}):
        refused("AZURE_KEY_VAULT_NOT_FOUND", *change.values(), **change)
    for key in (azure.url("key", "0" * 32), azure.url("not-yet", azure.version)):
        refused("AZURE_KEY_VAULT_KEY_NOT_FOUND", keyIdentifier=key)
    for missing in NEEDED["AZURE"]:
        azure.grant(*(name for name in NEEDED["AZURE"] if name != missing))
        answered = refused("NO_PERMISSION_TO_ENCRYPT_DECRYPT", missing.upper())
        assert answered.body["parameters"] == [missing.upper()]
    azure.grant(*NEEDED["AZURE"], roles=())
    refused("NO_PERMISSION_TO_ENCRYPT_DECRYPT", "role Key Vault Reader")
    azure.grant(*NEEDED["AZURE"])

    saved = patch(rest, azure.body())
    assert (saved.status, saved.body["awsKms"]["valid"], len(stored(rest))) == (200, True, 2 * len(before))
    assert all(row in stored(rest) for row in before), "the key at AWS is as it was"
    later = azure.new_key()
    assert patch(rest, {"azureKeyVault": later}).body["azureKeyVault"]["keyIdentifier"] == later["keyIdentifier"]
    before = stored(rest)
    short = azure.short_lived()
    azure.lose_credentials()
    refused("INVALID_AZURE_CREDENTIALS", "expired", **later, **short)


@pytest.mark.row("R136")
def test_the_url_of_the_documents_has_the_right_form(rest: Rest, azure: Azure) -> None:
    azure.kms.azure.put_vault("mykeyvault")
    known = {"client_id": azure.application.client_id, "tenant": azure.application.tenant, "vault": "mykeyvault"}
    azure.kms.azure.put_application(*NEEDED["AZURE"], roles=["Key Vault Reader"], **known)  # type: ignore[arg-type]
    refused = patch(rest, azure.body(keyVaultName="mykeyvault", keyIdentifier=URL))
    assert (refused.status, refused.code) == (400, "AZURE_KEY_VAULT_KEY_NOT_FOUND"), refused.body
