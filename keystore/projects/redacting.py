"""Takes secrets out of what somebody else said: a provider may repeat what it was sent, in part or in another form."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote, quote_plus

RUN_CHARACTERS: Final = 12
"""So many characters of a secret in a row are taken out; a secret that is shorter, as a whole."""

_TOKEN = re.compile(r"(?i:bearer)\s+[^\s\"',;]+|eyJ[\w-]{8,}\.[\w-]+(\.[\w-]*)?")
"""What proves who asks, for an hour: a token, by its header or by its look (RFC 7519)."""

_ESCAPE = re.compile(r"%[0-9A-F]{2}")


def redact(text: str, secrets: Iterable[str]) -> str:
    """Return a text with `…` for every part of a secret, and for every token, in it."""
    text = _TOKEN.sub("…", text)
    hidden = {at for secret in secrets for form in _forms(secret) for at in _places(text, form)}
    shown = ("" if at in hidden and at - 1 in hidden else "…" if at in hidden else text[at] for at in range(len(text)))
    return "".join(shown)


def _forms(secret: str) -> set[str]:
    """Return how a secret may be written; of a service account's JSON, its key, for the rest is told in messages."""
    try:
        found = json.loads(secret)
    except ValueError:
        found = None
    raw = str(found.get("private_key", "")) if isinstance(found, dict) else secret
    quoted, escaped = {quote(raw, safe=""), quote_plus(raw)}, json.dumps(raw)[1:-1]
    lower = {_ESCAPE.sub(lambda found: found[0].lower(), each) for each in quoted}
    return {raw, escaped, escaped.replace("/", r"\/"), *quoted, *lower} - {""}


def _places(text: str, secret: str) -> Iterator[int]:
    """Return where in a text characters of a secret are."""
    size = min(RUN_CHARACTERS, len(secret))
    runs = {secret[at : at + size] for at in range(len(secret) - size + 1)}
    for at in range(len(text) - size + 1):
        if text[at : at + size] in runs:
            yield from range(at, at + size)
