"""Credentials that came over a wire instead of from a file: by name, for a node that another process looks after.

They stand in one message, which is secret as a whole and is never written down.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Final, Self

from keystore.errors import InputError
from keystore.kms.credentials import AwsCredentials, AzureCredentials, Credentials, GcpCredentials
from keystore.kms.credentials_file import Section

MESSAGE_BYTES_MAX: Final = 1 << 20
"""LIMIT: bytes of the message; a service account has about 2,500, and a few sets are in use at once."""

_KINDS: Final[Mapping[str, type[Credentials]]] = {
    "aws": AwsCredentials,
    "azure": AzureCredentials,
    "gcp": GcpCredentials,
}


class GivenCredentials:
    """Credentials by name, and which of them are in use, at most one for each cloud."""

    def __init__(self, sections: Iterable[Section], in_use: Iterable[str]) -> None:
        self._sections = {section.name: section for section in sections}
        self._in_use = tuple(in_use)

    def __repr__(self) -> str:
        return f"<GivenCredentials {', '.join(self._sections)}>"

    def section(self, name: str) -> Section | None:
        """Return the section of that name, or None."""
        return self._sections.get(name)

    def present(self, provider: str) -> Section | None:
        """Return the section that is in use for a provider, or None."""
        found = (self._sections[name] for name in self._in_use)
        return next((section for section in found if section.provider == provider), None)

    def with_sections_of(self, other: Self) -> Self:
        """Return these, and those of `other` as further ones, of which none is in use."""
        return type(self)({**other._sections, **self._sections}.values(), self._in_use)

    def encode(self) -> bytes:
        """Return the message; it holds every secret in clear."""
        sections = [
            {"name": each.name, "provider": each.provider, "credentials": asdict(each.credentials)}
            for each in self._sections.values()
        ]
        return json.dumps({"sections": sections, "in_use": self._in_use}).encode()

    @classmethod
    def decode(cls, message: bytes) -> Self:
        """Return what `encode` made a message of.

        Raises:
            InputError: it is none; what is in it is not shown.
        """
        try:
            if len(message) > MESSAGE_BYTES_MAX:
                raise ValueError
            found = json.loads(message)
            sections = [
                Section(each["name"], each["provider"], _KINDS[each["provider"]](**each["credentials"]))
                for each in found["sections"]
            ]
            names = [section.name for section in sections]
            if not all(isinstance(name, str) for name in names) or not set(found["in_use"]) <= set(names):
                raise ValueError
            return cls(sections, found["in_use"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise InputError("the credentials that were given cannot be read. Nothing was sent or changed.") from None
