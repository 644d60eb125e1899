"""The nodes that file systems of this process have open: one object for a directory, whoever asks for it.

`fsspec` makes a file system for each thread and each set of options, and a node can be open once. So they share it;
it closes with the last of them, or with the process.

Leaves to others: nodes that their owner opened.
"""

import atexit
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from keystore.errors import KeystoreError
from keystore.node.directory import Node

KEPT_STORES = 64
"""LIMIT: stores without a user that stay open: who lists a directory opens each file in it soon after."""


@dataclass
class _Shared:
    node: Node
    users: int = 0


_lock = Lock()
_nodes: dict[Path, _Shared] = {}


def take(directory: str | os.PathLike[str], opener: Callable[[], Node]) -> Node:
    """Return the open node of a directory, opened by `opener` if nobody has it; to be given back by `leave`."""
    place = Path(directory).resolve()
    with _lock:
        shared = _nodes.get(place)
        if shared is None:
            shared = _nodes[place] = _Shared(opener())
            shared.node.keep_stores_open(KEPT_STORES)
        shared.users += 1
        return shared.node


def leave(node: Node) -> None:
    """Give a node back; the last one closes it. Errors as `Node.close`."""
    with _lock:
        place, shared = next((each for each in _nodes.items() if each[1].node is node), (None, None))
        if place is None or shared is None:
            return
        shared.users -= 1
        if shared.users:
            return
        del _nodes[place]
    node.close()


def _close_all() -> None:
    for shared in _nodes.values():
        with suppress(KeystoreError):  # every commit is safe, and nobody is left who could be told
            shared.node.close()


def _after_fork_in_child() -> None:
    """The nodes are the parent's: a child opens its own, which the parent's lock refuses while it runs."""
    global _lock
    _lock = Lock()
    _nodes.clear()


atexit.register(_close_all)
os.register_at_fork(after_in_child=_after_fork_in_child)
