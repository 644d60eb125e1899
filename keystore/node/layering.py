"""Which store files have the volume layer: as the keystore file says, or, while that changes, as they show themselves.

While a conversion is under way the sealed keystore file says that the layer is coming or going (K-14). Then a store may
have it or not, and shows which: without the layer one of its two headers begins with the magic of a store. At any other
time a file that has not what the keystore file says is no store of this node: nobody strips the layer unnoticed.
"""

from keystore.errors import StoreIOError
from keystore.format.keyfile import VOLUME_SETTLED, StoreRecord
from keystore.format.layout import HEADER_OFFSETS, MAGIC
from keystore.node.custody import Custody
from keystore.node.volume import with_volume
from keystore.pages.protocols import BlockFile
from keystore.pages.volumefile import VolumeFile


def new_layered(custody: Custody, file: BlockFile, record: StoreRecord) -> BlockFile:
    """Return the empty file of a store with the layer that new stores have."""
    with custody.held():
        return with_volume(file, custody.volume if custody.keystore.is_layered else None, "store", record.store_id)


def found_layered(custody: Custody, file: BlockFile, record: StoreRecord) -> BlockFile:
    """Return the file of a store that is there with the layer that it has."""
    with custody.held():
        key = custody.volume
        if custody.keystore.volume_change != VOLUME_SETTLED and _is_plain(file, record):
            key = None
        return with_volume(file, key, "store", record.store_id)


def is_layered(file: BlockFile) -> bool:
    """Tell whether the layer is what reads and writes of a store go through."""
    return isinstance(file, VolumeFile)


def _is_plain(file: BlockFile, record: StoreRecord) -> bool:
    for offset in HEADER_OFFSETS:
        begin = bytearray(len(MAGIC))
        try:
            file.read(offset, memoryview(begin))
        except EOFError:
            return False
        except OSError as error:
            raise StoreIOError(
                f"store {record.name}: its header cannot be read ({error.strerror}). Nothing was changed; see the "
                "system log, then try again"
            ) from error
        if begin == MAGIC:
            return True
    return False
