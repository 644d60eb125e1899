"""The volume layer of a node: its store files, encrypted a second time under a platform key.

The layer has the files that hold data: stores, and packs of snapshots. Keystore file, anchors and manifests are
outside: they hold no data, are sealed already, and their clear heads say which keys to ask for before any key is known.

Invariants:
1. Whether a node has the layer stands in the sealed body of its keystore file: who removes the file of the volume key
   does not get new stores without the layer.
2. The volume key is never replaced while there is a layer. Another platform key means another wrapping, in one small
   file. The layer comes and goes by a conversion (`keystore.node.converting`).

Leaves to others: the cipher (`keystore.crypto.sectors`), the key (`keystore.keys.volume`), and integrity, which the
store has.
"""

from contextlib import closing
from dataclasses import dataclass

from keystore.errors import InputError, NodeIOError
from keystore.format.volume import VolumeRecord
from keystore.keys import volume
from keystore.keys.files import Files
from keystore.keys.volume import FileKind, VolumeKey, generate_volume
from keystore.kms.protocol import KmsConnector
from keystore.kms.uri import parse
from keystore.node.custody import Custody
from keystore.node.layout import Layout
from keystore.node.opening import load_volume
from keystore.pages.protocols import BlockFile
from keystore.pages.volumefile import VolumeFile


@dataclass(frozen=True)
class VolumeInfo:
    """The volume layer of a node, for people.

    Attributes:
        generation: how often its key was wrapped.
    """

    volume_id: bytes
    generation: int
    provider: str
    key_id: str
    key_version: str


def volume_info(record: VolumeRecord) -> VolumeInfo:
    """Describe the key of a volume layer."""
    wrapped = record.wrapped
    return VolumeInfo(record.volume_id, record.generation, wrapped.provider, wrapped.key_id, wrapped.key_version)


def new_volume(key_uri: str | None, connector: KmsConnector) -> VolumeKey | None:
    """Make the volume key of a new node, which its user wipes; None where no platform key is named."""
    if key_uri is None:
        return None
    with closing(connector(key_uri)) as kms:
        return generate_volume(kms)


def with_volume(file: BlockFile, key: VolumeKey | None, kind: FileKind, file_id: bytes) -> BlockFile:
    """Return `file` with the volume layer, or as it is where the node has none."""
    return file if key is None else VolumeFile(file, key.file_key(kind, file_id))


def rewrap_volume(
    layout: Layout, files: Files, custody: Custody, key_uri: str, connector: KmsConnector, new_connector: KmsConnector
) -> VolumeInfo:
    """Wrap the volume key of an open node under another platform key; durable on return. No store is touched.

    Raises:
        InputError: the node has no volume layer.
        KmsError, WrongKeyError, VolumeKeyError, NodeIOError: the former wrapping stays in force.
    """
    with custody.held():
        key = custody.volume
    if key is None:
        raise InputError(f"{layout.root} has no volume layer. Nothing was changed; convert it to get one.")
    record = load_volume(layout, files, key.record.volume_id)
    new_uri = parse(key_uri).text
    with closing(connector(record.wrapped.key_id)) as former, closing(new_connector(new_uri)) as new:
        rewrapped = volume.rewrap(former, new, record)
    with custody.held():
        try:
            volume.save(files, layout.volume, rewrapped)
        except OSError as error:
            raise NodeIOError(
                f"the volume key file {layout.volume} could not be written: {error.strerror}. The former one, or the "
                "new one, is in force; both open. Make space or give write access, and try again."
            ) from error
        custody.volume = VolumeKey(rewrapped, key.key)
    return volume_info(rewrapped)
