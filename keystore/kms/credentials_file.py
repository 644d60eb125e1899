"""The credentials file: credentials by name, so that a record can say which were used and hold no secret.

TOML, a section for each; `provider` says what else stands in it:

    [backup-2025]
    provider = "aws"
    access_key_id = "AKIA…"
    secret_access_key = "…"
    session_token = "…"                     # only of temporary ones

    [vault-app]
    provider = "azure"
    tenant_id = "…"
    client_id = "…"
    client_secret = "…"
    authority = "https://…"                 # only outside the public cloud

    [google]
    provider = "gcp"
    service_account_file = "key.json"       # a path beside this file, or an absolute one

Names of sections go into manifests and reports, what is in them does not. Errors name a section and a key of it, never
a value.
"""

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from keystore.errors import CredentialsFileError
from keystore.format.names import name_problem
from keystore.kms.credentials import AwsCredentials, AzureCredentials, Credentials, GcpCredentials

ENVIRONMENT: Final = "KEYSTORE_CREDENTIALS_FILE"
"""Environment variable that names the file."""
CHOSEN: Final = "KEYSTORE_CREDENTIALS"
"""Environment variable that names the sections to use at present, separated by commas, at most one for each cloud."""

FILE_BYTES_MAX: Final = 1 << 20
"""LIMIT: bytes of the file, and of a service account's key."""

_KEYS: Final[Mapping[str, tuple[frozenset[str], frozenset[str]]]] = {
    "aws": (frozenset({"access_key_id", "secret_access_key"}), frozenset({"session_token"})),
    "azure": (frozenset({"tenant_id", "client_id", "client_secret"}), frozenset({"authority"})),
    "gcp": (frozenset({"service_account_file"}), frozenset()),
}
"""What a section must have, and what it may have besides, by its provider."""


@dataclass(frozen=True)
class Section:
    """Credentials under their name."""

    name: str
    provider: str
    credentials: Credentials


class CredentialsFile:
    """A credentials file that was read, and which of its sections are the present ones."""

    def __init__(self, path: Path, sections: Mapping[str, Section], chosen: Mapping[str, Section]) -> None:
        self._path, self._sections, self._chosen = path, sections, chosen

    def __repr__(self) -> str:
        return f"<CredentialsFile {self._path}>"

    def section(self, name: str) -> Section | None:
        """Return the section of that name, or None."""
        return self._sections.get(name)

    def present(self, provider: str) -> Section | None:
        """Return the section that is in use for a provider, or None: then its SDK finds some."""
        return self._chosen.get(provider)


def load(path: str | os.PathLike[str] | None = None, chosen: str | None = None) -> CredentialsFile | None:
    """Read the credentials file; None where none is named.

    Args:
        path: by default what the environment says (`KEYSTORE_CREDENTIALS_FILE`).
        chosen: names of the sections that are in use, separated by commas; by default what the environment says
            (`KEYSTORE_CREDENTIALS`). Without any, the SDKs find credentials, and the sections are for records only.

    Raises:
        CredentialsFileError: it cannot be read, or is none; nothing was sent.
    """
    named = path or os.environ.get(ENVIRONMENT)
    names = [name.strip() for name in (chosen or os.environ.get(CHOSEN) or "").split(",") if name.strip()]
    if not named:
        if names:
            raise CredentialsFileError(
                f"credentials {names[0]!r} are named, and no file that has them. Nothing was sent; name the file "
                f"(--credentials-file or {ENVIRONMENT})."
            )
        return None
    place = Path(named)
    sections = {name: _section(place, name, values) for name, values in _read(place).items()}
    return CredentialsFile(place, sections, _chosen(place, sections, names))


def _chosen(path: Path, sections: Mapping[str, Section], names: list[str]) -> dict[str, Section]:
    found: dict[str, Section] = {}
    for name in names:
        section = sections.get(name)
        if section is None:
            known = ", ".join(sorted(sections)) or "none"
            raise _refused(path, f"it has no section {name!r}, but {known}")
        if section.provider in found:
            raise _refused(path, f"{found[section.provider].name!r} and {name!r} are both for {section.provider}")
        found[section.provider] = section
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        data = _bytes_of(path)
        return tomllib.loads(data.decode())
    except OSError as error:
        raise _refused(path, f"it cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise _refused(path, "it is not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        # The text of the error may quote a value; its end has the place.
        place = str(error).rpartition("(")[2].rstrip(")") if "(" in str(error) else "somewhere"
        raise _refused(path, f"it is not TOML ({place})") from None


def _bytes_of(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(FILE_BYTES_MAX + 1)
    if len(data) > FILE_BYTES_MAX:
        raise OSError(27, f"it has more than {FILE_BYTES_MAX} bytes")
    return data


def _section(path: Path, name: str, values: Any) -> Section:
    if not isinstance(values, dict):
        raise _refused(path, f"{name!r} stands outside a section")
    problem = name_problem(name, path=True) or ("it has a comma" if "," in name else None)
    if problem:
        raise _refused(path, f"the name of section {name[:80]!r} cannot be one: {problem}")
    provider = str(values.get("provider"))
    if provider not in _KEYS:
        raise _refused(path, f"section {name!r} needs a provider: {', '.join(_KEYS)}")
    needed, allowed = _KEYS[provider]
    given = set(values) - {"provider"}
    if needed - given:
        raise _refused(path, f"section {name!r} lacks {', '.join(sorted(needed - given))}")
    if given - needed - allowed:
        raise _refused(
            path, f"section {name!r} has {', '.join(sorted(given - needed - allowed))}, which {provider} has not"
        )
    for key in sorted(given):
        if not isinstance(values[key], str) or not values[key]:
            raise _refused(path, f"{key} of section {name!r} is not a text")
    return Section(name, provider, _credentials(path, name, provider, values))


def _credentials(path: Path, name: str, provider: str, values: Mapping[str, str]) -> Credentials:
    if provider == "aws":
        return AwsCredentials(values["access_key_id"], values["secret_access_key"], values.get("session_token"))
    if provider == "azure":
        application = values["tenant_id"], values["client_id"], values["client_secret"]
        return AzureCredentials(*application, authority=values.get("authority", ""))
    return GcpCredentials(_service_account(path, name, path.parent / values["service_account_file"]))


def _service_account(path: Path, name: str, key: Path) -> Mapping[str, str]:
    try:
        found = json.loads(_bytes_of(key))
    except OSError as error:
        raise _refused(path, f"{key} of section {name!r} cannot be read: {error.strerror}") from None
    except ValueError:
        raise _refused(path, f"{key} of section {name!r} is not JSON") from None
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise _refused(path, f"{key} of section {name!r} is not the key of a service account")
    return found


def _refused(path: Path, found: str) -> CredentialsFileError:
    return CredentialsFileError(f"the credentials file {path} cannot be used: {found}. Nothing was sent; correct it.")
