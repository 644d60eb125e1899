"""A key's whole life through Azure's own client, as it is."""

import os
import ssl
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.identity import ManagedIdentityCredential
from azure.keyvault.keys import KeyClient
from azure.keyvault.keys.crypto import CryptographyClient, KeyWrapAlgorithm
from keystore_api.azure_keyvault.v1 import azure_keyvault_pb2 as pb
from keystore_api.azure_keyvault.v1.azure_keyvault_pb2_grpc import AzureKeyVaultStub

from kms_emulator.calls import CallFilter
from kms_emulator.cli.env import variables
from kms_emulator.cli.places import Places
from tests.emulator.running import WAIT_MAX_S, Running


def places(emulator: Running) -> Places:
    server = emulator.server
    return Places(server.endpoint, server.url, server.https_url, server.ca)


def test_a_key_from_creation_to_its_purge(emulator: Running, keys: KeyClient) -> None:
    made = keys.create_rsa_key("cmk", size=2048, tags={"team": "storage"})
    assert made.id == f"{emulator.server.https_url}/keys/cmk/{made.properties.version}"
    assert (made.properties.vault_url, made.properties.tags) == (emulator.server.https_url, {"team": "storage"})
    crypto = keys.get_cryptography_client("cmk", key_version=made.properties.version)
    wrapped = crypto.wrap_key(KeyWrapAlgorithm.rsa_oaep_256, b"k" * 32)

    rotated = keys.rotate_key("cmk")
    assert rotated.properties.version != made.properties.version
    assert keys.get_key("cmk").id == rotated.id
    assert len(list(keys.list_properties_of_key_versions("cmk"))) == 2
    assert crypto.unwrap_key(KeyWrapAlgorithm.rsa_oaep_256, wrapped.encrypted_key).key == b"k" * 32

    deleted = keys.begin_delete_key("cmk").result()
    assert deleted.recovery_id == f"{emulator.server.https_url}/deletedkeys/cmk"
    assert deleted.scheduled_purge_date is not None
    with pytest.raises(ResourceNotFoundError, match=r"was not found in this key vault"):
        keys.get_key("cmk")
    with pytest.raises(ResourceExistsError, match="deleted but recoverable"):
        keys.create_rsa_key("cmk")
    assert keys.begin_recover_deleted_key("cmk").result().id == rotated.id
    assert crypto.unwrap_key(KeyWrapAlgorithm.rsa_oaep_256, wrapped.encrypted_key).key == b"k" * 32

    keys.begin_delete_key("cmk").wait()
    keys.purge_deleted_key("cmk")
    with pytest.raises(ResourceNotFoundError):
        keys.get_deleted_key("cmk")
    assert keys.create_rsa_key("cmk").properties.version not in (made.properties.version, rotated.properties.version)


def test_attributes_come_back_as_they_were_set(keys: KeyClient) -> None:
    begins, ends = datetime(2031, 1, 1, tzinfo=UTC), datetime(2032, 1, 1, tzinfo=UTC)
    keys.create_rsa_key("cmk", enabled=True, not_before=begins, expires_on=ends, key_operations=["wrapKey"])
    found = keys.get_key("cmk")
    assert (found.properties.not_before, found.properties.expires_on) == (begins, ends)
    assert found.key_operations == ["wrapKey"]
    assert found.properties.recovery_level == "Recoverable+Purgeable"
    keys.update_key_properties("cmk", enabled=False)
    with pytest.raises(HttpResponseError) as caught:
        keys.get_key("cmk")
    assert (caught.value.status_code, caught.value.error.code) == (403, "Forbidden")  # type: ignore[union-attr]
    assert caught.value.error.innererror["code"] == "KeyDisabled"  # type: ignore[union-attr]


def test_lists_come_in_pages(emulator: Running, keys: KeyClient) -> None:
    stub = AzureKeyVaultStub(emulator.channel)
    for name in ("a", "b", "c"):
        stub.CreateKey(pb.CreateKeyRequest(vault="local-vault", name=name))
    pages = [[key.name for key in page] for page in keys.list_properties_of_keys(max_page_size=2).by_page()]
    assert pages == [["a", "b"], ["c"]]
    assert [call.operation for call in emulator.core.calls.select(CallFilter())][-2:] == ["ListKeys", "ListKeys"]


def test_each_loopback_address_is_a_vault(connect: Callable[..., KeyClient]) -> None:
    first, second = connect("127.0.0.1"), connect("127.0.0.2")
    first.create_rsa_key("cmk")
    assert [key.name for key in first.list_properties_of_keys()] == ["cmk"]
    assert list(second.list_properties_of_keys()) == []


def test_environment_variables_alone_lead_here(emulator: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    found = variables(places(emulator))
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    with KeyClient(found["VAULT_URL"], ManagedIdentityCredential()) as keys:
        key = keys.create_rsa_key("cmk")
        with CryptographyClient(key.id or "", ManagedIdentityCredential()) as crypto:
            wrapped = crypto.wrap_key(KeyWrapAlgorithm.rsa_oaep, b"k" * 32)
            assert crypto.unwrap_key(KeyWrapAlgorithm.rsa_oaep, wrapped.encrypted_key).key == b"k" * 32


def test_other_servers_stay_trusted_and_a_lost_bundle_is_not_named(emulator: Running, tmp_path: Path) -> None:
    found = variables(places(emulator))
    ca = str(emulator.server.ca)
    assert found["NODE_EXTRA_CA_CERTS"] == found["KEYSTORE_KMS_CA"] == ca
    bundle = Path(found["SSL_CERT_FILE"])
    assert found["REQUESTS_CA_BUNDLE"] == found["CURL_CA_BUNDLE"] == str(bundle)
    begins = b"-----BEGIN CERTIFICATE-----"
    assert bundle.read_bytes().startswith(Path(ca).read_bytes())
    assert Path(ca).read_bytes().count(begins) == 1
    assert len(ssl.create_default_context(cafile=bundle).get_ca_certs()) > 1
    alone = tmp_path / "ca.pem"
    alone.write_bytes(Path(ca).read_bytes())
    assert variables(replace(places(emulator), ca=str(alone)))["SSL_CERT_FILE"] == str(alone)


ASYNCHRONOUS = """
import asyncio, os
from azure.identity.aio import DefaultAzureCredential
from azure.keyvault.keys.aio import KeyClient

async def use():
    async with DefaultAzureCredential() as credential, KeyClient(os.environ["VAULT_URL"], credential) as keys:
        await keys.create_rsa_key("cmk")
        print((await keys.get_key("cmk")).name)

asyncio.run(use())
"""


def test_an_asynchronous_program_needs_nothing_but_variables(emulator: Running) -> None:
    # A process of its own: aiohttp reads SSL_CERT_FILE once, when it is imported.
    found = subprocess.run(
        [sys.executable, "-c", ASYNCHRONOUS],
        capture_output=True,
        text=True,
        timeout=WAIT_MAX_S,
        env=os.environ | variables(places(emulator)),
        check=False,
    )
    assert (found.stdout, found.returncode) == ("cmk\n", 0), found.stderr
