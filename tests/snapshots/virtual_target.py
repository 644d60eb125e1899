"""Snapshots of which only the times are there, taken and deleted by a backup policy at virtual moments."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from keystore.format.kind import SnapshotKind
from keystore.snapshots.policy import SECOND_NS, Policy
from keystore.snapshots.retention import Due, Occurrence, due, expired

HOUR_NS = 3600 * SECOND_NS


def ns(text: str) -> int:
    """Return a moment, such as `2026-01-31T18:00`, UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * SECOND_NS


def text(at_ns: int) -> str:
    """Return a moment as `ns` takes it."""
    return datetime.fromtimestamp(at_ns // SECOND_NS, UTC).strftime("%Y-%m-%dT%H:%M")


@dataclass(frozen=True)
class Times:
    """What a policy knows of a snapshot."""

    created_ns: int
    kind: SnapshotKind
    expires_ns: int = 0


@dataclass
class VirtualTarget:
    """All snapshots of one node."""

    policy: Policy
    since_ns: int = 0
    kept: list[Times] = field(default_factory=list)
    taken: list[Times] = field(default_factory=list)
    served: list[Occurrence] = field(default_factory=list)
    skipped: list[Occurrence] = field(default_factory=list)

    def run(self, now_ns: int, *, disabled: bool = False) -> Due | None:
        """Delete what has expired; take what is due, or pass it over."""
        over = set(expired(self.kept, now_ns))
        self.kept = [snapshot for place, snapshot in enumerate(self.kept) if place not in over]
        found = due(self.policy, self.kept, now_ns, since_ns=self.since_ns, skipped=self.skipped)
        if found is not None and disabled:
            self.skipped += found.occurrences
        elif found is not None:
            snapshot = Times(now_ns, found.kind, found.expires_ns)
            self.kept.append(snapshot)
            self.taken.append(snapshot)
            self.served += found.occurrences
        return found
