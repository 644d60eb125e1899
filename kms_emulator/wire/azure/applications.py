"""Applications of tenants, as identities: who they are, and the secrets that prove it. In the model they are named
``azure:TENANT/CLIENT``, and their secrets ``azure:TENANT/CLIENT/NUMBER``.
"""

import hmac
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kms_emulator.core import Core
from kms_emulator.model.identities import Credential, IdentityKind

MANAGED_CLIENT = "72f7c1de-0000-4000-8000-0000000000aa"
"""The client id of the machine's own identity. It is nobody until an application of that id is made."""


@dataclass(frozen=True, slots=True)
class Application:
    """One application."""

    account: str
    client_id: str

    @property
    def name(self) -> str:
        """Return its name in the model."""
        return f"azure:{self.account}/{self.client_id}"

    @property
    def object_id(self) -> str:
        """Return the id of its service principal, which access policies use."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, self.name))

    @property
    def id(self) -> str:
        """Return who it is in Key Vault's words."""
        return f"appid={self.client_id};oid={self.object_id};iss=https://sts.windows.net/{self.account}/"


def find(core: Core, tenant: str, client_id: str) -> Application | None:
    """Return the application, or None if there is none of that id."""
    found = Application(tenant.lower(), client_id.lower())
    identity = core.identities.get(found.name)
    return found if identity is not None and identity.kind is IdentityKind.APPLICATION else None


def was_removed(core: Core, application: Application) -> bool:
    """Tell whether an application of that id was made once and is gone: it is refused, and never taken for nobody."""
    return core.identities.get(application.name) is None and bool(core.identities.credentials_of(application.name))


def application_of(claims: Mapping[str, Any]) -> Application:
    """Return the application that a token was given to; perhaps nobody made it."""
    return Application(str(claims["tid"]), str(claims["appid"]))


def secret_matching(core: Core, application: Application, secret: str) -> Credential | None:
    """Return the secret of an application that is the given one, expired or not; None if none is."""
    for credential in core.identities.credentials_of(application.name):
        if credential.active and hmac.compare_digest(credential.secret.encode(), secret.encode()):
            return credential
    return None
