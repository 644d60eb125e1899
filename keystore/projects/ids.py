"""Ids of what the API names: 24 hexadecimal digits, as in the Atlas API."""

import re
import secrets

_ID = re.compile("[0-9a-f]{24}")

END = r"$(?!\n)"
"""End of a text in a pattern of the API, to every reader of patterns: Python's `$` is also before a last newline."""

PATTERN = f"^{_ID.pattern}{END}"


def new_id() -> str:
    """Return an id that nobody has: 96 random bits."""
    return secrets.token_hex(12)


def is_id(text: str) -> bool:
    """Return whether a text may be an id."""
    return _ID.fullmatch(text) is not None
