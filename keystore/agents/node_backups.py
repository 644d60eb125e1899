"""The calls of a served node on its snapshots, on restores, and on its point-in-time log.

Leaves to others: files and pages (`keystore.agents.node_files`), keys and the process (`keystore.agents.service`).
"""

import threading
from collections.abc import Iterator
from pathlib import Path

from google.protobuf.timestamp_pb2 import Timestamp
from keystore_api.node.v1 import node_pb2 as pb

from keystore.agents.node_files import NodeFiles
from keystore.agents.reports import KINDS
from keystore.agents.serving import Call, log
from keystore.agents.telling import telling
from keystore.errors import InputError
from keystore.format.kind import SnapshotKind
from keystore.format.manifest import NEVER, ManifestHead
from keystore.kms.protocol import KmsConnector
from keystore.node.directory import Node
from keystore.node.reports import MasterInfo
from keystore.node.restoring import restore
from keystore.node.restoring_into import restore_into
from keystore.node.snapshotting import snapshot
from keystore.objects.opening import open_place
from keystore.objects.place import Place
from keystore.progress import Progress
from keystore.snapshots.at_time import PointInTime
from keystore.snapshots.listing import list_snapshots
from keystore.snapshots.manifest import read_manifest
from keystore.snapshots.names import find_snapshot


class NodeBackups(NodeFiles):
    """The calls on the backups of one open node.

    Args:
        connector: reaches the keys of snapshots that are restored.
    """

    def __init__(self, node: Node, connector: KmsConnector) -> None:
        super().__init__(node)
        self._connector = connector
        self._switching = threading.Lock()

    def create_snapshot(self, request: pb.CreateSnapshotRequest, call: Call) -> Iterator[pb.SnapshotProgress]:
        place, kind = open_place(given(request.target, "target")), _kind(request.kind)
        expires_ns = request.expires_at.ToNanoseconds() if request.HasField("expires_at") else NEVER
        made = yield from telling(
            lambda progress: snapshot(self._node, place, progress, kind=kind, expires_ns=expires_ns),
            _snapshot_progress,
            self._is_unwanted(call),
        )
        if self._node.log.info is not None:
            self._node.log.prune([place], request.log_window_days or None)
        yield pb.SnapshotProgress(snapshot=_info(read_manifest(place, made.snapshot_id).head, made.stored_bytes))

    def list_snapshots(self, request: pb.ListSnapshotsRequest, call: Call) -> pb.ListSnapshotsResponse:
        found = list_snapshots(open_place(given(request.target, "target")))
        heads = [each.head for each in found if each.state == "complete" and each.head]
        return pb.ListSnapshotsResponse(snapshots=[_info(head, head.pack_bytes) for head in heads])

    def restore(self, request: pb.RestoreRequest, call: Call) -> Iterator[pb.SnapshotProgress]:
        place, directory = open_place(given(request.source, "source")), Path(given(request.directory, "directory"))
        if not directory.is_absolute():
            raise InputError(f"{directory} is not an absolute path. Nothing was restored; name one of this machine.")
        snapshot_id = find_snapshot(place, request.snapshot_id)
        yield from telling(
            lambda progress: restore(place, snapshot_id, directory, self._connector, progress=progress),
            _snapshot_progress,
            self._is_unwanted(call),
        )
        head = read_manifest(place, snapshot_id).head
        yield pb.SnapshotProgress(snapshot=_info(head, head.pack_bytes))

    def restore_into(self, request: pb.RestoreIntoRequest, call: Call) -> Iterator[pb.RestoreProgress]:
        place = open_place(given(request.source, "source"))
        snapshot_id = find_snapshot(place, request.snapshot_id)
        at = PointInTime(request.at.ToNanoseconds()) if request.HasField("at") else None
        restored = yield from telling(
            lambda progress: self._restore_into(place, snapshot_id, at, request.only_check, progress),
            lambda done, total: pb.RestoreProgress(bytes_done=done, bytes_total=total),
            self._is_unwanted(call),
        )
        if not request.only_check:
            log(f"restored snapshot {snapshot_id.hex()}, for {call.caller}")
        yield pb.RestoreProgress(restored=restored)

    def _restore_into(
        self, place: Place, snapshot_id: bytes, at: PointInTime | None, only_check: bool, progress: Progress
    ) -> pb.RestoredFiles:
        with restore_into(self._node, place, snapshot_id, self._connector, at=at) as restoring:
            used = restoring.credentials
            done = pb.RestoredFiles(
                replaced=restoring.replaced,
                added=restoring.added,
                dropped=restoring.kept,
                snapshot_key_id=restoring.snapshot_key_id,
                credential=used.reference,
                credential_is_of_then=used.recorded,
            )
            if not only_check:
                restoring.run(progress)
                # CRASH: the same request again drops what is left.
                for name in restoring.kept:
                    self._node.drop_file(*name.split("/", 1))
        done.master_key.CopyFrom(master(self._node.master_info))
        return done

    # -- the log ------------------------------------------------------------------------------------------------------

    def get_log(self, request: pb.GetLogRequest, call: Call) -> pb.LogStatus:
        if request.flush:
            self._node.log.flush()
        return self._log_status()

    def set_log(self, request: pb.SetLogRequest, call: Call) -> pb.LogStatus:
        with self._switching:
            present = self._node.log.info
            if (present.place if present else "") != request.place:
                if present is not None:
                    self._node.log.disable()
                if request.place:
                    self._node.log.enable(given(request.place, "place"))
                log(f"the log is {f'in {request.place}' if request.place else 'off'}, for {call.caller}")
            return self._log_status()

    def _log_status(self) -> pb.LogStatus:
        info = self._node.log.look()
        if info is None:
            return pb.LogStatus()
        return pb.LogStatus(
            place=info.place,
            window_days=info.window_days,
            segment=info.status.number,
            settled_at=timestamp(info.status.settled_ns),
            problem=info.status.problem or "",
        )


def given(text: str, what: str) -> str:
    """Return a text that a call must have.

    Raises:
        InputError: it is empty, or no path can be it.
    """
    if not text:
        raise InputError(f"no {what} was given. Nothing was done; name one.")
    if "\0" in text:
        raise InputError(f"the {what} {text[:80]!r} has a null character. Nothing was done; name another.")
    return text


def master(info: MasterInfo) -> pb.MasterKeyInfo:
    return pb.MasterKeyInfo(
        generation=info.generation,
        provider=info.provider,
        key_id=info.key_id,
        key_version=info.key_version,
        name=info.name,
    )


def timestamp(ns: int) -> Timestamp:
    made = Timestamp()
    made.FromNanoseconds(ns)
    return made


def _kind(number: int) -> SnapshotKind:
    found = next((kind for kind, value in KINDS.items() if value == number), None)
    if found is None:
        raise InputError(f"{number} is no kind of snapshot. Nothing was taken; name one that there is.")
    return found


def _info(head: ManifestHead, stored_bytes: int) -> pb.SnapshotInfo:
    return pb.SnapshotInfo(
        snapshot_id=head.snapshot_id.hex(),
        created_at=timestamp(head.created_ns),
        encryption_key_id=head.wrapped.key_id,
        master_generation=head.era,
        stored_bytes=stored_bytes,
        kind=KINDS[head.kind],
        expires_at=timestamp(head.expires_ns) if head.expires_ns != NEVER else None,
        credential=head.credential,
    )


def _snapshot_progress(done: int, total: int) -> pb.SnapshotProgress:
    return pb.SnapshotProgress(bytes_done=done, bytes_total=total)
