"""The three clouds for tests of projects: a real emulator that knows its callers, a key and credentials in each, and
the ways in which a customer takes access away or nobody answers.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from keystore.projects.fields import BLOCKS, Change, Provider, Settings, read_block, require_complete
from kms_emulator.embedded import KmsEmulator
from kms_emulator.model.vaults import GROUP_DEFAULT, SUBSCRIPTION_DEFAULT

RING = "projects/emulated/locations/global/keyRings/ring"
ENCRYPT, VIEW = "roles/cloudkms.cryptoKeyEncrypterDecrypter", "roles/cloudkms.viewer"
NEEDED = {
    "AWS": ("kms:DescribeKey", "kms:Encrypt", "kms:Decrypt"),
    "AZURE": ("get", "list", "encrypt", "decrypt"),
    "GCP": (ENCRYPT, VIEW),
}
Way = tuple[Callable[[], None], Callable[[], None]]
"""What takes access away, and what gives it back."""


@contextmanager
def leading_to(kms: KmsEmulator) -> Iterator[None]:
    """Lead the SDKs of this process to an emulator, with TLS wherever a secret goes."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("KEYSTORE_")]:
            if "ENDPOINT" in name or name.endswith(("_CA", "_ADDRESS")):
                patch.delenv(name)
        for name, value in environment_of(kms).items():
            patch.setenv(name, value)
        yield


def environment_of(kms: KmsEmulator) -> dict[str, str]:
    return {
        "KEYSTORE_AWS_ENDPOINT": kms.aws_endpoint,
        "KEYSTORE_AZURE_ENDPOINT": kms.azure.vault_url(),
        "KEYSTORE_GCP_ENDPOINT": f"https://{kms.grpc_tls_endpoint}",
        "KEYSTORE_KMS_CA": kms.azure.ca_file,
    }


class Cloud:
    """One cloud: its customer's key, and what the control plane is given for it."""

    provider: Provider

    def __init__(self, kms: KmsEmulator) -> None:
        self.kms = kms
        self.ways: Mapping[str, Way] = {}

    def block(self) -> dict[str, Any]:
        """Return what a customer writes."""
        raise NotImplementedError

    def new_key(self) -> dict[str, str]:
        """Make another key, and return the fields that name it."""
        raise NotImplementedError

    def new_credentials(self) -> dict[str, str]:
        """Make other credentials for the same, and return their fields."""
        raise NotImplementedError

    def grant(self, *permissions: str) -> None:
        """Let the control plane do this, and nothing else."""
        raise NotImplementedError

    def short_lived(self) -> dict[str, str]:
        """Return the fields of credentials that `lose_credentials` ends, where that takes others than these."""
        return {}

    def lose_credentials(self) -> None:
        """Have the provider take the control plane's credentials no more."""
        raise NotImplementedError

    def destroy(self) -> None:
        """Delete the key, and let the time pass in which it could be restored."""
        self.ways["delete"][0]()
        self.kms.clock.advance(days=31)

    def settings(self, **changed: str) -> Settings:
        change: Change = read_block(self.provider, {**self.block(), **changed})
        require_complete(self.provider, change.public, change.secrets)
        return Settings(self.provider, change.public, change.secrets)

    def body(self, **changed: Any) -> dict[str, Any]:
        return {BLOCKS[self.provider]: {**self.block(), **changed}}

    def calls(self) -> list[str]:
        """Return the calls that were answered so far."""
        return [call.operation for call in self.kms.calls(provider=self.provider.lower(), outcome="OK")]

    def asked(self) -> int:
        """Return the number of the last call of anybody."""
        return max((call.number for call in self.kms.calls(provider=self.provider.lower())), default=0)


class Aws(Cloud):
    provider = "AWS"

    def __init__(self, kms: KmsEmulator) -> None:
        super().__init__(kms)
        owner = {"Effect": "Allow", "Action": "kms:*", "Resource": "*"}
        user = kms.users.put("owner", policy={"Version": "2012-10-17", "Statement": [owner]})
        self.client: Any = kms.boto3_client("kms", user=user)
        self.key = self.client.create_key()["KeyMetadata"]["KeyId"]
        self.grant(*NEEDED["AWS"])
        self.user = kms.users.get("atlas")
        key = {"KeyId": self.key}
        self.ways = {
            "disable": (lambda: self.client.disable_key(**key), lambda: self.client.enable_key(**key)),
            "delete": (lambda: self.client.schedule_key_deletion(**key, PendingWindowInDays=7), self._recover),
            "permission": (lambda: self.grant("kms:DescribeKey", "kms:Encrypt"), lambda: self.grant(*NEEDED["AWS"])),
        }

    def grant(self, *permissions: str) -> None:
        allow = {"Effect": "Allow", "Action": list(permissions), "Resource": "*"}
        self.kms.users.put("atlas", policy={"Version": "2012-10-17", "Statement": [allow]} if permissions else {})

    def block(self) -> dict[str, Any]:
        who = {"accessKeyID": self.user.access_key_id, "secretAccessKey": self.user.secret_access_key}
        return {"enabled": True, **who, "customerMasterKeyID": self.key, "region": "US_EAST_1"}

    def new_key(self) -> dict[str, str]:
        return {"customerMasterKeyID": self.client.create_key()["KeyMetadata"]["KeyId"]}

    def new_credentials(self) -> dict[str, str]:
        made = self.kms.users.put("atlas", access_key_id="AKIANEWNEWNEWNEWNEW1", secret_access_key="n" * 40)
        return {"accessKeyID": made.access_key_id, "secretAccessKey": made.secret_access_key}

    def lose_credentials(self) -> None:
        self.kms.users.remove("atlas")

    def _recover(self) -> None:
        self.client.cancel_key_deletion(KeyId=self.key)
        self.client.enable_key(KeyId=self.key)


class Azure(Cloud):
    provider = "AZURE"
    vault = "local-vault"

    def __init__(self, kms: KmsEmulator) -> None:
        super().__init__(kms)
        client: Any = kms.azure.key_client(
            application=kms.azure.put_application("all"),
            verify_challenge_resource=False,  # the SDK keeps what an address is by its first answer, to whoever asked
        )
        self.client = client
        self.version: str = self.client.create_rsa_key("key", size=2048).properties.version
        self.application = kms.azure.put_application(*NEEDED["AZURE"], roles=["Key Vault Reader"])
        self.ways = {
            "disable": (lambda: self._enable(False), lambda: self._enable(True)),
            "delete": (
                lambda: self.client.begin_delete_key("key").wait(),
                lambda: self.client.begin_recover_deleted_key("key").wait(),
            ),
            "permission": (lambda: self.grant("get", "list", "encrypt"), lambda: self.grant(*NEEDED["AZURE"])),
        }

    def grant(self, *permissions: str, roles: tuple[str, ...] = ("Key Vault Reader",)) -> None:
        known = self._known
        self.kms.azure.put_application(revoke=True, **known)
        if permissions or roles:
            self.kms.azure.put_application(*permissions, roles=roles, **known)

    def lose_credentials(self) -> None:
        self.kms.clock.advance(hours=2)

    def destroy(self) -> None:
        self.client.begin_delete_key("key").wait()
        self.client.purge_deleted_key("key")

    def url(self, name: str, version: str, vault: str = vault) -> str:
        return f"https://{vault}.vault.azure.net/keys/{name}/{version}"

    def key_of_second_vault(self) -> str:
        """Make a key in `local-vault-2`, at 127.0.0.2, with which the control plane may do the same; return its URL."""
        vault = "local-vault-2"
        maker = self.kms.azure.put_application("all", vault=vault)
        with self.kms.azure.key_client("127.0.0.2", application=maker, verify_challenge_resource=False) as client:
            version = str(client.create_rsa_key("key", size=2048).properties.version)
        self.kms.azure.put_application(*NEEDED["AZURE"], roles=["Key Vault Reader"], vault=vault, **self._known)
        return self.url("key", version, vault)

    def block(self) -> dict[str, Any]:
        made = self.application
        who = {"clientID": made.client_id, "tenantID": made.tenant, "secret": made.secret, "azureEnvironment": "AZURE"}
        where = {"subscriptionID": SUBSCRIPTION_DEFAULT, "resourceGroupName": GROUP_DEFAULT, "keyVaultName": self.vault}
        return {"enabled": True, **who, **where, "keyIdentifier": self.url("key", self.version)}

    def new_key(self) -> dict[str, str]:
        return {"keyIdentifier": self.url("key", self.client.create_rsa_key("key", size=2048).properties.version)}

    def new_credentials(self) -> dict[str, str]:
        known = self._known
        return {"secret": self.kms.azure.put_application(secret="another-secret", **known).secret}

    def short_lived(self) -> dict[str, str]:
        """Return a secret that is good for an hour."""
        known = self._known
        ends = self.kms.clock.now() + timedelta(hours=1)
        return {"secret": self.kms.azure.put_application(secret="short-lived", secret_expires=ends, **known).secret}

    @property
    def _known(self) -> dict[str, Any]:
        return {"client_id": self.application.client_id, "tenant": self.application.tenant}

    def _enable(self, enabled: bool) -> None:
        self.client.update_key_properties("key", version=self.version, enabled=enabled)


class Gcp(Cloud):
    provider = "GCP"

    def __init__(self, kms: KmsEmulator) -> None:
        super().__init__(kms)
        client: Any = kms.gcp.kms_client("grpc-tls", account=kms.gcp.put_account("owner", "roles/owner"))
        self.client = client
        self.client.create_key_ring(parent=RING.rpartition("/keyRings")[0], key_ring_id="ring", key_ring={})
        key = self.client.create_crypto_key(parent=RING, crypto_key_id="key", crypto_key={"purpose": "ENCRYPT_DECRYPT"})
        self.key, self.version = key.name, key.primary.name
        self.account = kms.gcp.put_account("atlas", *NEEDED["GCP"])
        self.ways = {
            "disable": (lambda: self._set("DISABLED"), lambda: self._set("ENABLED")),
            "delete": (lambda: self.client.destroy_crypto_key_version(name=self.version), self._recover),
            "permission": (lambda: self.grant(VIEW), lambda: self.grant(*NEEDED["GCP"])),
        }

    def grant(self, *permissions: str) -> None:
        self.kms.gcp.put_account("atlas", *permissions)

    def block(self) -> dict[str, Any]:
        key_file = json.dumps(self.account.key_file)
        return {"enabled": True, "serviceAccountKey": key_file, "keyVersionResourceID": self.version}

    def new_key(self) -> dict[str, str]:
        made = self.client.create_crypto_key_version(parent=self.key, crypto_key_version={})
        return {"keyVersionResourceID": made.name}

    def new_credentials(self) -> dict[str, str]:
        return {"serviceAccountKey": json.dumps(self.kms.gcp.put_account("atlas", *NEEDED["GCP"]).key_file)}

    def lose_credentials(self) -> None:
        self.kms.gcp.remove_account(self.account)

    def _set(self, state: str) -> None:
        version = {"name": self.version, "state": state}
        self.client.update_crypto_key_version(crypto_key_version=version, update_mask={"paths": ["state"]})

    def _recover(self) -> None:
        self.client.restore_crypto_key_version(name=self.version)
        self._set("ENABLED")


CLOUDS: Mapping[Provider, type[Cloud]] = {"AWS": Aws, "AZURE": Azure, "GCP": Gcp}

FAULTS: Mapping[str, dict[str, Any]] = {
    "refused": {"kind": "close"},
    "5xx": {"kind": "unavailable"},
    "throttled": {"kind": "throttle"},
    "blocked": {"kind": "addresses", "networks": ["10.0.0.0/8"]},
    "hangs": {"kind": "hang"},
}
"""Five ways to be unreachable, as faults of the emulator."""


def be_unreachable(cloud: Cloud, how: str) -> None:
    """Let nobody reach a cloud from now on, in one of the ways of `FAULTS`."""
    fields = dict(FAULTS[how])
    cloud.kms.faults.add(fields.pop("kind"), provider=cloud.provider.lower(), **fields)


@pytest.fixture(scope="module")
def kms() -> Iterator[KmsEmulator]:
    """An emulator to which the SDKs are led."""
    with KmsEmulator(strict_auth=True) as kms, leading_to(kms):
        yield kms


@pytest.fixture
def cloud(kms: KmsEmulator, request: pytest.FixtureRequest) -> Cloud:
    kms.reset()
    kind: Provider = request.param
    return CLOUDS[kind](kms)


@pytest.fixture
def aws(kms: KmsEmulator) -> Aws:
    kms.reset()
    return Aws(kms)


@pytest.fixture
def azure(kms: KmsEmulator) -> Azure:
    kms.reset()
    return Azure(kms)


@pytest.fixture
def google(kms: KmsEmulator) -> Gcp:
    kms.reset()
    return Gcp(kms)
