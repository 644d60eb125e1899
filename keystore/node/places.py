"""Tells what a directory is, a node or a place of snapshots, and what lies inside one; from magic bytes, without keys.

A name alone says nothing: anybody may have a file called `keystore`.
"""

import os
from collections.abc import Callable
from pathlib import Path

from keystore.errors import InputError
from keystore.format.anchors import MAGIC as ANCHORS_MAGIC
from keystore.format.keyfile import MAGIC as KEYFILE_MAGIC
from keystore.format.manifest import MAGIC as MANIFEST_MAGIC
from keystore.node.layout import Layout
from keystore.snapshots.names import MANIFESTS


def is_node(path: Path) -> bool:
    """Tell whether `path` holds a keystore file or anchors.

    Raises:
        OSError: the system does not let us look.
    """
    layout = Layout(path)
    return _begins(layout.keystore, KEYFILE_MAGIC) or _begins(layout.anchors, ANCHORS_MAGIC)


def node_around(path: Path) -> Path | None:
    """Return the node that `path` is, or lies in, whether or not it exists; symbolic links are followed."""
    return _around(path, is_node)


def is_snapshots(path: Path) -> bool:
    """Tell whether snapshots lie in `path`; errors as `is_node`."""
    try:
        found = sorted((path / MANIFESTS).iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return False
    return any(_begins(entry, MANIFEST_MAGIC) for entry in found)


def snapshots_around(path: Path) -> Path | None:
    """Return the place of snapshots that `path` is, or lies in; as `node_around`."""
    return _around(path, is_snapshots)


def require_outside(path: Path, what: str, *, directory: Path | None = None) -> None:
    """Refuse to make something inside a node or among snapshots: its owner would report it, or remove it.

    Args:
        directory: where it is made; by default the one that holds `path`.

    Raises:
        InputError: `path` is inside one; nothing was changed.
    """
    around = directory or Path(os.path.realpath(path)).parent
    _refuse(path, what, node_around(around), snapshots_around(around))


def require_place_of_snapshots(path: Path) -> None:
    """Refuse to put snapshots into a node, or between the objects of another place of snapshots; as `require_outside`.

    `path` may be a place of snapshots already.
    """
    _refuse(path, "snapshot", node_around(path), snapshots_around(Path(os.path.realpath(path)).parent))


def _refuse(path: Path, what: str, node: Path | None, snapshots: Path | None) -> None:
    for kind, place in (("the node", node), ("the place of snapshots", snapshots)):
        if place is not None:
            raise InputError(f"{path} is inside {kind} {place}. No {what} was made; choose a place outside it.")


def _around(path: Path, is_one: Callable[[Path], bool]) -> Path | None:
    found = Path(os.path.realpath(path))
    for place in (found, *found.parents):
        try:
            if is_one(place):
                return place
        except OSError:
            continue  # where we may not look we cannot write either
    return None


def _begins(path: Path, magic: bytes) -> bool:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        return os.read(fd, len(magic)) == magic
    except IsADirectoryError:
        return False
    finally:
        os.close(fd)
