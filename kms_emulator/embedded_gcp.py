"""Google's side of an embedded emulator: clients of google-cloud-kms, and service accounts."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from keystore_api.admin.v1 import admin_pb2 as pb

from kms_emulator.admin.controls import Controls
from kms_emulator.sdks import needed

if TYPE_CHECKING:
    from google.cloud.kms import KeyManagementServiceClient

    from kms_emulator.server import Server

PROJECT_DEFAULT = "emulated"
TRANSPORTS = ("grpc", "grpc-tls", "rest")
Answer = TypeVar("Answer")


class Emulator(Protocol):
    """What is needed of the emulator."""

    @property
    def server(self) -> "Server":
        """The running server."""

    @property
    def aws_endpoint(self) -> str:
        """The URL at which HTTP is served."""

    @property
    def grpc_tls_endpoint(self) -> str:
        """``host:port`` of gRPC over TLS."""

    def _ask(self, act: Callable[[Controls], Answer]) -> Answer:
        """Act on the core between two calls."""


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """A service account. `key_file` is what GOOGLE_APPLICATION_CREDENTIALS names a file of."""

    email: str
    key_file: dict[str, str] = field(repr=False)


class Google:
    """Google's side of a running emulator."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator

    def kms_client(
        self, transport: str = "grpc", *, account: ServiceAccount | None = None
    ) -> "KeyManagementServiceClient":
        """Return an unmodified client of google-cloud-kms; the caller closes its `transport`.

        `transport` is ``grpc``, ``grpc-tls`` or ``rest``. The client calls as `account`, then over TLS where it speaks
        gRPC, which sends no tokens in the clear. Without one it sends no token: such a caller may do everything, and
        under `strict_auth` nothing.
        """

        if transport not in TRANSPORTS:
            raise ValueError(f"transport must be one of {', '.join(TRANSPORTS)}")
        with needed("gcp"):
            from google.cloud.kms import KeyManagementServiceClient
        made = self._rest(account) if transport == "rest" else self._grpc(account, tls=transport == "grpc-tls")
        return KeyManagementServiceClient(transport=made)

    def put_account(self, name: str, *roles: str) -> ServiceAccount:
        """Make a service account, or replace its roles, which it holds on everything; give it one more key.

        `name` is an email, or what stands before the @ of one in the project ``emulated``. ValueError says what is
        wrong, and nothing was changed.
        """
        from kms_emulator.cli.service_account import key_file, key_pair

        email = name if "@" in name else f"{name}@{PROJECT_DEFAULT}.iam.gserviceaccount.com"
        private, public = key_pair()
        request = pb.PutServiceAccountRequest(email=email, roles=roles, public_key=public)
        made = self._emulator._ask(lambda controls: controls.put_service_account(request))
        return ServiceAccount(email, key_file(made, private, f"{self._emulator.aws_endpoint}/token", self._universe))

    def remove_account(self, account: ServiceAccount | str) -> None:
        """Remove a service account: its keys and tokens are refused from now on; ValueError if there is none."""
        email = account if isinstance(account, str) else account.email
        request = pb.RemoveServiceAccountRequest(email=email)
        self._emulator._ask(lambda controls: controls.remove_service_account(request))

    def environment(self, transport: str = "grpc") -> dict[str, str]:
        """Return the variables that lead clients of google-cloud-kms here which are made without an endpoint.

        They speak `transport`, ``grpc`` or ``rest``, and call as a service account that may do everything.
        """
        from kms_emulator.cli.env import KEY_FILE
        from kms_emulator.cli.env_gcp import TRANSPORTS, gcp_variables, universe_domain, write_key_file
        from kms_emulator.trust import bundle_of

        if transport not in TRANSPORTS:
            raise ValueError(f"gcp must be one of {', '.join(TRANSPORTS)}")
        server, token_uri = self._emulator.server, f"{self._emulator.aws_endpoint}/token"
        assert server.tls is not None
        universe = universe_domain(transport, server.https_url, server.grpc_tls_endpoint)
        path = server.tls.ca_path.with_name(KEY_FILE.format(transport))

        def put(request: pb.PutServiceAccountRequest) -> pb.ServiceAccount:
            return self._emulator._ask(lambda controls: controls.put_service_account(request))

        write_key_file(path, universe, token_uri, put)
        return gcp_variables(universe, bundle_of(str(server.tls.ca_path)), path)

    @property
    def _universe(self) -> str:
        """Not Google's own, of which its libraries would ask Google where an account may be used from."""
        return f"localhost:{self._emulator.server.grpc_tls_port}"

    def _rest(self, account: ServiceAccount | None) -> Any:
        from google.auth.credentials import AnonymousCredentials
        from google.cloud.kms import KeyManagementServiceClient

        host = self._emulator.aws_endpoint.removeprefix("http://")
        anonymous: Any = AnonymousCredentials
        credentials = _credentials(account) if account is not None else anonymous()
        made = KeyManagementServiceClient.get_transport_class("rest")
        return made(host=host, url_scheme="http", credentials=credentials)

    def _grpc(self, account: ServiceAccount | None, *, tls: bool) -> Any:
        import grpc
        from google.cloud.kms import KeyManagementServiceClient

        made = KeyManagementServiceClient.get_transport_class("grpc")
        if account is None and not tls:
            return made(channel=grpc.insecure_channel(self._emulator.server.endpoint))
        endpoint = self._emulator.grpc_tls_endpoint
        assert self._emulator.server.tls is not None
        secure = grpc.ssl_channel_credentials(self._emulator.server.tls.ca_path.read_bytes())
        if account is not None:
            secure = grpc.composite_channel_credentials(secure, _call_credentials(account))
        return made(channel=grpc.secure_channel(endpoint, secure))


def _credentials(account: ServiceAccount) -> Any:
    from google.oauth2 import service_account

    read: Any = service_account.Credentials.from_service_account_info
    return read(account.key_file).with_always_use_jwt_access(True)


def _call_credentials(account: ServiceAccount) -> Any:
    """Return what puts a token that the account signed on every call."""
    import grpc
    from google.auth.transport.grpc import AuthMetadataPlugin
    from google.auth.transport.requests import Request

    plugin: Any = AuthMetadataPlugin
    signing = plugin(_credentials(account), Request(), default_host="cloudkms.googleapis.com")
    return grpc.metadata_call_credentials(signing)
