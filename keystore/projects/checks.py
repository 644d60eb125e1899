"""Asks a provider whether a configuration can be used: describe, encrypt and decrypt of a random probe.

At Azure also whether the vault stands where the configuration says, and whether its keys may be listed. Nothing here
decides what follows; see `keystore.projects.validation`.

Invariants:
1. *Invalid* is said only where the provider answered, and the answer is no. What is not understood, is about the way
   there, or about the provider's health is *unreachable*, also where another call of the same check was refused.
   So is an answer that is not one to what was asked: other bytes than the probe's, another key.
2. A missing permission is named, and so is every other one that can be found missing without it.
3. No secret is in an outcome, nor a part of one, whatever a provider answers.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Final, Literal

from keystore.crypto.secret import SecretKey
from keystore.errors import (
    ApiError,
    CiphertextError,
    InputError,
    KeyDestroyedError,
    KeyDisabledError,
    KeyNotFoundError,
    KeyPendingDeletionError,
    KeyUnusableError,
    KmsCredentialsError,
    KmsError,
    KmsPermissionError,
    KmsUnreachableError,
    cause_and_advice_of,
)
from keystore.format.wrapped import WrappedKey
from keystore.kms import aws_codes, gcp_codes
from keystore.kms.azure_vault import AzureVault, open_vault
from keystore.kms.connect import connect
from keystore.kms.endpoints import ca_file, endpoint_of, is_url, source_address
from keystore.kms.protocol import SECRET_BYTES, KeyDescription, Kms
from keystore.kms.refusals import what_failed
from keystore.kms.uri import parse
from keystore.projects.fields import BLOCKS, Provider, Settings
from keystore.projects.redacting import redact
from keystore.projects.signing_in import azure_credentials, credentials_of

State = Literal["valid", "invalid", "unreachable"]

PROBE_CONTEXT: Final = {"purpose": "probe"}

UNREACHABLE: Final = "ENCRYPTION_AT_REST_KMS_NOT_REACHABLE"
NO_PERMISSION: Final = "NO_PERMISSION_TO_ENCRYPT_DECRYPT"
VAULT_NOT_FOUND: Final = "AZURE_KEY_VAULT_NOT_FOUND"
NOT_FOUND_AT_AWS: Final = "AWS_CUSTOMER_MASTER_KEY_NOT_FOUND"

_AWS, _AZURE, _GCP = "AWS_KMS_CUSTOMER_MASTER_KEY", "AZURE_KEY_VAULT_KEY", "GOOGLE_CLOUD_KMS_KEY_VERSION"

CODES: Final[Mapping[Provider, Mapping[type[KmsError], str]]] = {
    "AWS": {
        KmsCredentialsError: "INVALID_AWS_CREDENTIALS",
        KmsPermissionError: NO_PERMISSION,
        KeyNotFoundError: NOT_FOUND_AT_AWS,
        KeyDisabledError: f"{_AWS}_NOT_ENABLED",
        KeyPendingDeletionError: f"{_AWS}_PENDING_DELETION",
        KeyUnusableError: f"{_AWS}_NOT_SUPPORTED",
        CiphertextError: f"{_AWS}_NOT_SUPPORTED",
    },
    "AZURE": {
        KmsCredentialsError: "INVALID_AZURE_CREDENTIALS",
        KmsPermissionError: NO_PERMISSION,
        KeyNotFoundError: f"{_AZURE}_NOT_FOUND",
        KeyDisabledError: f"{_AZURE}_NOT_ENABLED",
        KeyPendingDeletionError: f"{_AZURE}_PENDING_DELETION",
        KeyUnusableError: f"{_AZURE}_NOT_SUPPORTED",
        CiphertextError: f"{_AZURE}_NOT_SUPPORTED",
    },
    "GCP": {
        KmsCredentialsError: "INVALID_GOOGLE_CLOUD_CREDENTIALS",
        KmsPermissionError: NO_PERMISSION,
        KeyNotFoundError: f"{_GCP}_NOT_FOUND",
        KeyDisabledError: f"{_GCP}_DISABLED",
        KeyPendingDeletionError: f"{_GCP}_DESTROY_SCHEDULED",
        KeyDestroyedError: f"{_GCP}_DESTROYED",
        KeyUnusableError: f"{_GCP}_NOT_SUPPORTED",
        CiphertextError: f"{_GCP}_NOT_SUPPORTED",
    },
}
"""What each answer is called, as far as it has a name in Atlas's list of error codes."""

STATES: Final[Mapping[Provider, Mapping[str, type[KmsError]]]] = {
    "AWS": {state: kind for state, kind in aws_codes.STATES.items() if state != "Enabled"},
    "AZURE": {"Disabled": KeyDisabledError},
    "GCP": {state: kind for state, kind in gcp_codes.STATES.items() if state != "ENABLED"},
}
STATE_CODES: Final[Mapping[str, str]] = {
    "PendingImport": f"{_AWS}_PENDING_IMPORT",
    "PENDING_GENERATION": f"{_GCP}_PENDING_GENERATION",
}
"""States that have a code of their own."""

ANSWER_CODES: Final[Mapping[str, str]] = {
    "KeyExpired": f"{_AZURE}_EXPIRED",
    "KeyNotYetValid": f"{_AZURE}_NOT_ACTIVE",
}
"""Answers that have a code of their own."""

READER: Final = "Key Vault Reader"
"""The role by which an application reads where a vault stands."""

PERMISSIONS: Final[Mapping[Provider, tuple[str, str, str]]] = {
    "AWS": ("kms:DescribeKey", "kms:Encrypt", "kms:Decrypt"),
    "AZURE": ("GET", "ENCRYPT", "DECRYPT"),
    "GCP": (
        "cloudkms.cryptoKeyVersions.get",
        "cloudkms.cryptoKeyVersions.useToEncrypt",
        "cloudkms.cryptoKeyVersions.useToDecrypt",
    ),
}
"""What describe, encrypt and decrypt need."""


@dataclass(frozen=True)
class Outcome:
    """What a check found.

    Attributes:
        code: of what is wrong; empty where nothing is.
        detail: the same for people.
        missing: permissions and roles that are missing.
        ends_s: when the key stops to work by itself, in seconds since 1970, where that is known.
    """

    state: State
    code: str = ""
    detail: str = ""
    missing: tuple[str, ...] = ()
    ends_s: int | None = None

    @property
    def is_valid(self) -> bool:
        return self.state == "valid"

    def as_error(self, provider: Provider) -> ApiError:
        """Return the refusal of what was checked."""
        status = 404 if self.code == NOT_FOUND_AT_AWS else 400
        said = f"{self.detail.rstrip('.')}. Nothing was changed."
        return ApiError(status, self.code, said, parameters=self.missing, field=BLOCKS[provider])


def check(settings: Settings, endpoint: str | None = None, source: str | None = None) -> Outcome:
    """Ask the provider; bounded in time, and nothing is changed there.

    Args:
        endpoint: where the provider is; default the environment's, then the cloud itself.
        source: the address that Azure is asked from; default the environment's, then any.
    """
    attempt = _Attempt(settings)
    try:
        if settings.provider == "AZURE":
            with closing(_open_vault(settings, endpoint, source)) as vault:
                attempt.vault(vault)
                attempt.key(vault.key(settings.key_uri))
        else:
            with closing(connect(settings.key_uri, endpoint, None, credentials_of(settings, endpoint), source)) as kms:
                attempt.key(kms)
    except _FoundError as found:
        return found.outcome
    except InputError as error:  # an SDK or an endpoint of ours: it says nothing about the customer's key
        return attempt.outcome("unreachable", UNREACHABLE, cause_and_advice_of(error))
    return attempt.end()


def _open_vault(settings: Settings, endpoint: str | None, source: str | None) -> AzureVault:
    url = endpoint_of("azure", endpoint)
    if url is not None and not is_url(url):
        raise InputError(f"{url} is gRPC, which carries no credentials. Nothing was sent; name the emulator's URL.")
    ca = ca_file() if url is not None else None
    return open_vault(
        parse(settings.key_uri).place, url, azure_credentials(settings, endpoint), ca, source_address(source)
    )


class _FoundError(Exception):
    """A check has its outcome before its last call."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.code)
        self.outcome = outcome


class _Attempt:
    """One check under way: what is missing so far."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._provider = settings, settings.provider
        self._missing: dict[str, str] = {}
        self._ends_s: int | None = None

    def vault(self, vault: AzureVault) -> None:
        """See where the vault stands, and whether its keys may be listed."""
        public = self._settings.public
        group, subscription = public["resourceGroupName"], public["subscriptionID"]
        with self._needing(READER):
            try:
                vault.require_at(subscription, group)
            except KeyNotFoundError:
                text = f"there is no vault {public['keyVaultName']} in resource group {group} of {subscription}"
                raise self._found("invalid", VAULT_NOT_FOUND, text) from None
        with self._needing("LIST"):
            vault.list_keys()

    def key(self, kms: Kms) -> None:
        """Describe the key, and have it encrypt and decrypt a probe."""
        describe, encrypt, decrypt = PERMISSIONS[self._provider]
        with self._needing(describe):
            self._judge(kms.describe())
        wrapped: list[WrappedKey] = []
        with SecretKey.generate(SECRET_BYTES) as probe:
            with self._needing(encrypt):
                wrapped.append(kms.wrap(probe, PROBE_CONTEXT))
            for each in wrapped:
                with self._needing(decrypt), kms.unwrap(each, PROBE_CONTEXT) as returned:
                    if returned != probe:
                        raise CiphertextError(f"{self._settings.key_uri}: the KMS returned other bytes than the probe")

    def end(self) -> Outcome:
        """Return the outcome after the last call."""
        if not self._missing:
            return Outcome("valid", ends_s=self._ends_s)
        kind = "role" if list(self._missing) == [READER] else "permission"
        text = f"the {kind} {' and '.join(self._missing)} is missing: {next(iter(self._missing.values()))}"
        return self.outcome("invalid", NO_PERMISSION, text)

    def outcome(self, state: State, code: str, detail: str) -> Outcome:
        detail = redact(detail, self._settings.secrets.values())
        return Outcome(state, code, detail, tuple(self._missing) if code == NO_PERMISSION else ())

    def _found(self, state: State, code: str, detail: str) -> _FoundError:
        return _FoundError(self.outcome(state, code, detail))

    @contextmanager
    def _needing(self, permission: str) -> Iterator[None]:
        """Note the permission as missing if the block is refused for it; end the check on any other refusal."""
        try:
            yield
        except KmsPermissionError as error:
            self._missing[permission] = what_failed(error)
        except KmsError as error:
            # Bytes that are not the probe's are a fault of who answers: no KMS says no to a key by them.
            is_garbled = isinstance(error, CiphertextError) and not error.code
            if is_garbled or isinstance(error, KmsUnreachableError):
                raise self._found("unreachable", UNREACHABLE, what_failed(error)) from None
            known = next(code for kind, code in CODES[self._provider].items() if isinstance(error, kind))
            raise self._found("invalid", ANSWER_CODES.get(error.code, known), what_failed(error)) from None

    def _judge(self, found: KeyDescription) -> None:
        """End the check if the key's state forbids its use."""
        self._ends_s = found.ends_s
        if found.usable:
            return
        kind = STATES[self._provider].get(found.state, KeyUnusableError)
        unreachable = issubclass(kind, KmsUnreachableError)
        code = STATE_CODES.get(found.state) or CODES[self._provider].get(kind, UNREACHABLE)
        text = f"{self._settings.key_uri}: the key is {found.state} and cannot be used"
        raise self._found("unreachable" if unreachable else "invalid", code, text)


Check = Callable[[Settings], Outcome]
"""A check with all else decided."""
