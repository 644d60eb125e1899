"""What the objects of a place of snapshots are called.

    manifests/<snapshot id>     a snapshot that was completed
    packs/<pack id>             pages and map nodes, of one snapshot or of many
    begun/<snapshot id>         a snapshot that is being taken, or whose taking was cut off
    partial/<id>                what one had finished so far, for who goes on if it is cut off

Every id is 32 hexadecimal digits. Objects of other names are somebody else's, and are left alone.
"""

import re

from keystore.objects.place import Place
from keystore.snapshots.ids import find_id

MANIFESTS = "manifests/"
PACKS = "packs/"
BEGUN = "begun/"
PARTIAL = "partial/"

_ID = re.compile("[0-9a-f]{32}")


def manifest_name(snapshot_id: bytes) -> str:
    return MANIFESTS + snapshot_id.hex()


def pack_name(pack_id: bytes) -> str:
    return PACKS + pack_id.hex()


def partial_name(partial_id: bytes) -> str:
    return PARTIAL + partial_id.hex()


def begun_name(snapshot_id: bytes) -> str:
    return BEGUN + snapshot_id.hex()


def ids_in(place: Place, prefix: str) -> dict[bytes, int]:
    """Return the ids under `prefix`, ascending, each with the length of its object in bytes.

    Raises:
        PlaceMissingError: there is no such place.
    """
    rest = ((named.name.removeprefix(prefix), named.byte_length) for named in place.names(prefix))
    return {bytes.fromhex(name): length for name, length in rest if _ID.fullmatch(name)}


def snapshot_ids(place: Place) -> list[bytes]:
    """Return the ids of all completed snapshots, ascending, that is oldest first; errors as `ids_in`."""
    return list(ids_in(place, MANIFESTS))


def find_snapshot(place: Place, text: str) -> bytes:
    """Return the id of the one complete snapshot that `text` names, as `find_id`."""
    return find_id(text, snapshot_ids(place), str(place))
