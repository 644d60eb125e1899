"""The client of a served node, and of a router, which answers as its members do.

    with NodeClient("127.0.0.1:4800", "/etc/keystore/control", name="node-1") as node:
        node.rotate_master(expected_generation=node.status().master_key.generation)

Every method raises what the node raised, as the same class of `keystore.errors`, and besides `NodeUnreachableError`,
`CertificateError`, and `RoleError` where our certificate is not for that call.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence

from keystore_api.node.v1 import node_pb2 as pb
from keystore_api.node.v1.node_pb2_grpc import NodeStub

from keystore.agents.calling import CALL_S, AgentClient
from keystore.agents.identity import Role
from keystore.agents.reports import (
    KINDS,
    Converted,
    MasterKeyChange,
    NodeStatus,
    RestoredInto,
    ServedFile,
    ServedLog,
    ServedSnapshot,
)
from keystore.errors import AgentError, StoreDamagedError
from keystore.format.kind import SnapshotKind
from keystore.format.manifest import NEVER
from keystore.node.converting import KEEP, VolumeChoice
from keystore.progress import Progress, untold

KEYS_S = 120.0
"""LIMIT: seconds for a change of keys: three calls of a KMS, each of which may take its own limit."""
WORK_S = 86400.0
"""LIMIT: seconds for a snapshot, a restore, the check or the transfer of a file."""
LOG_S = 180.0
"""LIMIT: seconds for a call on the log, which waits for the log's place."""
PAGE_SIZE = 16384
CHUNK_BYTES = 1 << 20


class NodeClient(AgentClient):
    """A client of one node; a context manager that closes it. Threads may share it."""

    def __init__(
        self, address: str, tls: str | os.PathLike[str], name: str | None = None, *, role: Role = Role.NODE
    ) -> None:
        """Know the way; nothing is sent yet. See `AgentClient`."""
        super().__init__(address, tls, role, name)

    def status(self, timeout_s: float = CALL_S) -> NodeStatus:
        """Tell what the node is, and which master key is in force."""
        answer = self._call(lambda channel: NodeStub(channel).GetStatus, pb.GetStatusRequest(), timeout_s)
        return NodeStatus.decode(answer)

    def stop(self, timeout_s: float = CALL_S) -> None:
        """Have the process end: running calls first, then its keys are wiped. It may still be there on return."""
        self._call(lambda channel: NodeStub(channel).Stop, pb.StopRequest(), timeout_s)

    # -- keys ---------------------------------------------------------------------------------------------------------

    def give_credentials(self, credentials: bytes, timeout_s: float = CALL_S) -> None:
        """Let `GivenCredentials.encode` stand in for the credentials that the node has; the KMS is not asked."""
        request = pb.GiveCredentialsRequest(credentials=credentials)
        self._call(lambda channel: NodeStub(channel).GiveCredentials, request, timeout_s)

    def rotate_master(self, expected_generation: int | None = None, timeout_s: float = KEYS_S) -> MasterKeyChange:
        """Make a new master key under the same CMK; no data file is touched.

        With `expected_generation` a second request finds the change done, and does not make another.

        Raises:
            GenerationError: the master key is of another generation; nothing was changed.
            KmsError, KeyFileWriteError: the former master key stays.
        """
        request = pb.RotateMasterKeyRequest(expected_generation=expected_generation)
        answer = self._call(lambda channel: NodeStub(channel).RotateMasterKey, request, timeout_s)
        return MasterKeyChange.decode(answer)

    def change_cmk(
        self, key_uri: str, expected_generation: int | None = None, timeout_s: float = KEYS_S
    ) -> MasterKeyChange:
        """Make a new master key under another CMK, of any provider; as `rotate_master`."""
        request = pb.ChangeCmkRequest(key_uri=key_uri, expected_generation=expected_generation)
        answer = self._call(lambda channel: NodeStub(channel).ChangeCmk, request, timeout_s)
        return MasterKeyChange.decode(answer)

    def convert(
        self,
        key_uri: str,
        volume_key: VolumeChoice = KEEP,
        expected_generation: int | None = None,
        progress: Progress = untold,
        timeout_s: float = WORK_S,
    ) -> Converted:
        """Put the node under another CMK and new data keys, with a volume layer or without; the same call goes on.

        With `expected_generation`, of before it began, a second request finds it begun, and does what is left.

        Args:
            volume_key: URI of the platform key, None for no layer; by default as it is.

        Raises:
            GenerationError: the master key is of another generation; nothing was changed.
            ConversionUnfinishedError: it has begun, and something is in the way; ask again.
            KmsError, KeyFileWriteError: it has not begun.
        """
        request = pb.ConvertRequest(key_uri=key_uri, expected_generation=expected_generation)
        if isinstance(volume_key, str):
            request.volume_key_uri = volume_key
        elif volume_key is None:
            request.no_volume_layer = True
        for answer in self._stream(lambda channel: NodeStub(channel).Convert, request, timeout_s):
            if answer.HasField("converted"):
                return Converted.decode(answer.converted)
            progress(answer.bytes_done, answer.bytes_total)
        raise AgentError(f"{self} ended without an answer. Look at its log.")

    def rotate_data_key(self, database: str, timeout_s: float = KEYS_S) -> int:
        """Give a database a new generation of its data key, and return its number."""
        request = pb.RotateDataKeyRequest(database=database)
        return self._call(lambda channel: NodeStub(channel).RotateDataKey, request, timeout_s).generation

    # -- files and pages ----------------------------------------------------------------------------------------------

    def create_file(
        self, database: str, name: str, page_size: int = PAGE_SIZE, timeout_s: float = CALL_S
    ) -> ServedFile:
        """Make an empty file; durable on return."""
        request = pb.CreateFileRequest(database=database, name=name, page_size_bytes=page_size)
        return ServedFile.decode(self._call(lambda channel: NodeStub(channel).CreateFile, request, timeout_s))

    def list_files(self, database: str = "", timeout_s: float = CALL_S) -> list[ServedFile]:
        """Describe the files, of one database or all; each store is opened."""
        request = pb.ListFilesRequest(database=database)
        answer = self._call(lambda channel: NodeStub(channel).ListFiles, request, timeout_s)
        return [ServedFile.decode(each) for each in answer.files]

    def drop_file(self, database: str, name: str, timeout_s: float = CALL_S) -> None:
        """Remove a file for good."""
        self._call(
            lambda channel: NodeStub(channel).DropFile, pb.DropFileRequest(database=database, name=name), timeout_s
        )

    def read_pages(
        self, database: str, name: str, page_nos: Sequence[int], timeout_s: float = CALL_S
    ) -> dict[int, bytes]:
        """Return pages of one commit, by number; a hole reads as zeros. LIMIT: 16 MiB at once."""
        request = pb.ReadPagesRequest(database=database, name=name, page_nos=page_nos)
        answer = self._call(lambda channel: NodeStub(channel).ReadPages, request, timeout_s)
        return {page.page_no: page.content for page in answer.pages}

    def write_pages(
        self,
        database: str,
        name: str,
        pages: Mapping[int, bytes | None],
        *,
        page_count: int | None = None,
        byte_length: int | None = None,
        timeout_s: float = CALL_S,
    ) -> int:
        """Change pages in one commit, durable on return, and return its sequence; None makes a hole.

        LIMIT: 16 MiB at once. Where no answer came, it was made whole or not at all.
        """
        written = [pb.Page(page_no=page_no, content=content or b"") for page_no, content in pages.items()]
        request = pb.WritePagesRequest(
            database=database, name=name, pages=written, page_count=page_count, byte_length=byte_length
        )
        return self._call(lambda channel: NodeStub(channel).WritePages, request, timeout_s).sequence

    def read_file(
        self, database: str, name: str, offset: int = 0, length: int | None = None, timeout_s: float = WORK_S
    ) -> Iterator[bytes]:
        """Yield the content of a file, or of a part of it. What is written meanwhile may be in it, or not."""
        request = pb.ReadFileRequest(database=database, name=name, offset=offset, length=length)
        for chunk in self._stream(lambda channel: NodeStub(channel).ReadFile, request, timeout_s):
            yield chunk.content

    def write_file(
        self,
        database: str,
        name: str,
        content: bytes | Iterable[bytes],
        *,
        offset: int = 0,
        page_size: int = PAGE_SIZE,
        timeout_s: float = WORK_S,
    ) -> ServedFile:
        """Write into a file from `offset` on, durable on return; one that is not there is made, whole or not at all."""
        chunks = [content] if isinstance(content, bytes) else content
        head = pb.WriteFileRequest(database=database, name=name, offset=offset, page_size_bytes=page_size)
        answer = self._call(lambda channel: NodeStub(channel).WriteFile, _requests(head, chunks), timeout_s)
        return ServedFile.decode(answer)

    def verify_file(
        self, database: str, name: str, progress: Progress = untold, timeout_s: float = WORK_S
    ) -> list[StoreDamagedError]:
        """Read and check everything in a file's store; return what is damaged. `progress` is told pages."""
        request = pb.VerifyFileRequest(database=database, name=name)
        damaged: list[StoreDamagedError] = []
        for answer in self._stream(lambda channel: NodeStub(channel).VerifyFile, request, timeout_s):
            progress(answer.pages_done, answer.pages_total)
            damaged += [
                StoreDamagedError(each.store, each.part, each.number if each.HasField("number") else None, each.found)
                for each in answer.damaged
            ]
        return damaged

    # -- snapshots ----------------------------------------------------------------------------------------------------

    def create_snapshot(
        self,
        target: str,
        progress: Progress = untold,
        timeout_s: float = WORK_S,
        *,
        kind: SnapshotKind = SnapshotKind.ON_DEMAND,
        expires_ns: int = NEVER,
        log_window_days: int = 0,
    ) -> ServedSnapshot:
        """Take a snapshot into a place that the node's machine reaches; no KMS is asked.

        Args:
            log_window_days: what the node's log, if it has one, is cut to then; 0: its own window.
        """
        request = pb.CreateSnapshotRequest(target=target, kind=KINDS[kind], log_window_days=log_window_days)
        if expires_ns != NEVER:
            request.expires_at.FromNanoseconds(expires_ns)
        return self._last(self._stream(lambda channel: NodeStub(channel).CreateSnapshot, request, timeout_s), progress)

    def list_snapshots(self, target: str, timeout_s: float = CALL_S) -> list[ServedSnapshot]:
        """Return the complete snapshots of a place, oldest first."""
        request = pb.ListSnapshotsRequest(target=target)
        answer = self._call(lambda channel: NodeStub(channel).ListSnapshots, request, timeout_s)
        return [ServedSnapshot.decode(each) for each in answer.snapshots]

    def restore(
        self,
        source: str,
        snapshot_id: str,
        directory: str | os.PathLike[str],
        progress: Progress = untold,
        timeout_s: float = WORK_S,
    ) -> ServedSnapshot:
        """Make a new node at `directory`, an absolute path of the node's machine, from a snapshot."""
        request = pb.RestoreRequest(source=source, snapshot_id=snapshot_id, directory=os.fspath(directory))
        return self._last(self._stream(lambda channel: NodeStub(channel).Restore, request, timeout_s), progress)

    def restore_into(
        self,
        source: str,
        snapshot_id: str,
        *,
        at_ns: int | None = None,
        only_check: bool = False,
        progress: Progress = untold,
        timeout_s: float = WORK_S,
    ) -> RestoredInto:
        """Give the node the files of a snapshot in the place of its own; it makes a new master key under its own CMK.

        Args:
            at_ns: a time that a log in `source` tells of, for the files as they were then.
            only_check: open what is to be restored with the key of its day, and change nothing.

        Raises:
            KmsError, SnapshotError, LogError: it cannot be restored; the node is unchanged.
            StoreLockedError: a file is being read or written; the node is unchanged.
        """
        request = pb.RestoreIntoRequest(source=source, snapshot_id=snapshot_id, only_check=only_check)
        if at_ns is not None:
            request.at.FromNanoseconds(at_ns)
        for answer in self._stream(lambda channel: NodeStub(channel).RestoreInto, request, timeout_s):
            if answer.HasField("restored"):
                return RestoredInto.decode(answer.restored)
            progress(answer.bytes_done, answer.bytes_total)
        raise AgentError(f"{self} ended without an answer. Look at its log.")

    def log(self, *, flush: bool = False, timeout_s: float = LOG_S) -> ServedLog:
        """Tell how the node's point-in-time log stands; with `flush` everything until now is in it.

        Raises:
            LogBehindError, LogConflictError: it is not all there.
        """
        answer = self._call(lambda channel: NodeStub(channel).GetLog, pb.GetLogRequest(flush=flush), timeout_s)
        return ServedLog.decode(answer)

    def set_log(self, place: str, timeout_s: float = LOG_S) -> ServedLog:
        """Have the node keep its log in a place that its machine reaches, or, with "", keep none.

        Raises:
            InputError, LogBehindError, PlaceError: as `NodeLog.enable`, `NodeLog.disable`.
        """
        answer = self._call(lambda channel: NodeStub(channel).SetLog, pb.SetLogRequest(place=place), timeout_s)
        return ServedLog.decode(answer)

    def _last(self, answers: Iterator[pb.SnapshotProgress], progress: Progress) -> ServedSnapshot:
        for answer in answers:
            if answer.HasField("snapshot"):
                return ServedSnapshot.decode(answer.snapshot)
            progress(answer.bytes_done, answer.bytes_total)
        raise AgentError(f"{self} ended without an answer. Look at its log.")


def _requests(head: pb.WriteFileRequest, chunks: Iterable[bytes]) -> Iterator[pb.WriteFileRequest]:
    yield head
    for chunk in chunks:
        for at in range(0, len(chunk), CHUNK_BYTES):
            yield pb.WriteFileRequest(content=chunk[at : at + CHUNK_BYTES])
