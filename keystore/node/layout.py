"""Where things lie in a node directory.

    DIR/keystore                        the keystore file
    DIR/anchors                         how far everything had come
    DIR/volume                          the wrapped key of the volume layer, where the node has one
    DIR/databases/HEX/HEX.store         a page store; the names are ids, so that names of files do not show
    DIR/databases/HEX/HEX.incoming      a store that is being filled and is not in the catalogue yet
    DIR/databases/HEX/HEX.converting    the next file of a store that is being converted
    DIR/keystore.new, …                 the next content of a file while it is being written

Leaves to others: reading and writing any of it.
"""

from dataclasses import dataclass
from pathlib import Path

STORE_SUFFIX = ".store"
INCOMING_SUFFIX = ".incoming"
CONVERTING_SUFFIX = ".converting"


@dataclass(frozen=True)
class Layout:
    """The paths of one node directory."""

    root: Path

    @property
    def keystore(self) -> Path:
        return self.root / "keystore"

    @property
    def anchors(self) -> Path:
        return self.root / "anchors"

    @property
    def volume(self) -> Path:
        return self.root / "volume"

    @property
    def databases(self) -> Path:
        return self.root / "databases"

    def database(self, database_id: bytes) -> Path:
        return self.databases / database_id.hex()

    def store(self, database_id: bytes, store_id: bytes) -> Path:
        return self.database(database_id) / (store_id.hex() + STORE_SUFFIX)

    def incoming(self, database_id: bytes, store_id: bytes) -> Path:
        return self.database(database_id) / (store_id.hex() + INCOMING_SUFFIX)

    def converting(self, database_id: bytes, store_id: bytes) -> Path:
        return self.database(database_id) / (store_id.hex() + CONVERTING_SUFFIX)
