"""Tells whether a text that a person typed names the key that wrapped something.

A key is what the KMS said it used. A URI or ARN of a key names all its versions; one of a version that one alone. An
alias names a key only where something is configured under it: where it points now, nobody here knows.
"""

from keystore.errors import KeyUriError
from keystore.format.wrapped import WrappedKey
from keystore.kms.states import uri_of
from keystore.kms.uri import KeyUri, parse


class KeyName:
    """What a person typed for a key: a key URI, an ARN, or the name of a key or version at Google."""

    def __init__(self, text: str) -> None:
        """Raises `KeyUriError` where it can be none."""
        self.text = text
        self._uri = parse(_as_uri(text))

    def __str__(self) -> str:
        return self.text

    @property
    def is_alias(self) -> bool:
        return self._uri.provider == "aws" and (self._uri.key.startswith("alias/") or ":alias/" in self._uri.key)

    def names(self, wrapped: WrappedKey) -> bool:
        """Tell whether it names the key that made `wrapped`."""
        if self.text in (wrapped.key_id, wrapped.key_version):
            return True
        if wrapped.provider != self._uri.provider or self.is_alias:
            return False
        try:
            used = parse(uri_of(wrapped))
        except KeyUriError:
            return False
        return _identity(self._uri) == _identity(used) and self._uri.version.lower() in ("", used.version.lower())


def _as_uri(text: str) -> str:
    if text.startswith("arn:"):
        return f"aws://{[*text.split(':'), '', '', '', ''][3]}/{text}"
    return f"gcp://{text}" if text.startswith("projects/") else text


def _identity(uri: KeyUri) -> tuple[str, str]:
    """Return place and key, without what of it may be written in two ways."""
    if uri.provider == "aws":
        return uri.place, uri.key.rpartition("/")[2]
    return (uri.place, uri.key.lower()) if uri.provider == "azure" else (uri.place, uri.key)
