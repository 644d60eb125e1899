"""How a node directory comes into being, and how it is opened.

Init, and what a crash leaves: directories, then the volume key, the anchors and the keystore file, each durable before
the next. The keystore file is the last; without it the directory holds no data, and init may be run again over it. An
init that fails removes what it made.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from keystore.errors import (
    KeyFileMissingError,
    KeyFileWriteError,
    NodeExistsError,
    NodeIOError,
    NodeMissingError,
    PathMissingError,
)
from keystore.format.volume import VolumeRecord
from keystore.keys import keyfile, volume
from keystore.keys.files import Files, temporary_path
from keystore.keys.hierarchy import Keystore, generate_id
from keystore.keys.master import MasterKey, generate_master
from keystore.keys.volume import VolumeKey, open_volume
from keystore.kms.protocol import Kms, KmsConnector
from keystore.node.anchors import Anchors
from keystore.node.custody import Custody
from keystore.node.known_nodes import KnownNode, KnownNodes
from keystore.node.layout import Layout
from keystore.node.leftovers import finish_leftovers
from keystore.node.lock import DirectoryLock
from keystore.node.outside_choice import OutsideChoice, checked_outside, store_ids
from keystore.node.places import require_outside

Clock = Callable[[], int]
"""Gives the time in ns since 1970."""


@contextmanager
def new_directory(layout: Layout) -> Iterator[DirectoryLock]:
    """Give a locked directory for a new node, for its owner only. What the block made is removed when it fails.

    Raises:
        NodeExistsError: something else is there, or a node; it is unchanged.
        PathMissingError, InputError: there is no place for it; nothing was changed.
    """
    require_outside(layout.root, "node")
    is_new = _make_directory(layout)
    _require_unused(layout)
    lock = DirectoryLock(layout.root)
    try:
        _require_unused(layout)
        mode = layout.root.stat().st_mode & 0o777
        with contextlib.suppress(PermissionError):  # another's directory, such as a mount point: our files are ours
            layout.root.chmod(0o700)
        try:
            yield lock
        except BaseException:
            _remove_unfinished(layout, None if is_new else mode)
            raise
    except BaseException:
        lock.release()
        raise


def _make_directory(layout: Layout) -> bool:
    try:
        layout.root.mkdir(mode=0o700)
        return True
    except FileExistsError:
        return False
    except FileNotFoundError:
        raise PathMissingError.parent_of(layout.root) from None
    except OSError as error:
        raise NodeIOError(f"{layout.root} cannot be made: {error.strerror}. Nothing was changed.") from None


def _require_unused(layout: Layout) -> None:
    try:
        entries = {entry.name for entry in layout.root.iterdir()}
        used = layout.databases.is_dir() and any(layout.databases.iterdir())
    except NotADirectoryError:
        raise NodeExistsError(f"{layout.root} is not a directory, and is unchanged; choose another place") from None
    except OSError as error:
        raise NodeIOError(f"{layout.root} cannot be read: {error.strerror}. Nothing was changed.") from None
    if layout.keystore.name in entries:
        raise NodeExistsError(f"{layout.root} is a node already, and is unchanged; open it, or choose another place")
    strange = sorted(entries - {path.name for path in (*_files_of_init(layout), layout.databases)})
    if strange or used:
        found = strange[0] if strange else "databases"
        raise NodeExistsError(
            f"{layout.root} is not empty (it holds {found!r}), and is unchanged; choose another place"
        )


def is_unmade(layout: Layout) -> bool:
    """Tell whether a directory is empty, or has no more than what a killed init left: init may be run there."""
    try:
        _require_unused(layout)
    except (NodeExistsError, NodeIOError):
        return False
    return True


def _files_of_init(layout: Layout) -> tuple[Path, ...]:
    """Return what init may leave, but for the keystore file."""
    first = (layout.anchors, layout.volume)
    return *first, *map(temporary_path, first), temporary_path(layout.keystore)


def _remove_unfinished(layout: Layout, mode: int | None) -> None:
    """Remove what a failed init made; with the directory itself, unless it was there, with `mode`."""
    if os.path.lexists(layout.keystore):
        return  # it is a node, and complete
    with contextlib.suppress(OSError):
        for path in _files_of_init(layout):
            path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        layout.databases.rmdir()
    with contextlib.suppress(OSError):
        if mode is None:
            layout.root.rmdir()
        else:
            layout.root.chmod(mode)


def initialize(
    layout: Layout,
    files: Files,
    kms: Kms,
    name: str,
    now_ns: Clock,
    known_nodes: KnownNodes,
    volume_key: VolumeKey | None = None,
) -> Custody:
    """Write the files of a new node under `kms`, durably, and open them. The caller locked it.

    `volume_key` is wiped with the rest. The node is known before it is there: a crash leaves the name of a node that
    never was, and no node that nobody knows.

    Raises:
        KmsError: as the KMS refused; no node was made.
        KnownNodesError: the node cannot be recorded; none was made.
        KeyFileWriteError, NodeIOError: the files could not be written; init may be run again.
    """
    keystore = Keystore.generate(name, now_ns(), volume_key.record.volume_id if volume_key else None)
    try:
        master = generate_master(kms, generate_id(), 1)
    except BaseException:
        _wipe(keystore, volume_key)
        raise
    try:
        known_nodes.record(KnownNode(master.node_id, keystore.signing.public, name))
        write_first(layout, files, keystore, master, now_ns(), volume_key)
        loaded = keyfile.load(files, layout.keystore)
        return _take_over(layout, files, loaded, master, keystore, now_ns, volume_key, OutsideChoice())
    except BaseException:
        _wipe(master, keystore, volume_key)
        raise


def open_custody(
    layout: Layout, files: Files, connector: KmsConnector, now_ns: Clock, choice: OutsideChoice
) -> Custody:
    """Unlock the keystore file through its KMS and check it against the anchors. The caller has the lock.

    Raises:
        NodeMissingError, KeyFileError, KmsError, WrongKeyError, VolumeKeyError, AnchorsMissingError,
        AnchorsDamagedError, OutsideAnchorError: nothing was changed.
    """
    loaded = _load(layout, files)
    kms = connector(loaded.head.wrapped.key_id)
    try:
        master, keystore = keyfile.unlock(loaded, kms, layout.keystore)
    finally:
        kms.close()
    volume_key = None
    try:
        volume_key = open_volume_of(layout, files, keystore, connector)
        return _take_over(layout, files, loaded, master, keystore, now_ns, volume_key, choice)
    except OSError as error:
        _wipe(master, keystore, volume_key)
        raise NodeIOError(f"{layout.root}: opening failed: {error.strerror}. Nothing was lost; try again.") from error
    except BaseException:
        _wipe(master, keystore, volume_key)
        raise


def open_volume_of(layout: Layout, files: Files, keystore: Keystore, connector: KmsConnector) -> VolumeKey | None:
    """Have the KMS unwrap the key of a node's volume layer; None where it has none. The caller wipes it."""
    if keystore.volume_id is None:
        return None
    record = load_volume(layout, files, keystore.volume_id)
    with contextlib.closing(connector(record.wrapped.key_id)) as kms:
        return open_volume(kms, record)


def load_volume(layout: Layout, files: Files, volume_id: bytes) -> VolumeRecord:
    """Read the record of a node's volume key.

    Raises:
        VolumeKeyMissingError, VolumeKeyDamagedError: it is not there, was changed, or is another node's.
    """
    record = volume.load(files, layout.volume)
    if record.volume_id != volume_id:
        raise volume.damaged(layout.volume, f"it is the key of volume {record.volume_id.hex()}, not {volume_id.hex()}")
    return record


def _take_over(
    layout: Layout,
    files: Files,
    loaded: keyfile.KeyFile,
    master: MasterKey,
    keystore: Keystore,
    now_ns: Clock,
    volume_key: VolumeKey | None,
    choice: OutsideChoice,
) -> Custody:
    outside = checked_outside(choice, loaded, keystore)
    node_id, stores = loaded.head.node_id, store_ids(keystore)
    anchors = Anchors.open(files, layout.anchors, keystore.anchor_key, node_id, stores)
    try:
        custody = Custody(files, layout.keystore, anchors, loaded, master, keystore, now_ns, volume_key)
        files.remove(temporary_path(layout.anchors))
        files.remove(temporary_path(layout.volume))
        if volume_key is not None:
            # CRASH: a kill may have left a wrapping in its place whose name is not durable yet.
            files.sync_directory(layout.root)
        else:
            files.remove(layout.volume)  # CRASH: of a conversion that had not begun, or was at its end
        finish_leftovers(files, layout, keystore)
        anchors.outside = outside
        custody.state_outside()
    except BaseException:
        anchors.close()
        raise
    return custody


def write_first(
    layout: Layout,
    files: Files,
    keystore: Keystore,
    master: MasterKey,
    now_ns: int,
    volume_key: VolumeKey | None = None,
) -> None:
    """Write the files of a new node, durably; the caller has the directory for itself.

    Raises:
        NodeExistsError: there is a keystore file, of whatever kind; nothing was changed.
        KeyFileWriteError, NodeIOError: the files could not be written.
    """
    if os.path.lexists(layout.keystore):
        raise NodeExistsError(f"{layout.root} is a node already, and is unchanged; open it, or choose another place")
    data = keyfile.seal(keystore, master, 1, now_ns)
    try:
        files.make_directory(layout.databases)
        files.remove(layout.anchors)
        files.remove(temporary_path(layout.anchors))
        files.remove(layout.volume)
        if volume_key is not None:
            volume.save(files, layout.volume, volume_key.record)
        fingerprint = keyfile.fingerprint(data)
        Anchors.create(files, layout.anchors, keystore.anchor_key, master.node_id, fingerprint).close()
        keyfile.write_new(files, layout.keystore, data)
        files.sync_directory(layout.root.parent)
    except OSError as error:
        raise KeyFileWriteError(
            f"the node {layout.root} could not be written: {error.strerror}. No node was made; try again once there "
            "is space and write access."
        ) from error


def _load(layout: Layout, files: Files) -> keyfile.KeyFile:
    try:
        return keyfile.load(files, layout.keystore)
    except KeyFileMissingError:
        if not os.path.lexists(layout.anchors) and not os.path.lexists(layout.databases):
            raise NodeMissingError(f"{layout.root} is not a node. Nothing was changed; check the path.") from None
        if is_unmade(layout):
            raise KeyFileMissingError(
                f"the keystore file {layout.keystore} is missing, and so is every database: the making of the node was "
                "cut off, most likely. Nothing was changed; make it again there, or bring both back from a copy."
            ) from None
        raise


def _wipe(*holders: MasterKey | Keystore | VolumeKey | None) -> None:
    for holder in holders:
        if holder is not None:
            holder.wipe()
