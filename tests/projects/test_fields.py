"""Every format rule of the three providers' fields (`keystore.projects.fields`)."""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from keystore.errors import ApiError
from keystore.kms.uri import parse
from keystore.projects import fields
from keystore.projects.fields import AWS_REGIONS, BLOCKS, RULES, Provider, read_block, require_complete
from keystore.projects.key_names import key_identifier

KEY = "1234abcd-12ab-34cd-56ef-1234567890ab"
ARN = f"arn:aws:kms:us-east-1:111122223333:key/{KEY}"
UUID = "11111111-2222-4333-8444-555555555555"
URL = "https://mykeyvault.vault.azure.net/keys/AtlasKMSKey/a241124e3d364e9eb99fbd3e11124b23"
VERSION = "projects/my-project/locations/europe-west1/keyRings/ring/cryptoKeys/key/cryptoKeyVersions/1"
CANARY = "canary-9f2c-canary"


@cache
def pem_of(kind: str) -> str:
    key = rsa.generate_private_key(65537, 2048) if kind == "rsa" else ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def service_account(kind: str = "rsa", **changed: str) -> str:
    """Return the JSON key of a service account."""
    pem = pem_of(kind)
    values = {"type": "service_account", "project_id": "my-project", "private_key_id": "1", "private_key": pem}
    values |= {"client_email": "a@my-project.iam.gserviceaccount.com", "token_uri": "https://oauth2.googleapis.com/t"}
    return json.dumps({name: value for name, value in {**values, **changed}.items() if value})


def whole(provider: Provider) -> dict[str, Any]:
    """Return a block that is right."""
    if provider == "AWS":
        secret = {"accessKeyID": "AKIAIOSFODNN7EXAMPLE", "secretAccessKey": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
        return {"enabled": True, **secret, "customerMasterKeyID": KEY, "region": "US_EAST_1"}
    if provider == "AZURE":
        who = {"clientID": UUID, "tenantID": UUID, "secret": CANARY, "azureEnvironment": "AZURE"}
        where = {"subscriptionID": UUID, "resourceGroupName": "my-group", "keyVaultName": "mykeyvault"}
        return {"enabled": True, **who, **where, "keyIdentifier": URL}
    return {"enabled": True, "serviceAccountKey": service_account(), "keyVersionResourceID": VERSION}


def read_whole(provider: Provider, **changed: Any) -> fields.Change:
    change = read_block(provider, {**whole(provider), **changed})
    require_complete(provider, change.public, change.secrets)
    return change


@pytest.mark.row("R66", "R119")
@pytest.mark.parametrize("provider", BLOCKS)
def test_a_whole_block_is_taken_and_its_key_has_a_uri(provider: Provider) -> None:
    change = read_whole(provider)
    assert change.enabled is True
    assert change.names == set(RULES[provider]) - {"roleId"}
    key_uri = fields.key_uri(provider, change.public)
    assert parse(key_uri).provider == provider.lower()
    assert key_identifier(key_uri) == {"AWS": KEY, "AZURE": URL, "GCP": VERSION}[provider]


GOOD: Mapping[str, list[str]] = {
    "AWS.customerMasterKeyID": [KEY, "mrk-1234abcd12ab34cd56ef1234567890ab", ARN, ARN.replace(KEY, "mrk-" + "0a" * 16)],
    "AWS.accessKeyID": ["A" * 16, "A" * 128, "ASIA_1234567890abc"],
    "AZURE.clientID": [UUID.upper()],
    "AZURE.resourceGroupName": ["a", "A-b_c.d(e)", "g" * 90, "größe"],
    "AZURE.keyVaultName": ["mykeyvault", "MyKeyVault"],
    "AZURE.keyIdentifier": [URL, URL.replace("mykeyvault", "MyKeyVault"), URL.replace("a2411", "A2411")],
    "GCP.keyVersionResourceID": [VERSION, VERSION.replace("my-project", "example.com:my-project"), VERSION + "23"],
}  # fmt: skip

BAD: Mapping[str, list[Any]] = {
    "AWS.customerMasterKeyID": [
        "", " ", "alias/key", KEY[:-1], KEY + "0", KEY.upper(), "mrk-12", "mrk-" + "g" * 32, f" {KEY}", f"{KEY}\n",
        ARN.replace("key/", "alias/"), ARN.replace(":kms:", ":s3:"), ARN.replace("111122223333", "1111"), "arn:aws:kms",
        ARN.replace("arn:aws:", "arn:other:"), "x" * 3000, None, 7, ["a"],
    ],
    "AWS.region": ["", "us-east-1", "US_EAST_9", "GLOBAL", "us_east_1", None],
    "AWS.accessKeyID": ["", "A" * 15, "A" * 129, "A" * 15 + "-", "A" * 15 + " ", "Ä" * 16, 7],
    "AWS.secretAccessKey": ["", " x", "x ", "a\nb", "x" * 16385, None, 7],
    "AZURE.clientID": ["", "1", UUID + "0", UUID.replace("-", ""), "g" + UUID[1:], f"{{{UUID}}}"],
    "AZURE.tenantID": ["", "contoso.onmicrosoft.com", UUID[:-1]],
    "AZURE.subscriptionID": ["", "sub", UUID[:-1]],
    "AZURE.secret": ["", " x", "a\tb", None],
    "AZURE.azureEnvironment": ["", "AZURE_GERMANY", "azure", "AWS", None],
    "AZURE.resourceGroupName": ["", "g" * 91, "ends.", "a/b", "a b", "a\n"],
    "AZURE.keyVaultName": ["", "ab", "a" * 25, "1vault", "vault-", "my--vault", "my_vault", "my.vault", "-vault"],
    "AZURE.keyIdentifier": [
        "", "AtlasKMSKey", "mykeyvault/keys/AtlasKMSKey",
        URL.rpartition("/")[0], URL.rpartition("/")[0] + "/", URL.replace("/keys/", "/"), URL.replace("https", "http"),
        URL.replace("/keys/", "/secrets/"), URL.replace("/keys/", "/Keys/"), URL + "?api-version=7.4", URL + "#x",
        URL + "/", URL + "/more", URL[:-1], URL[:-1] + "g", URL.replace("AtlasKMSKey", "a_b"), " " + URL,
        URL.replace(".vault.azure.net", ":443.vault.azure.net"), URL.replace("https://", "https://user@"),
        "https://mykeyvault.vault.azure.net:443/keys/k/" + "a" * 32, None,
    ],
    "GCP.serviceAccountKey": [
        "", "{}", "[]", "null", "{", "[" * 9000, service_account("ec"), service_account(type="authorized_user"),
        service_account(private_key=""), service_account(private_key="no key"), service_account(client_email=""),
        service_account(client_email="nobody"), service_account(project_id=""), service_account(token_uri=""),
        {"type": "service_account"}, None,
    ],
    "GCP.keyVersionResourceID": [
        "", VERSION.rpartition("/cryptoKeyVersions")[0], VERSION + "/", "/" + VERSION, VERSION.replace("/1", "/0"),
        VERSION.replace("/1", "/one"), VERSION.replace("my-project", "P"), VERSION.replace("cryptoKeys", "keys"),
        "gcp://" + VERSION, VERSION.replace("ring/", "r.i/"), VERSION + "0" * 20,
        VERSION.replace("key/", "k" * 64 + "/"),
    ],
}  # fmt: skip


def rows(cases: Mapping[str, list[Any]]) -> list[Any]:
    return [
        pytest.param(*name.split("."), value, id=f"{name}-{number}")
        for name, values in cases.items()
        for number, value in enumerate(values)
    ]


@pytest.mark.row("R66", "R121", "R136")
@pytest.mark.parametrize(("provider", "name", "value"), rows(GOOD))
def test_form_that_is_right_is_taken(provider: Provider, name: str, value: str) -> None:
    assert read_whole(provider, **{name: value}).public[name] == value


@pytest.mark.row("R66", "R71", "R101", "R119", "R121", "R136")
@pytest.mark.parametrize(("provider", "name", "value"), rows(BAD))
def test_form_that_is_wrong_is_refused_with_its_field(provider: Provider, name: str, value: Any) -> None:
    with pytest.raises(ApiError) as caught:
        read_whole(provider, **{name: value})
    assert (caught.value.status, caught.value.field) == (400, f"{BLOCKS[provider]}.{name}")
    assert caught.value.code == RULES[provider][name].code
    if RULES[provider][name].secret and len(str(value)) > 8:
        assert str(value)[:60] not in str(caught.value)


def test_regions_are_those_that_have_kms() -> None:
    assert len(AWS_REGIONS) == len(set(AWS_REGIONS)) == 38
    for region in AWS_REGIONS:
        read_whole("AWS", region=region)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("eu-west-1", "awsKms.region eu-west-1 must be written as EU_WEST_1. Nothing was changed."),
        ("us_gov_west_1", "awsKms.region us_gov_west_1 must be written as US_GOV_WEST_1. Nothing was changed."),
    ],
)
def test_a_region_in_another_form_is_told_in_ours(given: str, told: str) -> None:
    with pytest.raises(ApiError) as caught:
        read_whole("AWS", region=given)
    assert str(caught.value) == told


@pytest.mark.parametrize(
    ("arn", "region"),
    [
        (ARN, "US_EAST_2"),
        (ARN, "EU_WEST_1"),
        (ARN.replace("us-east-1", "cn-north-1"), "CN_NORTH_1"),
        (ARN.replace("arn:aws:", "arn:aws-cn:"), "US_EAST_1"),
        (ARN.replace("us-east-1", "us-gov-west-1"), "US_GOV_WEST_1"),
    ],
)
@pytest.mark.row("R70")
def test_arn_of_another_region_is_refused(arn: str, region: str) -> None:
    with pytest.raises(ApiError) as caught:
        read_whole("AWS", customerMasterKeyID=arn, region=region)
    assert (caught.value.code, caught.value.field) == ("INVALID_ATTRIBUTE", "awsKms.region")


@pytest.mark.row("R119", "R121")
@pytest.mark.parametrize(
    ("cloud", "domain"),
    [
        ("AZURE", "vault.azure.cn"),
        ("AZURE", "vault.usgovcloudapi.net"),
        ("AZURE", "managedhsm.azure.net"),
        ("AZURE", "example.com"),
        ("AZURE", "vault.azure.net.example.com"),
        ("AZURE_CHINA", "vault.azure.net"),
        ("AZURE_US_GOVERNMENT", "vault.azure.cn"),
    ],
)
def test_host_that_is_not_of_the_cloud_is_refused(cloud: str, domain: str) -> None:
    with pytest.raises(ApiError) as caught:
        read_whole("AZURE", azureEnvironment=cloud, keyIdentifier=URL.replace("vault.azure.net", domain))
    assert caught.value.code == "AZURE_KEY_VAULT_KEY_IDENTIFIER_INVALID_FORMAT"


@pytest.mark.row("R119")
@pytest.mark.parametrize(("cloud", "domain"), fields.VAULT_DOMAINS.items())
def test_each_cloud_has_its_vaults(cloud: str, domain: str) -> None:
    url = URL.replace("vault.azure.net", domain)
    assert parse(fields.key_uri("AZURE", read_whole("AZURE", azureEnvironment=cloud, keyIdentifier=url).public))


@pytest.mark.row("R110", "R137")
def test_key_of_another_vault_is_refused() -> None:
    with pytest.raises(ApiError) as caught:
        read_whole("AZURE", keyIdentifier=URL.replace("mykeyvault", "othervault"))
    assert (caught.value.code, caught.value.status) == ("AZURE_KEY_VAULT_KEY_NOT_IN_VAULT", 400)
    assert "mykeyvault" in str(caught.value)


@pytest.mark.row("R16", "R118", "R120")
@pytest.mark.parametrize(
    ("provider", "name"),
    [(provider, name) for provider, rules in RULES.items() for name, rule in rules.items() if not rule.optional],
)
def test_each_field_is_needed_at_first(provider: Provider, name: str) -> None:
    given = whole(provider)
    del given[name]
    change = read_block(provider, given)
    with pytest.raises(ApiError) as caught:
        require_complete(provider, change.public, change.secrets)
    assert (caught.value.code, caught.value.parameters) == ("MISSING_ATTRIBUTE", (name,))
    assert caught.value.field == f"{BLOCKS[provider]}.{name}"


def test_all_that_is_missing_is_named() -> None:
    with pytest.raises(ApiError) as caught:
        require_complete("AWS", {"region": "US_EAST_1"}, {})
    assert caught.value.code == "MISSING_ATTRIBUTES"
    assert caught.value.parameters == ("accessKeyID", "secretAccessKey", "customerMasterKeyID")


@pytest.mark.row("R11")
@pytest.mark.parametrize(
    ("body", "name"),
    [
        (None, ""),
        ([], ""),
        ({}, ""),
        ({"oracleVault": {}}, "oracleVault"),
        ({"awsKms": 7}, "awsKms"),
        ({"awsKms": None}, "awsKms"),
        ({"awsKms": {"enabled": "yes"}}, "awsKms.enabled"),
        ({"awsKms": {"enabled": None}}, "awsKms.enabled"),
        ({"awsKms": {"acessKeyID": "x"}}, "awsKms.acessKeyID"),
        ({"awsKms": {"requirePrivateNetworking": True}}, "awsKms.requirePrivateNetworking"),
        ({"googleCloudKms": {"requirePrivateNetworking": False}}, "googleCloudKms.requirePrivateNetworking"),
        ({"awsKms": {"enabled": False}, "enabledForSearchNodes": True}, "enabledForSearchNodes"),
        ({"awsKms": {"roleId": "0" * 24}}, "awsKms.roleId"),
        ({"awsKms": {"roleId": "arn:aws:iam::1:role/a"}}, "awsKms.roleId"),
    ],
)
def test_body_that_cannot_be_one_is_refused_with_its_field(body: object, name: str) -> None:
    with pytest.raises(ApiError) as caught:
        fields.read_body(body)
    assert (caught.value.status, caught.value.field) == (400, name)


def test_a_body_may_name_several_providers_and_send_back_what_get_answered() -> None:
    body = {"awsKms": {"enabled": False, "valid": True}, "googleCloudKms": {"keyVersionResourceID": VERSION}}
    aws, google = fields.read_body({**body, "enabledForSearchNodes": False})
    assert (aws.provider, aws.enabled, aws.names) == ("AWS", False, frozenset())
    assert (google.provider, google.enabled, google.public) == ("GCP", None, {"keyVersionResourceID": VERSION})


@pytest.mark.row("R11")
@pytest.mark.parametrize("name", ["ORACLE", "aws", "", "NONE", None, 7])
def test_there_are_three_providers(name: object) -> None:
    assert [fields.provider_named(each) for each in BLOCKS] == list(BLOCKS)
    with pytest.raises(ApiError) as caught:
        fields.provider_named(name)
    assert caught.value.code == "INVALID_ENCRYPTION_AT_REST_PROVIDER"


@pytest.mark.row("R74")
def test_a_change_shows_no_secret() -> None:
    assert CANARY not in repr(read_whole("AZURE"))
