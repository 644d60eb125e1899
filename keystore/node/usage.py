"""Which keys are needed, by which nodes and which snapshots: read from clear parts, without any key.

A key is what the KMS said it used: an ARN, a key identifier, a version name. What was configured stands beside it. An
alias may point elsewhere by now, and one key may be configured in several ways.

Invariant: a key is called unused only by its absence from a report without problems. What cannot be read is a problem,
and a place where there is nothing to read is refused.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, TypeAlias

from keystore.errors import (
    InputError,
    KeyFileError,
    KeystoreError,
    LogError,
    NodeIOError,
    PathMissingError,
    PlaceError,
    PlaceMissingError,
    SnapshotError,
    VolumeKeyError,
    VolumeKeyMissingError,
    cause_of,
)
from keystore.format.manifest import NEVER
from keystore.format.wrapped import WrappedKey
from keystore.keys import keyfile, volume
from keystore.keys.files import Files
from keystore.kms.naming import KeyName
from keystore.node.layout import Layout
from keystore.node.places import is_node, node_around
from keystore.objects.directory import DirectoryPlace
from keystore.objects.opening import as_place
from keystore.objects.place import Place
from keystore.snapshots.listing import SnapshotListing, list_snapshots
from keystore.snapshots.log_eras import log_eras

UserKind: TypeAlias = Literal["node", "snapshot", "log", "node volume", "snapshot volume", "log volume"]


@dataclass(frozen=True)
class KeyUser:
    """What uses a key: a node, by its directory; a snapshot, by its id and target; a log, by where it is; or the volume
    layer of one of these.

    Attributes:
        created_ns: when it was written.
        wrapped: what only the key opens; its `key_id` is the key URI, exactly as configured there.
        expires_ns: when a snapshot may be deleted by the policy; `NEVER` for what ends when somebody ends it.
        segments: of a log, how many.
    """

    kind: UserKind
    place: str
    snapshot_id: bytes | None
    created_ns: int
    era: int
    wrapped: WrappedKey
    expires_ns: int = NEVER
    segments: int = 0

    @property
    def key_id(self) -> str:
        return self.wrapped.key_id


@dataclass(frozen=True)
class KeyUsage:
    """One key and everything found that cannot be opened without it.

    Attributes:
        key_version: what the KMS said it used; the key URI where it says nothing (key files, passphrases).
    """

    provider: str
    key_version: str
    users: tuple[KeyUser, ...]

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The key URIs under which it is configured."""
        return tuple(sorted({user.key_id for user in self.users}))

    @property
    def last_used_ns(self) -> int:
        """When something was last written that needs it. A KMS knows of readers besides."""
        return max(user.created_ns for user in self.users)

    @property
    def safe_ns(self) -> int | None:
        """From when on nothing of this needs it, if nothing else comes; None while something has no end."""
        ends = [user.expires_ns for user in self.users]
        return None if NEVER in ends else max(ends)


@dataclass(frozen=True)
class UsageReport:
    """What `keys_usage` found.

    Attributes:
        problems: what could not be read; while there are any, no key is known to be unused.
        notes: snapshots without a manifest: nothing can restore them, unless they are being written just now.
    """

    keys: tuple[KeyUsage, ...]
    problems: tuple[KeystoreError, ...]
    notes: tuple[str, ...] = ()

    def of(self, name: KeyName) -> tuple[KeyUsage, ...]:
        """Return the keys, or versions of one, that `name` names; none where nothing needs it.

        Raises:
            InputError: it is an alias that nothing is configured under: where it points, nobody here knows.
        """
        found = tuple(key for key in self.keys if any(name.names(user.wrapped) for user in key.users))
        if not found and name.is_alias:
            raise InputError(
                f"nothing in these places is configured under the alias {name}; that says nothing about the key that "
                "it points at. Nothing was changed; name the key itself, by its id or ARN."
            )
        return found


def keys_usage(places: Sequence[str | os.PathLike[str] | Place]) -> UsageReport:
    """Report which key each node directory and each snapshot in `places` needs; from clear parts, without any key.

    Raises:
        PathMissingError: a place is not there, or has no node and no snapshot.
    """
    search = _Search()
    for place in map(as_place, places):
        try:
            search.look(place)
        except OSError as error:
            search.problems.append(NodeIOError(f"{place} cannot be read: {error.strerror}. Nothing was changed."))
        except (KeyFileError, VolumeKeyError, SnapshotError, LogError, PlaceError) as error:
            search.problems.append(error)
    keys = tuple(
        KeyUsage(provider, version, tuple(users)) for (provider, version), users in sorted(search.users.items())
    )
    return UsageReport(keys, tuple(search.problems), tuple(search.notes))


def snapshots_at(place: Place) -> list[SnapshotListing]:
    """Return all snapshots in `place`, oldest first.

    Raises:
        PathMissingError: there is none, or `place` belongs to a node.
        PlaceError: it cannot be read.
    """
    node = node_around(place.path) if isinstance(place, DirectoryPlace) else None
    found: list[SnapshotListing] = []
    with suppress(PlaceMissingError):
        found = list_snapshots(place) if node is None else []
    if not found:
        inside = f", which belongs to the node {node}" if node else ""
        raise PathMissingError(f"no snapshot in {place}{inside}. Nothing was changed; name a place of snapshots.")
    return found


class _Search:
    """What was found so far."""

    def __init__(self) -> None:
        self.users: dict[tuple[str, str], list[KeyUser]] = {}
        self.problems: list[KeystoreError] = []
        self.notes: list[str] = []

    def look(self, place: Place) -> None:
        if isinstance(place, DirectoryPlace) and is_node(place.path):
            self._add_node(place)
            return
        logs = self._add_logs(place)
        try:
            listings = snapshots_at(place)
        except PathMissingError as error:
            if logs:
                return
            nothing = cause_of(error).replace("no snapshot", "no node and no snapshot", 1)
            raise PathMissingError(
                f"{nothing}. This tells nothing about any key; name node directories, and places of snapshots."
            ) from None
        for listing in listings:
            self._add_snapshot(place, listing)

    def _add_node(self, place: DirectoryPlace) -> None:
        head = keyfile.load(Files(), Layout(place.path).keystore).head
        self._add(head.wrapped, "node", place, None, head.written_ns, head.master_generation)
        try:
            record = volume.load(Files(), Layout(place.path).volume)
        except VolumeKeyMissingError:
            return
        self._add(record.wrapped, "node volume", place, None, head.written_ns, record.generation)

    def _add_logs(self, place: Place) -> bool:
        """Add the logs in a place; tell whether there are any."""
        try:
            eras = list(log_eras(place))
        except PlaceMissingError:
            return False
        for era in eras:
            head = era.last
            where = f"{place}/log/{head.node_id.hex()}"
            self._add(head.wrapped, "log", where, None, head.settled_ns, head.era, segments=era.count)
            if head.volume is not None:
                wrapped, generation = head.volume.wrapped, head.volume.generation
                self._add(wrapped, "log volume", where, None, head.settled_ns, generation, segments=era.count)
        return bool(eras)

    def _add_snapshot(self, place: Place, listing: SnapshotListing) -> None:
        head = listing.head
        if head is not None:
            written = head.snapshot_id, head.created_ns
            self._add(head.wrapped, "snapshot", place, *written, head.era, head.expires_ns)
            if head.volume is not None:
                wrapped, generation = head.volume.wrapped, head.volume.generation
                self._add(wrapped, "snapshot volume", place, *written, generation, head.expires_ns)
        elif listing.error is not None:
            self.problems.append(listing.error)
        else:
            self.notes.append(f"snapshot {listing.snapshot_id.hex()} in {place}: {listing.problem}")

    def _add(
        self,
        wrapped: WrappedKey,
        kind: UserKind,
        place: Place | str,
        snapshot_id: bytes | None,
        created_ns: int,
        era: int,
        expires_ns: int = NEVER,
        segments: int = 0,
    ) -> None:
        user = KeyUser(kind, str(place), snapshot_id, created_ns, era, wrapped, expires_ns, segments)
        self.users.setdefault((wrapped.provider, wrapped.key_version or wrapped.key_id), []).append(user)
