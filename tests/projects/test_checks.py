"""A check of a configuration (`keystore.projects.checks`): the real SDKs with credentials at the real emulator."""

import http.client
from contextlib import closing
from urllib.parse import urlsplit

import pytest
from azure.core.exceptions import ResourceNotFoundError
from google.api_core.exceptions import FailedPrecondition

from keystore.projects.checks import CODES, Outcome, check
from keystore.projects.fields import Provider
from kms_emulator.embedded import KmsEmulator
from tests.projects.providers import CLOUDS, FAULTS, NEEDED, VIEW, Aws, Azure, Cloud, Gcp, be_unreachable
from tests.projects.providers import aws as aws
from tests.projects.providers import azure as azure
from tests.projects.providers import cloud as cloud
from tests.projects.providers import google as google
from tests.projects.providers import kms as kms

AWS, AZURE, GOOGLE = "AWS_KMS_CUSTOMER_MASTER_KEY", "AZURE_KEY_VAULT_KEY", "GOOGLE_CLOUD_KMS_KEY_VERSION"
REVOKED: dict[tuple[str, str], str] = {
    ("AWS", "disable"): f"{AWS}_NOT_ENABLED",
    ("AWS", "delete"): f"{AWS}_PENDING_DELETION",
    ("AZURE", "disable"): f"{AZURE}_NOT_ENABLED",
    ("AZURE", "delete"): f"{AZURE}_PENDING_DELETION",
    ("GCP", "disable"): f"{GOOGLE}_DISABLED",
    ("GCP", "delete"): f"{GOOGLE}_DESTROY_SCHEDULED",
    **{(provider, "permission"): "NO_PERMISSION_TO_ENCRYPT_DECRYPT" for provider in CLOUDS},
}

ASKED = {
    "AWS": ["DescribeKey", "Encrypt", "Decrypt"],
    "AZURE": ["ListKeys", "GetKey", "Encrypt", "Decrypt"],
    "GCP": ["GetCryptoKeyVersion", "Encrypt", "Decrypt"],
}
"""What one check calls."""


def refused(outcome: Outcome, code: str, *missing: str) -> str:
    """Say that an outcome is a no of that code; return what it tells."""
    assert (outcome.state, outcome.code, outcome.missing) == ("invalid", code, missing), outcome
    return outcome.detail


@pytest.mark.row("R7", "R36", "R69")
@pytest.mark.parametrize("cloud", CLOUDS, indirect=True)
def test_a_check_describes_encrypts_and_decrypts_and_nothing_else(cloud: Cloud) -> None:
    before = len(cloud.calls())
    assert check(cloud.settings()).is_valid
    assert cloud.calls()[before:] == ASKED[cloud.provider]
    probes = cloud.kms.calls(provider=cloud.provider.lower(), outcome="OK")[before:]
    assert {call.plaintext_bytes for call in probes if call.operation in ("Encrypt", "Decrypt")} == {32}


@pytest.mark.parametrize("way", ["disable", "delete", "permission"])
@pytest.mark.parametrize("cloud", CLOUDS, indirect=True)
def test_each_way_to_revoke_is_named_and_giving_back_is_seen(cloud: Cloud, way: str) -> None:
    settings = cloud.settings()
    take, give = cloud.ways[way]
    take()
    outcome = check(settings)
    assert (outcome.state, outcome.code) == ("invalid", REVOKED[cloud.provider, way]), outcome
    give()
    assert check(settings).is_valid


@pytest.mark.row("R60")
def test_a_deletion_at_aws_is_cancelled_to_disabled_and_comes_at_the_end_of_its_window(aws: Aws) -> None:
    settings, key = aws.settings(), {"KeyId": aws.key}
    for days in (6, 31):
        with pytest.raises(aws.client.exceptions.ClientError, match="ValidationException"):
            aws.client.schedule_key_deletion(**key, PendingWindowInDays=days)
    aws.client.schedule_key_deletion(**key, PendingWindowInDays=30)
    aws.kms.clock.advance(days=29)
    refused(check(settings), f"{AWS}_PENDING_DELETION")
    aws.client.cancel_key_deletion(**key)
    refused(check(settings), f"{AWS}_NOT_ENABLED")
    aws.client.enable_key(**key)
    assert check(settings).is_valid
    aws.client.schedule_key_deletion(**key, PendingWindowInDays=7)
    aws.kms.clock.advance(days=7)
    refused(check(settings), "AWS_CUSTOMER_MASTER_KEY_NOT_FOUND")
    with pytest.raises(aws.client.exceptions.NotFoundException):
        aws.client.cancel_key_deletion(**key)


@pytest.mark.row("R61")
def test_a_deleted_key_at_azure_is_recovered_under_its_version_until_it_is_purged(azure: Azure) -> None:
    settings = azure.settings()
    azure.client.begin_delete_key("key").wait()
    refused(check(settings), f"{AZURE}_PENDING_DELETION")
    assert azure.client.begin_recover_deleted_key("key").result().properties.version == azure.version
    assert check(settings).is_valid
    azure.destroy()
    refused(check(settings), f"{AZURE}_NOT_FOUND")
    with pytest.raises(ResourceNotFoundError):
        azure.client.begin_recover_deleted_key("key")


@pytest.mark.row("R62")
def test_a_destruction_at_google_is_restored_to_disabled_and_is_final_in_the_end(google: Gcp) -> None:
    settings = google.settings()
    google.client.destroy_crypto_key_version(name=google.version)
    refused(check(settings), f"{GOOGLE}_DESTROY_SCHEDULED")
    google.client.restore_crypto_key_version(name=google.version)
    refused(check(settings), f"{GOOGLE}_DISABLED")
    google.client.update_crypto_key_version(
        crypto_key_version={"name": google.version, "state": "ENABLED"}, update_mask={"paths": ["state"]}
    )
    assert check(settings).is_valid
    google.client.destroy_crypto_key_version(name=google.version)
    google.kms.clock.advance(days=30)
    refused(check(settings), f"{GOOGLE}_DESTROYED")
    with pytest.raises(FailedPrecondition):
        google.client.restore_crypto_key_version(name=google.version)


@pytest.mark.row("R42", "N2")
@pytest.mark.parametrize("how", [how for how in FAULTS if how != "hangs"])
@pytest.mark.parametrize("cloud", CLOUDS, indirect=True)
def test_who_does_not_answer_is_unreachable_also_where_access_was_revoked(cloud: Cloud, how: str) -> None:
    be_unreachable(cloud, how)
    settings = cloud.settings()
    assert check(settings).state == "unreachable"
    cloud.kms.faults.clear()
    cloud.ways["disable"][0]()
    be_unreachable(cloud, how)
    outcome = check(settings)
    assert (outcome.state, outcome.code) == ("unreachable", "ENCRYPTION_AT_REST_KMS_NOT_REACHABLE")


@pytest.mark.row("R42")
@pytest.mark.parametrize("provider", CLOUDS)
def test_a_closed_port_and_a_name_that_nobody_knows_are_unreachable(kms: KmsEmulator, provider: Provider) -> None:
    kms.reset()
    settings = CLOUDS[provider](kms).settings()
    for endpoint in ("https://127.0.0.1:9", "https://nowhere.invalid:443"):
        assert check(settings, endpoint).state == "unreachable"


@pytest.mark.row("R67", "R68", "R69")
@pytest.mark.parametrize("missing", NEEDED["AWS"])
def test_aws_names_the_missing_permission(aws: Aws, missing: str) -> None:
    aws.grant(*(name for name in NEEDED["AWS"] if name != missing))
    assert missing in refused(check(aws.settings()), "NO_PERMISSION_TO_ENCRYPT_DECRYPT", missing)


def test_all_missing_permissions_that_can_be_found_are_named(aws: Aws, azure: Azure) -> None:
    aws = Aws(aws.kms)
    aws.grant("kms:Encrypt")
    refused(check(aws.settings()), "NO_PERMISSION_TO_ENCRYPT_DECRYPT", "kms:DescribeKey", "kms:Decrypt")
    azure.grant("encrypt", roles=())
    names = ("Key Vault Reader", "LIST", "GET", "DECRYPT")
    refused(check(azure.settings()), "NO_PERMISSION_TO_ENCRYPT_DECRYPT", *names)


@pytest.mark.row("R106", "R107", "R108", "R109")
@pytest.mark.parametrize("missing", NEEDED["AZURE"])
def test_azure_names_the_missing_permission(azure: Azure, missing: str) -> None:
    azure.grant(*(name for name in NEEDED["AZURE"] if name != missing))
    assert missing.upper() in refused(check(azure.settings()), "NO_PERMISSION_TO_ENCRYPT_DECRYPT", missing.upper())


@pytest.mark.row("R104")
def test_azure_names_the_missing_role(azure: Azure) -> None:
    azure.grant(*NEEDED["AZURE"], roles=())
    told = refused(check(azure.settings()), "NO_PERMISSION_TO_ENCRYPT_DECRYPT", "Key Vault Reader")
    assert "role Key Vault Reader" in told


@pytest.mark.parametrize(
    ("role", "missing"),
    [
        ("roles/cloudkms.cryptoKeyEncrypterDecrypter", "cloudkms.cryptoKeyVersions.get"),
        ("roles/cloudkms.cryptoKeyDecrypter", "cloudkms.cryptoKeyVersions.useToEncrypt"),
        ("roles/cloudkms.cryptoKeyEncrypter", "cloudkms.cryptoKeyVersions.useToDecrypt"),
    ],
)
def test_google_names_the_missing_permission(google: Gcp, role: str, missing: str) -> None:
    google.grant(role, *([] if missing.endswith("get") else [VIEW]))
    assert missing in refused(check(google.settings()), "NO_PERMISSION_TO_ENCRYPT_DECRYPT", missing)


@pytest.mark.row("R70", "R72")
def test_aws_refuses_wrong_regions_keys_and_credentials(aws: Aws) -> None:
    refused(check(aws.settings(region="EU_WEST_1")), "AWS_CUSTOMER_MASTER_KEY_NOT_FOUND")
    assert check(aws.settings(region="EU_WEST_1")).as_error("AWS").status == 404
    other = "00000000-0000-4000-8000-000000000000"
    refused(check(aws.settings(customerMasterKeyID=other)), "AWS_CUSTOMER_MASTER_KEY_NOT_FOUND")
    refused(check(aws.settings(secretAccessKey="x" * 40)), "INVALID_AWS_CREDENTIALS")
    refused(check(aws.settings(accessKeyID="AKIA0000000000000000")), "INVALID_AWS_CREDENTIALS")
    aws.kms.users.remove("atlas")
    refused(check(aws.settings()), "INVALID_AWS_CREDENTIALS")


def test_aws_names_states_and_kinds_of_keys_that_cannot_be_used(aws: Aws) -> None:
    empty = aws.client.create_key(Origin="EXTERNAL")["KeyMetadata"]["KeyId"]
    refused(check(aws.settings(customerMasterKeyID=empty)), f"{AWS}_PENDING_IMPORT")
    for usage, spec in (
        ("SIGN_VERIFY", "RSA_2048"),
        ("ENCRYPT_DECRYPT", "RSA_2048"),
        ("GENERATE_VERIFY_MAC", "HMAC_256"),
    ):
        made = aws.client.create_key(KeyUsage=usage, KeySpec=spec)["KeyMetadata"]["KeyId"]
        refused(check(aws.settings(customerMasterKeyID=made)), f"{AWS}_NOT_SUPPORTED")


@pytest.mark.row("R101", "R102")
def test_azure_refuses_wrong_tenants_applications_and_secrets(azure: Azure) -> None:
    nobody = "11111111-2222-4333-8444-555555555555"
    refused(check(azure.settings(tenantID=nobody)), "INVALID_AZURE_CREDENTIALS")
    refused(check(azure.settings(clientID=nobody)), "INVALID_AZURE_CREDENTIALS")
    refused(check(azure.settings(secret="wrong")), "INVALID_AZURE_CREDENTIALS")
    settings = azure.settings(**azure.short_lived())
    assert check(settings).is_valid
    azure.kms.clock.advance(hours=2)
    assert "expired" in refused(check(settings), "INVALID_AZURE_CREDENTIALS")


@pytest.mark.row("R103", "R105")
def test_azure_refuses_another_group_or_subscription(azure: Azure) -> None:
    told = refused(check(azure.settings(resourceGroupName="other-group")), "AZURE_KEY_VAULT_NOT_FOUND")
    assert "other-group" in told
    other = "11111111-2222-4333-8444-555555555555"
    assert other in refused(check(azure.settings(subscriptionID=other)), "AZURE_KEY_VAULT_NOT_FOUND")


@pytest.mark.row("R110", "R131")
def test_azure_refuses_a_key_or_version_that_is_not_there(azure: Azure) -> None:
    refused(check(azure.settings(keyIdentifier=azure.url("key", "0" * 32))), f"{AZURE}_NOT_FOUND")
    refused(check(azure.settings(keyIdentifier=azure.url("other", "0" * 32))), f"{AZURE}_NOT_FOUND")
    made = azure.new_key()
    assert check(azure.settings(**made)).is_valid


def test_azure_tells_when_a_key_ends_and_refuses_it_then(azure: Azure) -> None:
    from datetime import timedelta

    ends = azure.kms.clock.now() + timedelta(days=3)
    azure.client.update_key_properties("key", version=azure.version, expires_on=ends)
    found = check(azure.settings())
    assert (found.state, found.ends_s) == ("valid", int(ends.timestamp()))
    azure.kms.clock.advance(days=4)
    refused(check(azure.settings()), f"{AZURE}_EXPIRED")
    begins = azure.kms.clock.now() + timedelta(days=3)
    later = azure.client.create_rsa_key("later", size=2048, not_before=begins).properties.version
    refused(check(azure.settings(keyIdentifier=azure.url("later", later))), f"{AZURE}_NOT_ACTIVE")


@pytest.mark.row("R112")
def test_azure_network_rules_are_no_refusal(azure: Azure) -> None:
    azure.kms.azure.put_vault(networks=["10.0.0.0/8"])
    assert check(azure.settings()).state == "unreachable"
    azure.kms.azure.put_vault(networks=["127.0.0.7/32"])
    assert check(azure.settings()).state == "unreachable"
    assert check(azure.settings(), source="127.0.0.7").is_valid
    azure.kms.azure.put_vault(anywhere=True)
    assert check(azure.settings()).is_valid


@pytest.mark.row("R112")
def test_azure_neither_asks_nor_answers_without_tls(azure: Azure) -> None:
    vault, plain = (urlsplit(url).port or 0 for url in (azure.kms.azure.vault_url(), azure.kms.aws_endpoint))
    settings, before = azure.settings(), len(azure.kms.calls(provider="azure"))
    assert [answer_without_tls(port, azure) for port in (vault, plain)] == [
        b"",
        b'{"__type": "UnknownOperationException"}',
    ]
    for port in (vault, plain):
        found = check(settings, f"http://127.0.0.1:{port}")
        assert (found.state, "is not https" in found.detail) == ("unreachable", True)
    assert len(azure.kms.calls(provider="azure")) == before
    assert check(settings).is_valid


def answer_without_tls(port: int, azure: Azure) -> bytes:
    """Ask for a key in clear; return what comes back, nothing where the connection is dropped."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as asked:
        try:
            asked.request(
                "GET", f"/keys/key/{azure.version}?api-version=7.4", headers={"host": "local-vault.localhost"}
            )
            return asked.getresponse().read()
        except (http.client.BadStatusLine, ConnectionError):
            return b""


def test_google_refuses_accounts_keys_and_purposes(google: Gcp) -> None:
    refused(check(google.settings(keyVersionResourceID=f"{google.key}/cryptoKeyVersions/9")), f"{GOOGLE}_NOT_FOUND")
    signs = {"purpose": "ASYMMETRIC_SIGN", "version_template": {"algorithm": "EC_SIGN_P256_SHA256"}}
    made = google.client.create_crypto_key(
        parent=google.key.rpartition("/cryptoKeys")[0], crypto_key_id="s", crypto_key=signs
    )
    refused(check(google.settings(keyVersionResourceID=f"{made.name}/cryptoKeyVersions/1")), f"{GOOGLE}_NOT_SUPPORTED")
    google.client.destroy_crypto_key_version(name=google.version)
    google.kms.clock.advance(days=31)
    refused(check(google.settings()), f"{GOOGLE}_DESTROYED")
    google.kms.gcp.remove_account(google.account)
    refused(check(google.settings()), "INVALID_GOOGLE_CLOUD_CREDENTIALS")


def test_a_service_account_leads_nowhere_but_to_google(google: Gcp, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = google.settings()
    monkeypatch.delenv("KEYSTORE_GCP_ENDPOINT")
    found = check(settings)
    assert found.state == "unreachable"
    assert "not of Google" in found.detail


def test_every_answer_that_means_no_has_a_code() -> None:
    from keystore import errors

    named = {kind for codes in CODES.values() for kind in codes}
    invalid = {
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.KmsInvalidError)
    }
    assert invalid - named == {errors.KmsInvalidError, errors.PassphraseError}
    for provider in ("AWS", "AZURE"):
        assert set(CODES["GCP"]) - set(CODES[provider]) == {errors.KeyDestroyedError}
