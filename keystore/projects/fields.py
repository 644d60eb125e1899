"""What a customer may write into `encryptionAtRest`: the fields of each provider and the rule of every one. Pure.

Whether a key or a credential works is asked of the provider (`keystore.projects.checks`); who may change what, and
when, is for `keystore.projects.configurations`.

Invariants:
1. A field that is not listed is refused, so a misspelt one is never taken for one that was left out.
2. A refusal names the field and, of public ones only, the value.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, cast

from keystore.crypto.private_keys import is_rsa_key
from keystore.errors import ApiError
from keystore.kms.uri import KeyUri

Provider = Literal["AWS", "AZURE", "GCP"]

BLOCKS: Final[Mapping[Provider, str]] = {"AWS": "awsKms", "AZURE": "azureKeyVault", "GCP": "googleCloudKms"}
"""The provider's object in a body."""

AWS_REGIONS: Final = (
    *("US_EAST_1", "US_EAST_2", "US_WEST_1", "US_WEST_2", "US_GOV_EAST_1", "US_GOV_WEST_1"),
    *("CA_CENTRAL_1", "CA_WEST_1", "MX_CENTRAL_1", "SA_EAST_1"),
    *("EU_CENTRAL_1", "EU_CENTRAL_2", "EU_NORTH_1", "EU_SOUTH_1", "EU_SOUTH_2", "EU_WEST_1", "EU_WEST_2", "EU_WEST_3"),
    *("AP_EAST_1", "AP_EAST_2", "AP_NORTHEAST_1", "AP_NORTHEAST_2", "AP_NORTHEAST_3", "AP_SOUTH_1", "AP_SOUTH_2"),
    *("AP_SOUTHEAST_1", "AP_SOUTHEAST_2", "AP_SOUTHEAST_3", "AP_SOUTHEAST_4", "AP_SOUTHEAST_5", "AP_SOUTHEAST_6"),
    *("AP_SOUTHEAST_7", "CN_NORTH_1", "CN_NORTHWEST_1"),
    *("AF_SOUTH_1", "IL_CENTRAL_1", "ME_CENTRAL_1", "ME_SOUTH_1"),
)
"""Regions that have KMS; requirements, row R71. KMS is regional, so GLOBAL is none of them."""

VAULT_DOMAINS: Final[Mapping[str, str]] = {
    "AZURE": "vault.azure.net",
    "AZURE_CHINA": "vault.azure.cn",
    "AZURE_US_GOVERNMENT": "vault.usgovcloudapi.net",
}
"""Azure's clouds, and the domain of each one's vaults."""

SERVICE_ACCOUNT_FIELDS: Final = ("client_email", "private_key", "private_key_id", "project_id", "token_uri")
"""What the JSON key of a service account must have, besides its type."""

TEXT_CHARACTERS_MAX: Final = 2048
"""LIMIT: characters of a field; as many as an AWS key id may have."""
SECRET_CHARACTERS_MAX: Final = 16384
"""LIMIT: characters of a secret; a service account's JSON key has about 2400."""

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_AWS_KEY = r"([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|mrk-[0-9a-f]{32})"
_AWS_ARN = re.compile(
    rf"arn:(?P<partition>aws|aws-cn|aws-us-gov):kms:(?P<region>[a-z0-9-]+):[0-9]{{12}}:key/{_AWS_KEY}"
)
_AWS_KEY_ID = re.compile(_AWS_KEY)
_ACCESS_KEY = re.compile(r"\w{16,128}", re.ASCII)
_ROLE = re.compile(r"[0-9a-f]{24}")
_VAULT = re.compile(r"(?=.{3,24}\Z)[A-Za-z][A-Za-z0-9]*(-[A-Za-z0-9]+)*")
_GROUP = re.compile(r"[\w().-]{0,89}[\w()-]")
_KEY_URL = re.compile(
    r"https://(?P<vault>[A-Za-z0-9-]{3,24})\.(?P<domain>[a-z.]+)/keys/[0-9A-Za-z-]{1,127}/[0-9a-fA-F]{32}"
)
_GCP_KEY = re.compile(
    r"projects/([a-z][a-z0-9.-]{0,62}:)?[a-z][a-z0-9-]{4,28}[a-z0-9]/locations/[a-z0-9-]{1,63}"
    r"/keyRings/[A-Za-z0-9_-]{1,63}/cryptoKeys/[A-Za-z0-9_-]{1,63}/cryptoKeyVersions/[1-9][0-9]{0,17}"
)
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,255}")


@dataclass(frozen=True)
class Rule:
    """A field of a provider.

    Attributes:
        shape: what it must match; of a secret, what it must at least be.
        meaning: for people, after "must be".
        code: of the error when it does not.
        role: whether it says who calls, which key, or where; while a key is invalid only who and where may change.
        meant: turns another form of it that people know into ours, to be named where it is refused; of no secret.
    """

    shape: Callable[[str], bool]
    meaning: str
    code: str
    role: Literal["who", "key", "where"] = "who"
    secret: bool = False
    optional: bool = False
    meant: Callable[[str], str] | None = None


def _our_region(region: str) -> str:
    """Return a region of AWS as the API writes it; see `aws_region`."""
    return region.upper().replace("-", "_")


def _like(pattern: re.Pattern[str]) -> Callable[[str], bool]:
    return lambda text: pattern.fullmatch(text) is not None


def _is_key_of_aws(text: str) -> bool:
    return _AWS_KEY_ID.fullmatch(text) is not None or _AWS_ARN.fullmatch(text) is not None


def _is_secret(text: str) -> bool:
    return 0 < len(text) <= SECRET_CHARACTERS_MAX and text.isprintable() and text == text.strip()


def _is_service_account(text: str) -> bool:
    """Tell whether a text is the JSON key of a service account, down to its private key."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return False
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        return False
    if found.get("type") != "service_account" or not all(found.get(name) for name in SERVICE_ACCOUNT_FIELDS):
        return False
    return is_rsa_key(found["private_key"]) and _EMAIL.fullmatch(found["client_email"]) is not None


_UUID_RULE = (_like(_UUID), "a UUID", "INVALID_ATTRIBUTE")
_ROLE_RULE = Rule(_like(_ROLE), "24 hexadecimal digits", "INVALID_ATTRIBUTE", optional=True)
_AZURE_KEY_FORMAT = "AZURE_KEY_VAULT_KEY_IDENTIFIER_INVALID_FORMAT"

RULES: Final[Mapping[Provider, Mapping[str, Rule]]] = {
    "AWS": {
        "accessKeyID": Rule(_like(_ACCESS_KEY), "16 to 128 letters and digits", "INVALID_ATTRIBUTE"),
        "secretAccessKey": Rule(_is_secret, "a text without blanks at its ends", "INVALID_ATTRIBUTE", secret=True),
        "customerMasterKeyID": Rule(
            _is_key_of_aws, "a key id, a multi-Region key id (mrk-…) or the ARN of a key", "INVALID_ATTRIBUTE", "key"
        ),
        "region": Rule(
            AWS_REGIONS.__contains__,
            f"a region that has KMS: {', '.join(sorted(AWS_REGIONS))}",
            "AWS_KMS_REGION_NOT_SUPPORTED",
            "key",
            meant=_our_region,
        ),
        "roleId": _ROLE_RULE,
    },
    "AZURE": {
        "clientID": Rule(*_UUID_RULE),
        "tenantID": Rule(*_UUID_RULE),
        "secret": Rule(_is_secret, "a text without blanks at its ends", "INVALID_ATTRIBUTE", secret=True),
        "azureEnvironment": Rule(
            VAULT_DOMAINS.__contains__,
            f"one of {', '.join(VAULT_DOMAINS)}",
            "AZURE_KEY_VAULT_ENVIRONMENT_NOT_SUPPORTED",
            "where",
        ),
        "subscriptionID": Rule(*_UUID_RULE, "where"),
        "resourceGroupName": Rule(
            _like(_GROUP),
            "1 to 90 letters, digits, underscores, hyphens, parentheses and periods, with no period at its end",
            "INVALID_ATTRIBUTE",
            "where",
        ),
        "keyVaultName": Rule(
            _like(_VAULT),
            "3 to 24 letters, digits and single hyphens, with a letter first and no hyphen last",
            "INVALID_ATTRIBUTE",
            "where",
        ),
        "keyIdentifier": Rule(
            _like(_KEY_URL),
            "the full URL of a key version, https://VAULT.vault.azure.net/keys/NAME/VERSION",
            _AZURE_KEY_FORMAT,
            "key",
        ),
    },
    "GCP": {
        "serviceAccountKey": Rule(
            _is_service_account, "the JSON key of a service account, as a text", "INVALID_ATTRIBUTE", secret=True
        ),
        "keyVersionResourceID": Rule(
            _like(_GCP_KEY),
            "projects/P/locations/L/keyRings/R/cryptoKeys/K/cryptoKeyVersions/N",
            "INVALID_ATTRIBUTE",
            "key",
        ),
    },
}

SWITCHES: Final[Mapping[Provider, frozenset[str]]] = {
    "AWS": frozenset({"enabled", "valid", "requirePrivateNetworking"}),
    "AZURE": frozenset({"enabled", "valid", "requirePrivateNetworking"}),
    "GCP": frozenset({"enabled", "valid"}),
}
"""Fields that are true or false. `valid` is read only: who sends back what GET answered is not refused for it."""


@dataclass(frozen=True)
class Change:
    """What a block asks for: only fields that it names.

    Attributes:
        enabled: None where the block does not say.
    """

    provider: Provider
    enabled: bool | None
    public: Mapping[str, str]
    secrets: Mapping[str, str] = field(repr=False)

    @property
    def names(self) -> frozenset[str]:
        return frozenset({*self.public, *self.secrets})


@dataclass(frozen=True)
class Settings:
    """A whole configuration of one provider: what `require_complete` took."""

    provider: Provider
    public: Mapping[str, str]
    secrets: Mapping[str, str] = field(repr=False)

    @property
    def key_uri(self) -> str:
        return key_uri(self.provider, self.public)


def provider_named(name: object) -> Provider:
    """Return a provider by its name.

    Raises:
        ApiError: 400; there are three.
    """
    if isinstance(name, str) and name in BLOCKS:
        return cast(Provider, name)
    raise ApiError(
        400,
        "INVALID_ENCRYPTION_AT_REST_PROVIDER",
        f"{_shown(name)} is not a provider of encryption at rest; there are {', '.join(BLOCKS)}. Nothing was changed.",
        parameters=(_shown(name),),
        field="encryptionAtRestProvider",
    )


def read_body(body: object) -> list[Change]:
    """Read the body of a PATCH: one change for each provider that it names.

    Raises:
        ApiError: 400; names the field.
    """
    if not isinstance(body, dict) or not body:
        raise _invalid("", "a JSON object with awsKms, azureKeyVault or googleCloudKms")
    for name in body:
        if name not in (*BLOCKS.values(), "enabledForSearchNodes"):
            raise _invalid(_shown(name), f"one of {', '.join(BLOCKS.values())}")
    if body.get("enabledForSearchNodes", False) is not False:
        raise _invalid("enabledForSearchNodes", "false: there are no search nodes")
    return [read_block(provider, body[block]) for provider, block in BLOCKS.items() if block in body]


def read_block(provider: Provider, block: object) -> Change:
    """Read one provider's object; what it leaves out stays as it is.

    Raises:
        ApiError: 400; names the field.
    """
    where, rules = BLOCKS[provider], RULES[provider]
    if not isinstance(block, dict):
        raise _invalid(where, "a JSON object")
    public: dict[str, str] = {}
    secrets: dict[str, str] = {}
    for name, value in block.items():
        if name in SWITCHES[provider]:
            _read_switch(where, name, value)
        elif name in rules:
            (secrets if rules[name].secret else public)[name] = _read_text(where, name, rules[name], value)
        else:
            raise _invalid(f"{where}.{_shown(name)}", f"one of {', '.join(sorted({*rules, *SWITCHES[provider]}))}")
    if "roleId" in public:
        raise ApiError(
            400,
            "CLOUD_PROVIDER_ACCESS_ROLE_NOT_AUTHORIZED",
            f"the project has authorized no role {public['roleId']}. Nothing was changed; give an access key.",
            parameters=(public["roleId"],),
            field=f"{where}.roleId",
        )
    return Change(provider, block.get("enabled"), public, secrets)


def require_complete(provider: Provider, public: Mapping[str, str], secrets: Mapping[str, str]) -> None:
    """Make sure that what a configuration will be is whole, and that its fields fit each other.

    Raises:
        ApiError: 400; names the field.
    """
    where, rules = BLOCKS[provider], RULES[provider]
    missing = [name for name, rule in rules.items() if not (rule.optional or name in public or name in secrets)]
    if missing:
        code = "MISSING_ATTRIBUTE" if len(missing) == 1 else "MISSING_ATTRIBUTES"
        text = f"{where} needs {', '.join(missing)}. Nothing was changed."
        raise ApiError(400, code, text, parameters=tuple(missing), field=f"{where}.{missing[0]}")
    if provider == "AWS":
        _require_region_of_key(public["customerMasterKeyID"], public["region"])
    elif provider == "AZURE":
        _require_vault_of_key(public)


def key_uri(provider: Provider, public: Mapping[str, str]) -> str:
    """Return the key URI (`keystore.kms.uri`) of a complete configuration."""
    if provider == "AWS":
        return f"aws://{aws_region(public['region'])}/{public['customerMasterKeyID']}"
    return public["keyIdentifier"] if provider == "AZURE" else f"gcp://{public['keyVersionResourceID']}"


def with_key(provider: Provider, public: Mapping[str, str], uri: KeyUri) -> Mapping[str, str]:
    """Return a configuration as it is with another key of the provider."""
    if provider == "AWS":
        return {**public, "customerMasterKeyID": uri.key, "region": _our_region(uri.place)}
    name = "keyIdentifier" if provider == "AZURE" else "keyVersionResourceID"
    return {**public, name: uri.text.removeprefix("gcp://")}


def aws_region(region: str) -> str:
    """Return a region as AWS writes it."""
    return region.lower().replace("_", "-")


def _read_switch(where: str, name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise _invalid(f"{where}.{name}", "true or false")
    if name == "requirePrivateNetworking" and value:
        raise _invalid(f"{where}.{name}", "false: there are no private endpoints")


def _read_text(where: str, name: str, rule: Rule, value: object) -> str:
    limit = SECRET_CHARACTERS_MAX if rule.secret else TEXT_CHARACTERS_MAX
    if isinstance(value, str) and 0 < len(value) <= limit and rule.shape(value):
        return value
    said = "" if rule.secret else f" {_shown(value)}"
    meant = rule.meant(value) if rule.meant is not None and isinstance(value, str) else ""
    wanted = f"written as {meant}" if meant and rule.shape(meant) else rule.meaning
    text = f"{where}.{name}{said} must be {wanted}. Nothing was changed."
    raise ApiError(400, rule.code, text, parameters=(name,), field=f"{where}.{name}")


def _require_region_of_key(key: str, region: str) -> None:
    arn = _AWS_ARN.fullmatch(key)
    if arn is None:
        return
    partition = "aws-cn" if region.startswith("CN_") else "aws-us-gov" if region.startswith("US_GOV_") else "aws"
    if (arn["partition"], arn["region"]) != (partition, aws_region(region)):
        raise ApiError(
            400,
            "INVALID_ATTRIBUTE",
            f"the key {key} is not in region {region}. Nothing was changed; give the region of its ARN.",
            parameters=("region",),
            field="awsKms.region",
        )


def _require_vault_of_key(public: Mapping[str, str]) -> None:
    found = _KEY_URL.fullmatch(public["keyIdentifier"])
    vault, cloud = public["keyVaultName"], public["azureEnvironment"]
    if found is None or found["domain"] != VAULT_DOMAINS[cloud]:
        raise ApiError(
            400,
            _AZURE_KEY_FORMAT,
            f"{public['keyIdentifier']} is not the URL of a key of {cloud}, whose vaults are in "
            f"{VAULT_DOMAINS[cloud]}. Nothing was changed.",
            parameters=("keyIdentifier",),
            field="azureKeyVault.keyIdentifier",
        )
    if found["vault"].lower() != vault.lower():
        raise ApiError(
            400,
            "AZURE_KEY_VAULT_KEY_NOT_IN_VAULT",
            f"the key {public['keyIdentifier']} is not in the vault {vault} of the project. Nothing was changed; name "
            "a key of that vault.",
            parameters=("keyIdentifier", vault),
            field="azureKeyVault.keyIdentifier",
        )


def _invalid(name: str, wanted: str) -> ApiError:
    what = name or "the body"
    return ApiError(
        400, "INVALID_ATTRIBUTE", f"{what} must be {wanted}. Nothing was changed.", parameters=(name,), field=name
    )


def _shown(value: Any) -> str:
    """Return a value for a message, not longer than a line, or its kind where it is no text."""
    if not isinstance(value, str):
        return f"({type(value).__name__})"
    text = value if value.isprintable() else ascii(value)
    return text if len(text) <= 120 else text[:117] + "..."
