"""Service accounts of the tests: made through admin, and the header that Google's library signs for each."""

from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from google.auth.transport.requests import Request
from google.iam.v1 import iam_policy_pb2, policy_pb2
from google.oauth2 import service_account
from keystore_api.admin.v1 import admin_pb2
from keystore_api.admin.v1.admin_pb2_grpc import AdminStub

from kms_emulator.cli.service_account import key_file
from tests.emulator.gcp.keys import Client

AUDIENCE = "https://cloudkms.googleapis.com/"
UNIVERSE = "emulated.test"
"""Not Google's own, for which its library would ask Google where an account may be used from."""

Metadata = list[tuple[str, str]]


@cache
def key_pair(number: int) -> tuple[str, str]:
    """Return a private key and its public half, in PEM; the same for the same number."""
    key = rsa.generate_private_key(65537, 2048)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private.decode(), key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def email_of(name: str) -> str:
    return f"{name}@p.iam.gserviceaccount.com"


def put_account(
    admin: AdminStub, name: str, *roles: str, pair: int = 1, token_uri: str = "", universe: str = UNIVERSE
) -> dict[str, str]:
    """Make a service account with those roles everywhere; return what its key file holds."""
    private, public = key_pair(pair)
    request = admin_pb2.PutServiceAccountRequest(email=email_of(name), roles=roles, public_key=public)
    return key_file(admin.PutServiceAccount(request), private, token_uri or "http://127.0.0.1:9/token", universe)


def signed(info: dict[str, str], audience: str = AUDIENCE) -> Metadata:
    """Return the metadata that Google's library sends with a token that the account signed."""
    made: Any = service_account.Credentials.from_service_account_info(info)  # type: ignore[no-untyped-call]
    credentials = made.with_always_use_jwt_access(True)
    credentials._create_self_signed_jwt(audience)
    headers: dict[str, str] = {}
    credentials.before_request(Request(), "POST", audience, headers)
    return [("authorization", headers["authorization"])]


def bind(client: Client, resource: str, role: str, *names: str) -> Any:
    """Let only these accounts have a role on a key ring or key; return the policy."""
    members = [f"serviceAccount:{email_of(name)}" for name in names]
    policy = policy_pb2.Policy(bindings=[policy_pb2.Binding(role=role, members=members)])
    return client.set_iam_policy(iam_policy_pb2.SetIamPolicyRequest(resource=resource, policy=policy))
