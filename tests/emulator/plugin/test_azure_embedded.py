"""Azure's side of an emulator inside the test's own process."""

from datetime import datetime

import pytest
from azure.core.exceptions import HttpResponseError
from azure.keyvault.keys import KeyClient

from kms_emulator.embedded import KmsEmulator


def test_the_fixture_is_a_client_of_the_first_vault(azure_key_client: KeyClient, kms_emulator: KmsEmulator) -> None:
    key = azure_key_client.create_ec_key("cmk")
    assert (key.id or "").startswith(kms_emulator.azure.vault_url() + "/keys/cmk/")
    outcomes = [call.outcome for call in kms_emulator.calls(provider="azure", operation="CreateKey")]
    # The client asks without a token first, to be challenged; but where it remembers a vault that had this port before.
    assert outcomes in (["Unauthorized", "OK"], ["OK"])


def test_an_application_and_a_vault(kms_emulator: KmsEmulator) -> None:
    azure = kms_emulator.azure
    application = azure.put_application("create")
    assert application.secret not in repr(application)
    with azure.key_client(application=application, retry_total=0) as keys:
        keys.create_ec_key("cmk")
        azure.put_application(client_id=application.client_id, revoke=True)
        with pytest.raises(HttpResponseError, match="keys create permission"):
            keys.create_ec_key("cmk")
        azure.put_vault(networks=["10.0.0.0/8"])
        with pytest.raises(HttpResponseError, match="Client address is not authorized"):
            keys.create_ec_key("cmk")
        azure.put_vault(anywhere=True, retention_days=7)
        azure.remove_application(application)
        with pytest.raises(HttpResponseError):
            keys.create_ec_key("cmk")


def test_what_is_refused_is_a_value_error(kms_emulator: KmsEmulator) -> None:
    with pytest.raises(ValueError, match="there is no permission fly"):
        kms_emulator.azure.put_application("fly")
    with pytest.raises(ValueError, match="needs a zone"):
        kms_emulator.azure.put_application(secret_expires=datetime(2030, 1, 1))
    with pytest.raises(ValueError, match="retention_days must be 7 to 90"):
        kms_emulator.azure.put_vault(retention_days=91)
