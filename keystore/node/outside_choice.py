"""Which outside anchor counts at an opening: the one that the caller names, else the one that the keystore file names.

The keystore file is sealed, and still an older one may know of no outside anchor, and a forged one never does. So who
must be sure names the place, from where the attacker cannot write: then a directory that knows of none is refused.
"""

from dataclasses import dataclass

from keystore.errors import OutsideAnchorMissingError
from keystore.keys.hierarchy import Keystore
from keystore.keys.keyfile import KeyFile
from keystore.node.outside import OutsideAnchor
from keystore.node.outside_places import open_outside
from keystore.objects.place import Place


@dataclass(frozen=True)
class OutsideChoice:
    """What the caller of an opening says of the outside anchor.

    Attributes:
        place: the one to ask, or None: the one that the keystore file names, if any.
        ignored: ask none and state nothing, whatever the keystore file names.
    """

    place: str | Place | None = None
    ignored: bool = False


def checked_outside(choice: OutsideChoice, loaded: KeyFile, keystore: Keystore) -> OutsideAnchor | None:
    """Return the outside anchor of a node that is being opened, compared with its keystore file; None if none counts.

    Raises:
        InputError: the place that counts is none.
        KeyFileStaleError, OutsideAnchorError: as `OutsideAnchor.check`; nothing was changed.
    """
    setting = keystore.outside_anchor
    if choice.ignored or (choice.place is None and setting is None):
        return None
    place = as_place(choice.place if choice.place is not None else setting.place if setting else "")
    outside = OutsideAnchor(
        place, keystore.anchor_key, loaded.head.node_id, setting is not None and setting.each_commit
    )
    outside.check(loaded.head.file_generation, loaded.fingerprint, store_ids(keystore))
    if setting is None:
        raise OutsideAnchorMissingError(
            f"the outside anchor {place} was named, and this node has none: it was detached, or never attached. "
            "Nothing was changed; attach it, or leave it out."
        )
    return outside


def as_place(place: str | Place) -> Place:
    """Return the place itself."""
    return open_outside(place) if isinstance(place, str) else place


def store_ids(keystore: Keystore) -> set[bytes]:
    """Return the ids of all stores in the catalogue."""
    return {record.store_id for _, record in keystore.stores()}
