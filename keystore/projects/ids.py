"""Ids of what the API names: 24 hexadecimal digits, as in the Atlas API."""

import re
import secrets

_ID = re.compile("[0-9a-f]{24}")

PATTERN = f"^{_ID.pattern}$"


def new_id() -> str:
    """Return an id that nobody has: 96 random bits."""
    return secrets.token_hex(12)


def is_id(text: str) -> bool:
    """Return whether a text may be an id."""
    return _ID.fullmatch(text) is not None
