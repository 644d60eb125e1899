"""How far a check of a node has come, in a file that its caller names: it survives a kill, and goes when all is done.

    {"version": 1, "node": HEX, "stores": {HEX: {"next_page": 4096, "damaged": [17], "done": false}}}

Nothing in it is secret, and nothing is trusted: it only says which pages need not be read again.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from keystore.errors import InputError, NodeIOError

VERSION = 1
SAVE_PAGES = 16384
"""LIMIT: pages checked between two savings; so many are read again after a kill."""


@dataclass
class StorePosition:
    """How far the check of one store has come."""

    next_page: int = 0
    damaged: list[int] = field(default_factory=list)
    done: bool = False


class ScrubState:
    """The positions in the stores of one node; without a path nothing is kept."""

    def __init__(self, path: Path | None, node_id: bytes, stores: dict[str, StorePosition]) -> None:
        self._path, self._node_id, self._stores = path, node_id, stores
        self._saved_page = 0

    @classmethod
    def load(cls, path: Path | None, node_id: bytes) -> Self:
        """Read the file, if there is one.

        Raises:
            InputError: something else is there, or it is of another node; it is unchanged.
        """
        if path is None or not path.exists():
            return cls(path, node_id, {})
        try:
            found = json.loads(path.read_bytes())
            if found["version"] != VERSION:
                raise ValueError("another version")
            stores = {str(store_id): _position(value) for store_id, value in found["stores"].items()}
            node = str(found["node"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise InputError(
                f"{path} is no position of a check; it is unchanged. Name a path where nothing is, or that such a "
                "check has left"
            ) from None
        if node != node_id.hex():
            raise InputError(f"{path} is the position of a check of another node; nothing was read")
        return cls(path, node_id, stores)

    def of(self, store_id: bytes) -> StorePosition:
        """Return the position in a store."""
        return self._stores.setdefault(store_id.hex(), StorePosition())

    def advance(self, store_id: bytes, next_page: int, damaged: list[int]) -> None:
        """Note how far a store was read; written down now and then, and when a page is found damaged."""
        position = self.of(store_id)
        news = damaged != position.damaged or not self._saved_page <= next_page < self._saved_page + SAVE_PAGES
        position.next_page, position.damaged = next_page, damaged
        if news:
            self._saved_page = next_page
            self._write()

    def finish(self, store_id: bytes, damaged: list[int]) -> None:
        """Note that a store was read to its end."""
        position = self.of(store_id)
        position.done, position.damaged = True, damaged
        self._saved_page = 0
        self._write()

    def remove(self) -> None:
        """Everything was read: the next check begins anew."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def _write(self) -> None:
        """CRASH: the file is the former one or this one; one that is lost costs time only."""
        if self._path is None:
            return
        stores = {store_id: vars(position) for store_id, position in self._stores.items()}
        content = json.dumps({"version": VERSION, "node": self._node_id.hex(), "stores": stores})
        beside = self._path.with_name(self._path.name + ".new")
        try:
            beside.write_text(content)
            beside.replace(self._path)
        except OSError as error:
            raise NodeIOError(
                f"{self._path} cannot be written: {error.strerror}. Nothing of the node was changed; name another path"
            ) from error


def _position(value: Any) -> StorePosition:
    position = StorePosition(int(value["next_page"]), [int(number) for number in value["damaged"]], bool(value["done"]))
    if position.next_page < 0 or min(position.damaged, default=0) < 0:
        raise ValueError("below zero")
    return position
