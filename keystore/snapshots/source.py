"""What a snapshot is taken of: everything this package knows of a node."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

from keystore.crypto.secret import SecretKey
from keystore.crypto.signing import SigningKey
from keystore.format.manifest import NO_LOG, LogPosition
from keystore.keys.hierarchy import Database, StoreRecord
from keystore.keys.master import MasterKey
from keystore.keys.volume import VolumeKey
from keystore.pages.pin import Pin

PinStore = Callable[[Database, StoreRecord], AbstractContextManager[Pin]]


@dataclass(frozen=True)
class NodeKeys:
    """The keys of a node at one moment, and its databases by name; every key stays its owner's to wipe."""

    master: MasterKey
    databases: Mapping[str, Database]
    signing: SigningKey
    snapshot_secret: SecretKey
    volume: VolumeKey | None = None


@dataclass(frozen=True)
class NodeSource:
    """A node.

    Attributes:
        held: gives its keys, none of which is replaced or wiped before the block ends; so the block is to be short.
        credential: what the credentials are called that it asks its KMS with; never a secret.
        log_position: tells how far its point-in-time log has come; asked before the first store is pinned.
    """

    name: str
    held: Callable[[], AbstractContextManager[NodeKeys]]
    pin: PinStore
    credential: str = ""
    log_position: Callable[[], LogPosition] = lambda: NO_LOG
