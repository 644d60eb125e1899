"""What the processes of a cluster tell their callers. Nothing in here is secret."""

from dataclasses import dataclass
from typing import Self

from keystore_api.node.v1 import node_pb2 as pb

from keystore.agents.master_changes import KeyState
from keystore.format.kind import SnapshotKind
from keystore.node.reports import MasterInfo

_KEY_STATES: dict[int, KeyState] = {
    pb.KEY_STATE_VALID: "valid",
    pb.KEY_STATE_UNREACHABLE: "unreachable",
    pb.KEY_STATE_INVALID: "invalid",
}


KINDS = {
    SnapshotKind.ON_DEMAND: pb.SNAPSHOT_KIND_UNSPECIFIED,
    SnapshotKind.HOURLY: pb.SNAPSHOT_KIND_HOURLY,
    SnapshotKind.DAILY: pb.SNAPSHOT_KIND_DAILY,
    SnapshotKind.WEEKLY: pb.SNAPSHOT_KIND_WEEKLY,
    SnapshotKind.MONTHLY: pb.SNAPSHOT_KIND_MONTHLY,
    SnapshotKind.YEARLY: pb.SNAPSHOT_KIND_YEARLY,
}


@dataclass(frozen=True)
class NodeStatus:
    """A served node.

    Attributes:
        name: for people.
        key_state: what the KMS said when it was asked last, at `key_checked_ns`: at the start, and at each change.
        key_message: why, if not valid.
        volume_key_id: the platform key of its volume layer; empty where it has none.
        is_converting: whether a conversion has begun and is not at its end.
    """

    node_id: bytes
    name: str
    version: str
    pid: int
    started_ns: int
    master_key: MasterInfo
    key_state: KeyState
    key_message: str
    key_checked_ns: int
    file_count: int
    stored_bytes: int
    volume_key_id: str
    is_converting: bool

    @classmethod
    def decode(cls, message: pb.NodeStatus) -> Self:
        return cls(
            message.node_id,
            message.name,
            message.version,
            message.pid,
            message.started_at.ToNanoseconds(),
            master_info(message.master_key),
            _KEY_STATES.get(message.key_state, "unreachable"),
            message.key_message,
            message.key_checked_at.ToNanoseconds(),
            message.file_count,
            message.stored_bytes,
            message.volume_key_id,
            message.converting,
        )


@dataclass(frozen=True)
class MasterKeyChange:
    """The master key in force after a change, and whether an earlier request made the change."""

    master_key: MasterInfo
    already_done: bool

    @classmethod
    def decode(cls, message: pb.MasterKeyChange) -> Self:
        return cls(master_info(message.master_key), message.already_done)


@dataclass(frozen=True)
class Converted:
    """What one request did of a conversion that is at its end, and the master key in force.

    Attributes:
        already_done: whether there was nothing left to do.
        moved_files: files that were written anew, with the volume layer or without.
    """

    master_key: MasterInfo
    already_done: bool
    resealed_pages: int
    moved_files: int
    destroyed_data_keys: int

    @classmethod
    def decode(cls, message: pb.Converted) -> Self:
        return cls(
            master_info(message.master_key),
            message.already_done,
            message.resealed_pages,
            message.moved_files,
            message.destroyed_data_keys,
        )


@dataclass(frozen=True)
class ServedFile:
    """A file of a served node; `problem` says why its store does not open, and then nothing else is known."""

    database: str
    name: str
    store_id: bytes
    page_size: int
    page_count: int
    byte_length: int
    sequence: int
    problem: str = ""

    @classmethod
    def decode(cls, message: pb.FileInfo) -> Self:
        return cls(
            message.database,
            message.name,
            message.store_id,
            message.page_size_bytes,
            message.page_count,
            message.byte_length,
            message.sequence,
            message.problem,
        )


@dataclass(frozen=True)
class ServedSnapshot:
    """A snapshot.

    Attributes:
        key_id: the key that it needs, exactly as configured in its day.
        expires_ns: 0 where it is kept until somebody deletes it.
        credential: what the node's credentials of that day are called.
    """

    snapshot_id: str
    created_ns: int
    key_id: str
    master_generation: int
    stored_bytes: int
    kind: SnapshotKind
    expires_ns: int
    credential: str

    @classmethod
    def decode(cls, message: pb.SnapshotInfo) -> Self:
        return cls(
            message.snapshot_id,
            message.created_at.ToNanoseconds(),
            message.encryption_key_id,
            message.master_generation,
            message.stored_bytes,
            SnapshotKind(message.kind),
            message.expires_at.ToNanoseconds(),
            message.credential,
        )


@dataclass(frozen=True)
class RestoredInto:
    """What a restore into a served node did, or would do.

    Attributes:
        dropped: files that the snapshot has not.
        snapshot_key_id: the key that opened the snapshot.
        credential: what the credentials are called that opened it.
        credential_is_of_then: they are those that the snapshot names.
        master_key: the one in force.
    """

    replaced: tuple[str, ...]
    added: tuple[str, ...]
    dropped: tuple[str, ...]
    snapshot_key_id: str
    credential: str
    credential_is_of_then: bool
    master_key: MasterInfo

    @classmethod
    def decode(cls, message: pb.RestoredFiles) -> Self:
        return cls(
            tuple(message.replaced),
            tuple(message.added),
            tuple(message.dropped),
            message.snapshot_key_id,
            message.credential,
            message.credential_is_of_then,
            master_info(message.master_key),
        )


@dataclass(frozen=True)
class ServedLog:
    """The point-in-time log of a served node; `place` is empty where it has none.

    Attributes:
        segment: the number of the last one.
        settled_ns: until then the log is complete.
        problem: why what came later is not in it, or nothing.
    """

    place: str
    window_days: int
    segment: int
    settled_ns: int
    problem: str

    @classmethod
    def decode(cls, message: pb.LogStatus) -> Self:
        settled_ns = message.settled_at.ToNanoseconds()
        return cls(message.place, message.window_days, message.segment, settled_ns, message.problem)


def master_info(message: pb.MasterKeyInfo) -> MasterInfo:
    """Read a master key from a message."""
    return MasterInfo(message.generation, message.provider, message.key_id, message.key_version, message.name)
