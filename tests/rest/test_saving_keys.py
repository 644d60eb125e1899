"""What a project's keys take to be stored: credentials and a key, all or nothing; and what stays as it is for that."""

from functools import partial
from itertools import product

import pytest

from keystore.errors import KmsCredentialsError
from keystore.projects.checks import CODES
from keystore.projects.fields import BLOCKS
from keystore.projects.shapes import SHARED_TIERS
from keystore.projects.tables import alert_configs, configurations, credentials
from kms_emulator.embedded import KmsEmulator
from tests.projects.providers import CLOUDS, RING, Azure, Cloud
from tests.projects.providers import cloud as cloud
from tests.projects.providers import kms as kms
from tests.rest.conftest import Rest
from tests.rest.test_clusters import body as cluster_body
from tests.rest.test_clusters import made, refused
from tests.rest.test_clusters import rows as cluster_rows
from tests.rest.test_encryption import clouds as clouds
from tests.rest.test_encryption import database_url as database_url
from tests.rest.test_encryption import events, patch, path, rows

WRONG_KEYS: dict[str, tuple[dict[str, str], str]] = {
    "AWS": ({"customerMasterKeyID": "0" * 8 + "-0000-4000-8000-" + "0" * 12}, "AWS_CUSTOMER_MASTER_KEY_NOT_FOUND"),
    "AZURE": (
        {"keyIdentifier": f"https://{Azure.vault}.vault.azure.net/keys/none/{'0' * 32}"},
        "AZURE_KEY_VAULT_KEY_NOT_FOUND",
    ),
    "GCP": (
        {"keyVersionResourceID": f"{RING}/cryptoKeys/none/cryptoKeyVersions/1"},
        "GOOGLE_CLOUD_KMS_KEY_VERSION_NOT_FOUND",
    ),
}
"""Of each provider a key that is not there, and how that is told."""


@pytest.mark.row("R16", "R18")
@pytest.mark.parametrize("cloud", CLOUDS, indirect=True)
def test_a_switch_needs_credentials_and_a_key_and_tells_which_is_missing_or_wrong(rest: Rest, cloud: Cloud) -> None:
    block, whole = BLOCKS[cloud.provider], {**cloud.block(), **cloud.short_lived()}
    alone = patch(rest, {block: {"enabled": True}})
    assert (alone.status, alone.code) == (400, "MISSING_ATTRIBUTES")
    assert set(alone.body["parameters"]) == {*whole} - {"enabled"}
    key, code = WRONG_KEYS[cloud.provider]
    assert patch(rest, {block: {**whole, **key}}).code == code
    cloud.lose_credentials()
    told = patch(rest, {block: whole})
    assert (told.status, told.code) == (400, CODES[cloud.provider][KmsCredentialsError])
    assert rows(rest, configurations) == rows(rest, credentials) == []
    assert rest.owner.get(path(rest)).body[block] == {"enabled": False}


@pytest.mark.row("R19")
def test_a_change_of_which_one_provider_refuses_its_part_stores_nothing(rest: Rest, clouds: list[Cloud]) -> None:
    before = [rows(rest, table) for table in (configurations, credentials, alert_configs)]
    refusing = clouds[-1]
    refusing.ways["disable"][0]()
    body = {BLOCKS[each.provider]: each.block() for each in clouds}
    told = patch(rest, body)
    assert (told.status, told.code) == (400, "GOOGLE_CLOUD_KMS_KEY_VERSION_DISABLED")
    assert [rows(rest, table) for table in (configurations, credentials, alert_configs)] == before
    assert "ENCRYPTION_AT_REST_CONFIGURATION_UPDATED" not in events(rest)
    refusing.ways["disable"][1]()
    assert patch(rest, body).status == 200


@pytest.mark.row("R1", "R2", "R15")
def test_a_key_is_for_the_clusters_that_ask_for_it_and_never_for_one_of_a_shared_tier(
    rest: Rest, clouds: list[Cloud], kms: KmsEmulator
) -> None:
    path_of = f"{rest.project}/clusters"
    for name in ("plain", *SHARED_TIERS):
        made(rest, name, tier="M10" if name == "plain" else name)
    on = {"encryptionAtRestProvider": "AWS"}
    refused(rest, lambda: rest.owner.patch(f"{path_of}/plain", on), 400, "ENCRYPTION_AT_REST_NOT_ENABLED")
    before = cluster_rows(rest)
    assert patch(rest, {BLOCKS[each.provider]: each.block() for each in clouds}).status == 200
    new_key = clouds[0].new_key()
    assert rest.owner.post(path(rest, "/AWS/rotateKey"), new_key).status == 200
    assert cluster_rows(rest) == before  # a key of the project changes no cluster
    called = len(kms.calls())
    for tier, provider in product(SHARED_TIERS, CLOUDS):
        wanted = {"encryptionAtRestProvider": provider}
        for ask in (
            partial(rest.owner.patch, f"{path_of}/{tier}", wanted),
            partial(rest.owner.post, path_of, cluster_body("x", tier, **wanted)),
        ):
            refused(rest, ask, 400, "CANNOT_USE_ENCRYPTION_AT_REST_TENANT")
    assert len(kms.calls()) == called
    assert rest.owner.patch(f"{path_of}/plain", on).status == 202
