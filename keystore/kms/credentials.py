"""Credentials that are given by hand, where the clouds' own SDKs would look for some in the environment.

Their secrets stand in no `repr`. What they may do is for the cloud to say.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class AwsCredentials:
    """An access key; with a session token where it is a temporary one."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class AzureCredentials:
    """An application of a tenant (directory), and one of its secrets.

    Attributes:
        authority: where tokens are issued; empty for `AZURE_AUTHORITY_HOST`, then for the endpoint if there is one,
            then for Azure's public cloud.
    """

    tenant_id: str
    client_id: str
    client_secret: str = field(repr=False)
    authority: str = ""


@dataclass(frozen=True)
class GcpCredentials:
    """A service account, by what its JSON key file holds."""

    service_account: Mapping[str, str] = field(repr=False)


Credentials = AwsCredentials | AzureCredentials | GcpCredentials
