"""Who calls a provider on behalf of a configuration: its fields as the credentials of a KMS client."""

import json
from collections.abc import Mapping
from typing import Final

from keystore.errors import KmsSetupError
from keystore.kms.credentials import AwsCredentials, AzureCredentials, Credentials, GcpCredentials
from keystore.kms.endpoints import endpoint_of
from keystore.projects.fields import Settings

AUTHORITIES: Final[Mapping[str, str]] = {
    "AZURE": "https://login.microsoftonline.com",
    "AZURE_CHINA": "https://login.chinacloudapi.cn",
    "AZURE_US_GOVERNMENT": "https://login.microsoftonline.us",
}
"""Where each of Azure's clouds gives out tokens."""

GOOGLE: Final = "googleapis.com"


def credentials_of(settings: Settings, endpoint: str | None = None) -> Credentials:
    """Return the credentials of a configuration.

    Raises:
        KmsSetupError: its service account is of a universe that is not Google's, and nobody named an endpoint: its key
            would lead this machine anywhere.
    """
    if settings.provider == "AWS":
        return AwsCredentials(settings.public["accessKeyID"], settings.secrets["secretAccessKey"])
    if settings.provider == "AZURE":
        return azure_credentials(settings, endpoint)
    account: dict[str, str] = json.loads(settings.secrets["serviceAccountKey"])
    universe = account.get("universe_domain", GOOGLE)
    if universe != GOOGLE and endpoint_of("gcp", endpoint) is None:
        raise KmsSetupError(f"the service account is of {universe[:80]!r}, not of Google. Nothing was sent.")
    return GcpCredentials(account)


def azure_credentials(settings: Settings, endpoint: str | None = None) -> AzureCredentials:
    """Return the application of a configuration; at an endpoint that gives out its tokens too."""
    public = settings.public
    authority = "" if endpoint_of("azure", endpoint) else AUTHORITIES[public["azureEnvironment"]]
    return AzureCredentials(public["tenantID"], public["clientID"], settings.secrets["secret"], authority)
