"""How a node directory comes into being, and how it is opened.

Init, and what a crash leaves: directories, then the anchors, then the keystore file, each durable before the next. The
keystore file is the last; without it the directory holds no data, and init may be run again over it.
"""

import os
from collections.abc import Callable

from keystore.errors import (
    KeyFileMissingError,
    KeyFileWriteError,
    NodeExistsError,
    NodeIOError,
    NodeMissingError,
)
from keystore.keys import keyfile
from keystore.keys.files import Files, temporary_path
from keystore.keys.hierarchy import Keystore, generate_id
from keystore.keys.master import MasterKey, generate_master
from keystore.kms.protocol import Kms, KmsConnector
from keystore.node.anchors import Anchors
from keystore.node.custody import Custody
from keystore.node.layout import Layout
from keystore.node.leftovers import finish_leftovers

Clock = Callable[[], int]
"""Gives the time in ns since 1970."""


def make_directory(layout: Layout) -> None:
    """Make the node's directory where there is none.

    Raises:
        NodeExistsError: something else is there, or a node; it is unchanged.
    """
    try:
        layout.root.mkdir(mode=0o700, parents=False, exist_ok=True)
        entries = {entry.name for entry in layout.root.iterdir()}
        used = layout.databases.is_dir() and any(layout.databases.iterdir())
    except (FileExistsError, NotADirectoryError):
        raise NodeExistsError(f"{layout.root} is not a directory, and is unchanged; choose another place") from None
    except OSError as error:
        raise NodeIOError(f"{layout.root} cannot be made: {error.strerror}. Nothing was changed.") from None
    if layout.keystore.name in entries:
        raise NodeExistsError(f"{layout.root} is a node already, and is unchanged; open it, or choose another place")
    left_by_init = {layout.anchors, temporary_path(layout.anchors), temporary_path(layout.keystore), layout.databases}
    strange = sorted(entries - {path.name for path in left_by_init})
    if strange or used:
        found = strange[0] if strange else "databases"
        raise NodeExistsError(
            f"{layout.root} is not empty (it holds {found!r}), and is unchanged; choose another place"
        )


def initialize(layout: Layout, files: Files, kms: Kms, name: str, now_ns: Clock) -> None:
    """Write the keystore file and the anchors of a new node under `kms`; durable on return. The caller has the lock.

    Raises:
        KmsError: as the KMS refused; no node was made.
        KeyFileWriteError, NodeIOError: the files could not be written; init may be run again.
    """
    keystore = Keystore.generate(name, now_ns())
    try:
        with generate_master(kms, generate_id(), 1) as master:
            write_first(layout, files, keystore, master, now_ns())
    finally:
        keystore.wipe()


def open_custody(layout: Layout, files: Files, connector: KmsConnector, now_ns: Clock) -> Custody:
    """Unlock the keystore file through its KMS and check it against the anchors. The caller has the lock.

    Raises:
        NodeMissingError, KeyFileError, KmsError, WrongKeyError, AnchorsMissingError, AnchorsDamagedError: nothing was
        changed.
    """
    loaded = _load(layout, files)
    kms = connector(loaded.head.wrapped.key_id)
    try:
        master, keystore = keyfile.unlock(loaded, kms, layout.keystore)
    finally:
        kms.close()
    try:
        stores = [record.store_id for database in keystore.databases.values() for record in database.stores.values()]
        anchors = Anchors.open(files, layout.anchors, keystore.anchor_key, loaded.head.node_id, stores)
        try:
            custody = Custody(files, layout.keystore, anchors, loaded, master, keystore, now_ns)
            files.remove(temporary_path(layout.anchors))
            finish_leftovers(files, layout, keystore)
        except BaseException:
            anchors.close()
            raise
    except OSError as error:
        _wipe(master, keystore)
        raise NodeIOError(f"{layout.root}: opening failed: {error.strerror}. Nothing was lost; try again.") from error
    except BaseException:
        _wipe(master, keystore)
        raise
    return custody


def write_first(layout: Layout, files: Files, keystore: Keystore, master: MasterKey, now_ns: int) -> None:
    data = keyfile.seal(keystore, master, 1, now_ns)
    try:
        files.make_directory(layout.databases)
        files.remove(layout.anchors)
        files.remove(temporary_path(layout.anchors))
        fingerprint = keyfile.fingerprint(data)
        Anchors.create(files, layout.anchors, keystore.anchor_key, master.node_id, fingerprint).close()
        keyfile.write_new(files, layout.keystore, data)
        files.sync_directory(layout.root.parent)
    except OSError as error:
        raise KeyFileWriteError(
            f"{layout.root}: the node could not be written: {error.strerror}. Run init again once there is space and "
            "write access."
        ) from error


def _load(layout: Layout, files: Files) -> keyfile.KeyFile:
    try:
        return keyfile.load(files, layout.keystore)
    except KeyFileMissingError:
        if not os.path.lexists(layout.anchors) and not os.path.lexists(layout.databases):
            raise NodeMissingError(f"{layout.root} is not a node. Nothing was changed; check the path.") from None
        raise


def _wipe(master: MasterKey, keystore: Keystore) -> None:
    master.wipe()
    keystore.wipe()
