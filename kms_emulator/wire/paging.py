"""Lists in pages. The token is the last name given, so a list that changes between two pages loses nothing it kept."""

from collections.abc import Callable, Sequence
from typing import TypeVar

Item = TypeVar("Item")


def page(items: Sequence[Item], name: Callable[[Item], str], after: str, limit: int) -> tuple[list[Item], str]:
    """Return up to `limit` items named after `after`, and the token of the next page ("" if there is none).

    `items` are in the order of `name`.
    """
    rest = [item for item in items if name(item) > after]
    found = rest[:limit]
    return found, name(found[-1]) if len(rest) > limit else ""
