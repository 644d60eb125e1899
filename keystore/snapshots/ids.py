"""Ids of snapshots and packs: 6 bytes of time, then 10 random ones, as in UUID version 7, so that names sort by age."""

import secrets

from keystore.errors import SnapshotMissingError

ID_BYTES = 16
NS_PER_ID_TICK = 1_000_000
"""The time in an id is cut to milliseconds."""
LATEST = "latest"


def new_id(now_ns: int) -> bytes:
    """Return a fresh id for the time `now_ns` (nanoseconds since 1970)."""
    return (now_ns // NS_PER_ID_TICK).to_bytes(6, "big") + secrets.token_bytes(ID_BYTES - 6)


def find_id(text: str, complete: list[bytes], where: str) -> bytes:
    """Return the one id among `complete` (ascending) that `text` names: in full, by a unique beginning, or `latest`.

    Raises:
        SnapshotMissingError: none, or more than one.
    """
    if text == LATEST and complete:
        return complete[-1]
    found = [snapshot_id for snapshot_id in complete if text and snapshot_id.hex().startswith(text.lower())]
    if len(found) == 1:
        return found[0]
    problem = f"{len(found)} snapshots begin with {text!r}" if found else f"there is no complete snapshot {text!r}"
    raise SnapshotMissingError(f"{where}: {problem}. Nothing was changed; `keystore snapshot list` shows the ids.")


def created_ns(snapshot_id: bytes) -> int:
    """Return the time in an id, to the millisecond; only as true as the id."""
    return int.from_bytes(snapshot_id[:6], "big") * NS_PER_ID_TICK
