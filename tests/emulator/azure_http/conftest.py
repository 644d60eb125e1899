"""An emulator with HTTPS for each module, and unmodified clients of Azure that talk to it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from azure.core.credentials import AccessToken
from azure.identity import ClientSecretCredential
from azure.keyvault.keys import KeyClient
from keystore_api.admin.v1 import admin_pb2
from keystore_api.admin.v1.admin_pb2_grpc import AdminStub

from kms_emulator.core import Core
from tests.emulator.running import Running


class AnyToken:
    """A credential whose token is nobody's."""

    def get_token(self, *scopes: str, **_: object) -> AccessToken:
        return AccessToken("a-token-of-nobody", 1 << 33)


@pytest.fixture(scope="module")
def served() -> Iterator[Running]:
    found = Running(Core(), http=True, https=True)
    yield found
    found.stop()


@pytest.fixture
def emulator(served: Running) -> Running:
    served.core.reset()
    return served


@pytest.fixture
def connect(emulator: Running) -> Iterator[Callable[..., KeyClient]]:
    """Return a client of the vault at an address; it makes no second attempt."""
    with ExitStack() as stack:

        def connect(host: str = "127.0.0.1", **options: object) -> KeyClient:
            url = f"https://{host}:{emulator.server.https_port}"
            ca = emulator.server.ca
            made = KeyClient(url, AnyToken(), **{"connection_verify": ca, "retry_total": 0} | options)
            return stack.enter_context(made)

        yield connect


@pytest.fixture
def keys(connect: Callable[..., KeyClient]) -> KeyClient:
    return connect()


@pytest.fixture
def admin(emulator: Running) -> AdminStub:
    return AdminStub(emulator.channel)


@pytest.fixture
def strict(emulator: Running) -> Iterator[Running]:
    emulator.core.strict_auth = True
    yield emulator
    emulator.core.strict_auth = False


@pytest.fixture
def sign_in(emulator: Running) -> Callable[..., KeyClient]:
    def sign_in(application: admin_pb2.Application, secret: str = "") -> KeyClient:
        server = emulator.server
        credential = ClientSecretCredential(
            application.tenant,
            application.client_id,
            secret or application.secret,
            authority=str(server.https_url),
            disable_instance_discovery=True,
            connection_verify=server.ca,
            retry_total=0,
        )
        return KeyClient(str(server.https_url), credential, connection_verify=server.ca, retry_total=0)

    return sign_in
