"""Which keys are needed, by which nodes and which snapshots: read from clear parts, without any key.

Invariant: a key is called unused only by its absence from a report without problems. What cannot be read is a problem.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from keystore.errors import InputError, KeyFileError
from keystore.keys import keyfile
from keystore.keys.files import Files
from keystore.node.layout import Layout
from keystore.snapshots.listing import list_snapshots
from keystore.snapshots.target import LocalTarget


@dataclass(frozen=True)
class KeyUser:
    """What uses a key: a node, by its directory, or a snapshot, by its id and target."""

    kind: Literal["node", "snapshot"]
    place: str
    snapshot_id: bytes | None
    created_ns: int
    era: int


@dataclass(frozen=True)
class KeyUsage:
    """One key and everything found that cannot be opened without it."""

    key_id: str
    provider: str
    users: tuple[KeyUser, ...]


@dataclass(frozen=True)
class UsageReport:
    """What `keys_usage` found.

    Attributes:
        problems: what could not be read; while there are any, no key is known to be unused.
    """

    keys: tuple[KeyUsage, ...]
    problems: tuple[str, ...]


def keys_usage(places: Sequence[str | os.PathLike[str]]) -> UsageReport:
    """Report which key each node directory and each snapshot in `places` needs; from clear parts, without any key.

    Raises:
        InputError: a place is neither a node directory nor a directory of snapshots.
    """
    found: dict[tuple[str, str], list[KeyUser]] = {}
    problems: list[str] = []
    for place in map(Path, places):
        if (place / "keystore").exists() or (place / "anchors").exists():
            _add_node(place, found, problems)
        elif place.is_dir():
            _add_snapshots(place, found, problems)
        else:
            raise InputError(f"{place} is neither a node directory nor a directory of snapshots. Check the path.")
    keys = tuple(KeyUsage(key_id, provider, tuple(users)) for (provider, key_id), users in sorted(found.items()))
    return UsageReport(keys, tuple(problems))


def _add_node(place: Path, found: dict[tuple[str, str], list[KeyUser]], problems: list[str]) -> None:
    try:
        head = keyfile.load(Files(), Layout(place).keystore).head
    except KeyFileError as error:
        problems.append(str(error))
        return
    user = KeyUser("node", str(place), None, head.written_ns, head.master_generation)
    found.setdefault((head.wrapped.provider, head.wrapped.key_id), []).append(user)


def _add_snapshots(place: Path, found: dict[tuple[str, str], list[KeyUser]], problems: list[str]) -> None:
    for listing in list_snapshots(LocalTarget(place)):
        head = listing.head
        if head is None:
            if listing.state != "incomplete":  # what has no manifest can never be restored, so it needs no key
                problems.append(listing.problem)
            continue
        user = KeyUser("snapshot", str(place), head.snapshot_id, head.created_ns, head.era)
        found.setdefault((head.wrapped.provider, head.wrapped.key_id), []).append(user)
