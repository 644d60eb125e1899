"""A snapshot that says it is of another's node, by somebody who has the public half of that node's RSA key."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from keystore.crypto.secret import SecretKey
from keystore.crypto.signing import SigningKey
from keystore.format.manifest import NO_LOG, LogPosition
from keystore.keys.hierarchy import Database, StoreRecord
from keystore.keys.master import generate_master
from keystore.kms.protocol import KmsConnector
from keystore.node.directory import Node
from keystore.objects.place import Place
from keystore.pages.pin import Pin
from keystore.snapshots.create import create_snapshot
from keystore.snapshots.source import NodeKeys, NodeSource


def forged_snapshot(
    place: Place,
    victim: bytes,
    key: str,
    connect: KmsConnector,
    evil: Node,
    log_position: Callable[[], LogPosition] = lambda: NO_LOG,
) -> bytes:
    """Take a snapshot of `evil` in the name of the node `victim` under `key`; return its id.

    The wrapped master key, its commitment and the context are as the victim would make them, the signature is by a key
    of the forger's. (The proof that the KMS gives back what it wrapped is one that the forger would leave out.)
    """
    signing = SigningKey.generate()

    @contextmanager
    def held() -> Iterator[NodeKeys]:
        with closing(connect(key)) as kms, generate_master(kms, victim, 1) as master:
            yield NodeKeys(master, evil.databases, signing, SecretKey.generate())

    @contextmanager
    def pin(database: Database, record: StoreRecord) -> Iterator[Pin]:
        with evil.using_store(database.name, record.name) as store, store.pin() as pinned:
            yield pinned

    return create_snapshot(place, NodeSource("victim", held, pin, log_position=log_position)).snapshot_id
