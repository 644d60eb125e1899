"""A vault as a whole: whether it stands where its owner says, and whether its keys may be listed.

No node needs this; it is asked before a customer's settings are taken, and while they are in force. Where the vault
stands is told by Azure Resource Manager, which no network rule of the vault is for.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from keystore.errors import KeyNotFoundError, KmsCredentialsError, KmsError, KmsPermissionError, KmsSetupError
from keystore.kms.azure import AzureKms
from keystore.kms.azure_codes import CODES
from keystore.kms.azure_sdk import SdkWire, open_wire, read_answer, sdk_settings, send
from keystore.kms.credentials import AzureCredentials
from keystore.kms.refusals import RefusedError, describe
from keystore.kms.uri import parse

MANAGERS: Final[Mapping[str, str]] = {
    "vault.azure.net": "https://management.azure.com",
    "vault.azure.cn": "https://management.chinacloudapi.cn",
    "vault.usgovcloudapi.net": "https://management.usgovcloudapi.net",
}
"""Where Resource Manager is, by the domain of a cloud's vaults."""

API_VERSION: Final = "2022-07-01"

MANAGER_CODES: Final[Mapping[str, type[KmsError]]] = {
    **CODES,
    "AuthorizationFailed": KmsPermissionError,
    "ResourceNotFound": KeyNotFoundError,
    "ResourceGroupNotFound": KeyNotFoundError,
    "SubscriptionNotFound": KeyNotFoundError,
    "InvalidSubscriptionId": KeyNotFoundError,
    "AuthenticationFailed": KmsCredentialsError,
    "ExpiredAuthenticationToken": KmsCredentialsError,
    "InvalidAuthenticationToken": KmsCredentialsError,
    "InvalidAuthenticationTokenTenant": KmsCredentialsError,
}
"""Resource Manager's codes, besides the vault's."""


class AzureVault:
    """One vault, asked as one application; the caller closes it."""

    def __init__(self, host: str, wire: SdkWire, manager: Any) -> None:
        self._host, self._wire, self._manager = host, wire, manager

    def require_at(self, subscription: str, group: str) -> None:
        """Make sure that the vault is in that resource group, and may be read there.

        Raises:
            KmsError: as `Kms`; KeyNotFoundError for another group or subscription.
        """
        name = self._host.partition(".")[0]
        path = f"/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.KeyVault/vaults/{name}"
        self._asked("read the vault", lambda: self._get(path))

    def list_keys(self) -> None:
        """Ask for the vault's keys; errors as `Kms`."""
        self._asked("GetKeys", self._wire.list_keys)

    def key(self, key_uri: str) -> AzureKms:
        """Return a key of the vault, which shares connections and tokens with this."""
        return AzureKms(parse(key_uri), self._wire)

    def close(self) -> None:
        """Give back connections. May be called twice."""
        self._wire.close()
        self._manager.close()

    def _asked(self, action: str, ask: Callable[[], object]) -> None:
        try:
            ask()
        except RefusedError as error:
            raise describe(error.kind, f"https://{self._host}", action, error.code, error.text) from None

    def _get(self, path: str) -> None:
        from azure.core.rest import HttpRequest

        request = HttpRequest("GET", self._manager.format_url(path), params={"api-version": API_VERSION})
        read_answer(send(lambda: self._manager.send_request(request)), MANAGER_CODES)


def open_vault(
    host: str, url: str | None, credentials: AzureCredentials, ca: str | None = None, source: str | None = None
) -> AzureVault:
    """Open a vault, there or at `url`; nothing is sent yet. Arguments and errors as `azure_sdk.open_wire`."""
    wire = open_wire(host, url, credentials, ca, source)
    from azure.core import PipelineClient
    from azure.core.pipeline.policies import BearerTokenCredentialPolicy

    domain = host.partition(".")[2]
    if domain not in MANAGERS:
        raise KmsSetupError(f"{host} is not a vault of a cloud that is known here. Nothing was sent.")
    settings = sdk_settings(ca if url is not None else None, source)
    policy = BearerTokenCredentialPolicy(wire.credential, f"{MANAGERS[domain]}/.default")
    return AzureVault(host, wire, PipelineClient(url or MANAGERS[domain], policies=[policy], **settings()))
