"""The vaults of an embedded emulator: clients of Azure's SDK, applications, and what holds for a vault."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from keystore_api.admin.v1 import admin_pb2 as pb

from kms_emulator.admin.controls import Controls
from kms_emulator.sdks import needed

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken, TokenCredential
    from azure.keyvault.keys import KeyClient

    from kms_emulator.server import Server

FAR_S = 1 << 33
"""When the token of nobody ends, for its client."""

Answer = TypeVar("Answer")


class Emulator(Protocol):
    """What is needed of the emulator."""

    @property
    def server(self) -> "Server":
        """The running server."""

    def _ask(self, act: Callable[[Controls], Answer]) -> Answer:
        """Act on the core between two calls."""


@dataclass(frozen=True, slots=True)
class Application:
    """An application of a tenant, with one of its secrets."""

    tenant: str
    client_id: str
    object_id: str
    secret: str = field(repr=False)


class Nobody:
    """A credential whose token the emulator did not make."""

    def get_token(self, *scopes: str, **_: object) -> "AccessToken":
        from azure.core.credentials import AccessToken

        return AccessToken("nobody", FAR_S)


class Azure:
    """Azure's side of a running emulator."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator

    @property
    def ca_file(self) -> str:
        """Return the path of the certificate that clients trust; RuntimeError if HTTPS is not installed."""
        return self._served(self._emulator.server.ca)

    def vault_url(self, host: str = "127.0.0.1") -> str:
        """Return the URL of the vault at a host: 127.0.0.1 to 127.0.0.8, or a name that leads here."""
        self._served(self._emulator.server.ca)
        return f"https://{host}:{self._emulator.server.https_port}"

    def key_client(
        self, host: str = "127.0.0.1", *, application: Application | None = None, **options: Any
    ) -> "KeyClient":
        """Return an unmodified client of azure-keyvault-keys for the vault at a host; the caller closes it.

        It calls as `application`, with its secret. Without one its token is nobody's: such a caller may do everything,
        and under `strict_auth` nothing. All other options go to the client.
        """
        with needed("azure"):
            from azure.keyvault.keys import KeyClient

        credential = self._credential(application) if application is not None else Nobody()
        return KeyClient(self.vault_url(host), credential, **{"connection_verify": self.ca_file} | options)

    def put_application(
        self,
        *permissions: str,
        client_id: str = "",
        secret: str = "",
        secret_expires: datetime | None = None,
        tenant: str = "",
        vault: str = "",
        roles: Sequence[str] = (),
        revoke: bool = False,
    ) -> Application:
        """Make an application, give one another secret, or say what it may do in a vault (`local-vault` by default).

        Permissions are those of access policies: ``"get"``, ``"wrapKey"`` and so on, or ``"all"``. Roles are Azure's,
        such as ``"Key Vault Crypto User"``; they decide about keys of a vault that goes by roles. A fresh secret comes
        with a new application unless one is given. ValueError says what is wrong, and nothing was changed.
        """
        request = pb.PutApplicationRequest(
            permissions=permissions,
            client_id=client_id,
            secret=secret,
            tenant=tenant,
            vault=vault,
            roles=roles,
            revoke=revoke,
        )
        if secret_expires is not None:
            if secret_expires.tzinfo is None:
                raise ValueError("secret_expires needs a zone")
            request.secret_expires_at.FromDatetime(secret_expires)
        made = self._emulator._ask(lambda controls: controls.put_application(request))
        return Application(made.tenant, made.client_id, made.object_id, secret or made.secret)

    def remove_application(self, application: Application) -> None:
        """Remove an application: its secrets and tokens are refused from now on."""
        request = pb.RemoveApplicationRequest(tenant=application.tenant, client_id=application.client_id)
        self._emulator._ask(lambda controls: controls.remove_application(request))

    def put_vault(
        self,
        name: str = "local-vault",
        *,
        retention_days: int = 0,
        purge_protection: bool | None = None,
        networks: Sequence[str] | None = None,
        anywhere: bool = False,
        by_roles: bool | None = None,
    ) -> None:
        """Say what holds for a vault: from which networks it answers (`anywhere` ends that), how deleted keys go, and
        whether roles decide about its keys instead of access policies.

        What is not given stays. ValueError says what is wrong, and nothing was changed.
        """
        request = pb.PutVaultRequest(name=name, retention_days=retention_days, networks=networks or ())
        if purge_protection is not None:
            request.purge_protection = purge_protection
        if by_roles is not None:
            request.by_roles = by_roles
        if networks is not None or anywhere:
            request.restricted = not anywhere
        self._emulator._ask(lambda controls: controls.put_vault(request))

    def _credential(self, application: Application) -> "TokenCredential":
        with needed("azure"):
            from azure.identity import ClientSecretCredential

        return ClientSecretCredential(
            application.tenant,
            application.client_id,
            application.secret,
            authority=self.vault_url(),
            disable_instance_discovery=True,
            connection_verify=self.ca_file,
        )

    @staticmethod
    def _served(place: str | None) -> str:
        if place is None:
            raise RuntimeError("HTTPS needs more packages: pip install 'cmk-keystore[emulator]'")
        return place
