"""What a snapshot is taken of: everything this package knows of a node."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from keystore.keys.hierarchy import Database, StoreRecord
from keystore.keys.master import MasterKey
from keystore.pages.pin import Pin

Progress = Callable[[int, int], None]
"""Is told bytes done and bytes in all; called often, so it must be quick."""

PinStore = Callable[[Database, StoreRecord], AbstractContextManager[Pin]]


@dataclass(frozen=True)
class NodeSource:
    """A node with the master key and databases of this moment; every key stays its owner's to wipe."""

    name: str
    master: MasterKey
    databases: Sequence[Database]
    pin: PinStore
