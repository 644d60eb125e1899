"""Every error that leaves the package, in one tree.

A message says what was wrong, what is unchanged, and what to do next. Callers tell errors apart by type, never by text.
No message carries key material or plaintext.

    KeystoreError
      InputError                    the caller's value cannot be used; nothing changed
        KeyUriError, KmsEndpointError, KmsSetupError, CredentialsFileError, PageRangeError, PathMissingError,
        PathTakenError, PolicyError, ControlSetupError, ControlUrlError, PathOutsideError, FileModeError,
        EngineSetupError
      KmsError                      the KMS did not do what was asked
        KmsUnreachableError         no answer, or an answer about the way there: what runs goes on (retryable)
        KmsInvalidError             an answer, and it is no: what uses the key must stop
          KmsCredentialsError, KmsPermissionError, KeyNotFoundError, KeyDisabledError, KeyPendingDeletionError,
          KeyDestroyedError, KeyUnusableError, CiphertextError, PassphraseError
      KeyFileError                  the keystore file cannot be used; it is never replaced by a fresh one
        KeyFileMissingError, KeyFileDamagedError, KeyFileStaleError, KeyFileWriteError
      VolumeKeyError                the key of the volume layer cannot be used; it is never replaced by a fresh one
        VolumeKeyMissingError, VolumeKeyDamagedError
      WrongKeyError                 the key at hand is not the one that sealed this; nothing was written
      StoreError                    a page store
        StoreMissingError, StoreExistsError, NotAStoreError, StoreLockedError, StoreClosedError, StoreForkedError,
        StoreFullError, StoreIOError, CommitUnknownError, StoreDamagedError, StoreRolledBackError, StoreDivergedError
      NodeError                     a node directory
        NodeMissingError, NodeExistsError, NodeLockedError, NodeClosedError, NodeIOError, NameTakenError,
        NameUnknownError, DatabaseShreddedError, DataKeyInUseError, ConversionUnfinishedError, AnchorsMissingError,
        AnchorsDamagedError, FileUnknownError, FileTakenError, ReadOnlyError
        OutsideAnchorError          an outside anchor; what is inside the node is unchanged
          OutsideAnchorMissingError, OutsideAnchorDamagedError, OutsideAnchorUnreachableError,
          OutsideAnchorConflictError
      KnownNodesError               the list of known nodes cannot be read or written; it is unchanged
      SnapshotError
        SnapshotMissingError, SnapshotBusyError, SnapshotDamagedError, SnapshotProviderError
        SignerError                 nothing was opened: who signed it is not who should have
          SignerUnknownError, SignerChangedError
      LogError                      the point-in-time log of a node; every commit is safe in its store
        LogBehindError              the log's place could not be written: commits are not in the log (retryable)
        LogConflictError            another copy of the node writes the same log
        LogMissingError, LogDamagedError, LogGapError
      CopyDiffersError              a copy of a database is not what was copied; it is not kept
      PlaceError                    a place of objects, or an object in it, cannot be read or written
        PlaceUnreachableError       no answer, or one about the way there: a second try can help
        PlaceMissingError           there is no such directory or bucket
        ObjectMissingError, ObjectExistsError, ObjectDamagedError
      AgentError                    a process of a cluster (node, router, host), or the way to it
        NodeUnreachableError        no answer: what was asked for may have been done (retryable)
        CertificateError            a certificate is missing, expired, or not of this cluster
        RoleError                   the caller's certificate is genuine, and not for that
        GenerationError             the master key is not of the generation that the caller expected
        TopologyError               a router knows a newer topology than the one that it was given
      ControlError                  the control plane's state, or what it does; nodes run on
        ControlUnreachableError     its database does not answer: a second try can help
        ControlSchemaError          a newer version of the program made its tables
        ControlConflictError        a row that may be there once is there
        FencedError                 another control process does this now
      ClusterError                  a cluster, or an operation on it; every node is as it was
        ClusterMissingError, ClusterExistsError, ClusterStateError, OperationOpenError, OperationMissingError
      ApiError                      a request to the control plane's API; nothing was changed
        AccessError                 the caller lacks the role that was needed
"""

import io
import re
from os import PathLike
from typing import Self

RESTORE_ONE = "it from a snapshot (keystore snapshot restore --into --file)"
"""What to do about a store that is lost, at the end of a message."""

_UNCHANGED = re.compile(r"^Nothing was [a-z]+[;.] ?")


def cause_of(error: Exception | str) -> str:
    """Return what was wrong, without what is unchanged and what to do: to stand inside the message of another error."""
    return str(error).partition(". ")[0].rstrip(".")


def cause_and_advice_of(error: Exception | str) -> str:
    """Return what was wrong and what to do, without what is unchanged: where only that advice leads on."""
    cause, _, rest = str(error).partition(". ")
    advice = _UNCHANGED.sub("", rest).rstrip(".")
    return f"{cause.rstrip('.')}: {advice}" if advice else cause.rstrip(".")


class KeystoreError(Exception):
    """Base of all errors of this package."""


class InputError(KeystoreError, ValueError):
    """A value from the caller cannot be used; nothing was changed."""


class KeyUriError(InputError):
    """A key URI cannot be parsed."""


class KmsEndpointError(InputError):
    """The address of a KMS is missing, cannot be parsed, or would send secrets over a network in clear."""


class KmsSetupError(InputError):
    """The library that speaks to a KMS is not installed, or its own settings cannot be used."""


class CredentialsFileError(InputError):
    """The file of credentials cannot be read, or has not what was named; nothing was sent."""


class PageRangeError(InputError):
    """A page number is outside the store."""


class PathMissingError(InputError):
    """A file or directory that the caller named is not there, or holds nothing of what was asked for."""

    @classmethod
    def parent_of(cls, path: PathLike[str]) -> Self:
        """Return the error of every command that would make `path` and finds no directory for it."""
        return cls(f"{path} cannot be made: its directory is missing. Nothing was changed; make the directory first.")


class PathTakenError(InputError):
    """Something is already where the caller wants something new, or cannot be replaced; it is unchanged."""


class PolicyError(InputError):
    """A backup policy is not what one can be; nothing was taken and nothing was deleted."""


class ControlSetupError(InputError):
    """The libraries of the control plane are not installed, or its settings cannot be used."""


class ControlUrlError(InputError):
    """The URL of the control database cannot be used."""


class KmsError(KeystoreError):
    """A key management service did not do what was asked.

    Attributes:
        code: the cloud's own word for it; empty where there was no answer.
    """

    code = ""


class KmsUnreachableError(KmsError):
    """No answer, or an answer about the way there: refused, timed out, 5xx, throttled, blocked by address.

    The key may be perfectly well. What runs goes on; a later try can help.
    """


class KmsInvalidError(KmsError):
    """The KMS answered, and the answer is no. A later try helps only after somebody changed something."""


class KmsCredentialsError(KmsInvalidError):
    """The KMS does not accept the credentials."""


class KmsPermissionError(KmsInvalidError):
    """The credentials are good, and lack a permission that the message names."""


class KeyNotFoundError(KmsInvalidError):
    """The KMS has no such key or version."""


class KeyDisabledError(KmsInvalidError):
    """The key or version is disabled; enabling it again brings everything back."""


class KeyPendingDeletionError(KmsInvalidError):
    """The key or version is scheduled for deletion; it can still be recovered in the KMS."""


class KeyDestroyedError(KmsInvalidError):
    """The key or version is gone for good, and with it everything that only it could unwrap."""


class CiphertextError(KmsInvalidError):
    """The KMS did not accept the wrapped key: changed, made under another key, or bound to another context."""


class KeyUnusableError(KmsInvalidError):
    """The key is there and cannot wrap: made for another purpose, still without material, or a file that is no key."""


class PassphraseError(KmsInvalidError):
    """The passphrase is missing, or not the one that wrapped this."""


class KeyFileError(KeystoreError):
    """The keystore file of a node cannot be used."""


class KeyFileMissingError(KeyFileError):
    """The keystore file is not there. Without it nothing opens; it is never made anew over existing data."""


class KeyFileDamagedError(KeyFileError):
    """The keystore file was changed or cut."""


class KeyFileStaleError(KeyFileError):
    """The keystore file is genuine but not the one that the anchors name: an older or foreign copy."""


class KeyFileWriteError(KeyFileError):
    """The next keystore file could not be written; the one in force is unchanged."""


class VolumeKeyError(KeystoreError):
    """The file of a node's volume key cannot be used."""


class VolumeKeyMissingError(VolumeKeyError):
    """The node has a volume layer and the file of its key is not there; no store opens without it."""


class VolumeKeyDamagedError(VolumeKeyError):
    """The file of a volume key was changed or cut, or is another node's."""


class WrongKeyError(KeystoreError):
    """The key at hand is not the one that sealed the data; nothing was written."""


class StoreError(KeystoreError):
    """A page store."""


class StoreMissingError(StoreError):
    """The store file is not there; a missing file is never a fresh start."""


class StoreExistsError(StoreError):
    """A file is already where a new store was asked for."""


class NotAStoreError(StoreError):
    """The file is not a page store, or one of an unknown version."""


class StoreLockedError(StoreError):
    """Another process, or another object of this one, has the store open."""


class StoreClosedError(StoreError):
    """The store object was closed."""


class StoreForkedError(StoreError):
    """This process is a fork of the one that opened the store; it holds no key. Open the store again here."""


class StoreFullError(StoreError):
    """No space on the device. The commit did not happen; the store reads on and writes again once there is space."""


class StoreIOError(StoreError):
    """The operating system refused an operation; what was committed before is unchanged."""


class CommitUnknownError(StoreError):
    """A sync failed, so nobody knows whether the commit is durable. Open the store again to learn it."""


class StoreDamagedError(StoreError):
    """The store's bytes are not what was written.

    Attributes:
        store: name of the store.
        part: what is damaged: ``page``, ``map node``, ``header``, ``commit record``, ``watermark``, ``file``, …
        number: number of the page, node or sequence, or None.
        found: what the check saw; for the message only.
        pages: of a map node: the pages that cannot be read without it, where that is known.
        finding, advice: the two halves of the message, for who tells of many at once.
    """

    def __init__(self, store: str, part: str, number: int | None, found: str, pages: range | None = None) -> None:
        self.store, self.part, self.number, self.found, self.pages = store, part, number, found, pages
        where = part if number is None else f"{part} {number}"
        if pages:
            where += f", above pages {pages.start} to {pages.stop - 1},"
        left = "Other parts stay readable" if part in ("page", "map node") else "The store cannot be used as it is"
        cure = "Repair it from a snapshot (keystore repair)." if part == "page" else f"Restore {RESTORE_ONE}."
        seen = cause_of(found).removeprefix(f"store {store}: ")
        self.finding = f"store {store}: {where} is damaged: {seen}"
        self.advice = f"{left}; nothing was written. {cure}"
        super().__init__(f"{self.finding}. {self.advice}")

    def __reduce__(self) -> tuple[type["StoreDamagedError"], tuple[str, str, int | None, str, range | None]]:
        return type(self), (self.store, self.part, self.number, self.found, self.pages)


class StoreRolledBackError(StoreError):
    """The store is a genuine but older state than one that was acknowledged."""


class StoreDivergedError(StoreError):
    """The store's history does not contain the state that the anchor names: another branch, or a stale anchor."""


class NodeError(KeystoreError):
    """A node directory."""


class NodeMissingError(NodeError):
    """The directory is not a node."""


class NodeExistsError(NodeError):
    """A node, or something else, is already there."""


class NodeLockedError(NodeError):
    """Another process, or another object of this one, has the node open."""


class NodeClosedError(NodeError):
    """The node object was closed, or can no longer know what is on disk; open the node again."""


class NodeIOError(NodeError):
    """The operating system refused an operation on the directory, or on a file to be imported or exported."""


class NameTakenError(NodeError):
    """A database or file of that name exists."""


class NameUnknownError(NodeError):
    """No database or file of that name exists."""


class FileUnknownError(NameUnknownError, FileNotFoundError):
    """No file of that path exists, in the words of a file system."""


class FileTakenError(NameTakenError, FileExistsError):
    """A file of that path exists, in the words of a file system; it is unchanged."""


class PathOutsideError(InputError):
    """A path that leaves the node, or that can be no name in it; nothing was changed."""


class FileModeError(InputError, io.UnsupportedOperation):
    """What was asked of a file does not go with how it was opened; nothing was changed."""


class ReadOnlyError(NodeError, PermissionError):
    """A file system that was opened for reading only was asked to change something; nothing was changed."""


class EngineSetupError(InputError):
    """The library that an engine needs is not installed."""


class CopyDiffersError(KeystoreError):
    """A copy of a database is not what was copied, or does not pass its engine's check; it is not kept."""


class DatabaseShreddedError(NameUnknownError):
    """All data keys of the database were destroyed on purpose; nothing of it opens any more."""


class DataKeyInUseError(NodeError):
    """Something still needs the data key, or nobody knows whether it does; it was not destroyed."""


class ConversionUnfinishedError(NodeError):
    """A conversion of a node has begun and is not at its end; what is done stays done (retryable)."""


class AnchorsMissingError(NodeError):
    """The anchors file, or an anchor in it, is not there; so nobody knows how old the stores are."""


class AnchorsDamagedError(NodeError):
    """The anchors file was changed or cut; so nobody knows how old the stores are."""


class OutsideAnchorError(NodeError):
    """An outside anchor of a node; what is inside the node is unchanged."""


class OutsideAnchorMissingError(OutsideAnchorError):
    """The place has nothing of this node, or the node knows nothing of a place that was named."""


class OutsideAnchorDamagedError(OutsideAnchorError):
    """The last statement of an outside anchor was changed or cut."""


class OutsideAnchorUnreachableError(OutsideAnchorError):
    """No answer from the place of an outside anchor, or a refusal. What runs goes on; a later try can help."""


class OutsideAnchorConflictError(OutsideAnchorError):
    """Another copy of this node states to the same outside anchor; this one stops."""


class KnownNodesError(KeystoreError):
    """The list of known nodes cannot be read, written or understood; it is unchanged."""


class SnapshotError(KeystoreError):
    """A snapshot."""


class SnapshotMissingError(SnapshotError):
    """No snapshot of that id at that place."""


class SnapshotBusyError(SnapshotError):
    """The snapshot is being restored, so it was not deleted."""


class SnapshotDamagedError(SnapshotError):
    """A manifest or pack is not what was written; the target of the restore is untouched."""


class SnapshotProviderError(SnapshotError):
    """The snapshot was taken under another provider's key than the node is under; the node is untouched."""


class SignerError(SnapshotError):
    """A snapshot, or a node, whose key for signing is not the one that was expected; nothing was opened."""


class SignerUnknownError(SignerError):
    """Nobody has told this machine which key signs the snapshots of that node."""


class SignerChangedError(SignerError):
    """The node is known under another key: it is forged, or the node is not the one that was recorded."""


class LogError(KeystoreError):
    """The point-in-time log of a node. Every commit is safe in its store."""


class LogBehindError(LogError):
    """The place of the log could not be written, so commits are not in the log. A later try can help."""


class LogConflictError(LogError):
    """Another copy of this node writes to the same log; this one writes nothing more there."""


class LogMissingError(LogError):
    """There is no log for what was asked, or no snapshot to build on."""


class LogDamagedError(LogError):
    """A segment is missing or not what was written; the target of the restore is untouched."""


class LogGapError(LogError):
    """The log does not tell what was at that time; the target of the restore is untouched.

    Attributes:
        before_ns, after_ns: the nearest times, as far as known, that can be restored.
    """

    def __init__(self, message: str, before_ns: int | None = None, after_ns: int | None = None) -> None:
        self.before_ns, self.after_ns = before_ns, after_ns
        super().__init__(message)

    def __reduce__(self) -> tuple[type["LogGapError"], tuple[str, int | None, int | None]]:
        return type(self), (str(self), self.before_ns, self.after_ns)


class PlaceError(KeystoreError):
    """A place of objects, or an object in it, cannot be read or written. No object that was there is changed."""


class PlaceUnreachableError(PlaceError):
    """No answer from the place, or an answer about the way there: refused, timed out, cut, 5xx, throttled.

    What was being written may be there, whole, or not; a second try can help.
    """


class PlaceMissingError(PlaceError):
    """There is no such directory or bucket."""


class ObjectMissingError(PlaceError):
    """The place has no object of that name."""


class ObjectExistsError(PlaceError):
    """The place has another object of that name, which is unchanged."""


class ObjectDamagedError(PlaceError):
    """An object is shorter or longer than what was written can be."""


class AgentError(KeystoreError):
    """A process of a cluster (node, router, host) failed at what was asked, or the way to it did."""


class NodeUnreachableError(AgentError):
    """No answer from a process: it is down, or too slow. What was asked for may have been done; try again."""


class CertificateError(AgentError):
    """A certificate, ours or the other side's, is missing, damaged, expired or foreign; nothing was sent."""


class RoleError(AgentError):
    """The caller's certificate is genuine, and its role may not do that; nothing was changed."""


class GenerationError(AgentError):
    """The node's master key is not of the generation that the caller expected; nothing was changed."""


class TopologyError(AgentError):
    """A router knows a newer topology than the one that it was given; nothing was changed."""


class ControlError(KeystoreError):
    """The control plane's state, or something it was to do. Nodes run on."""


class ControlUnreachableError(ControlError):
    """The control database does not answer. A later try can help."""


class ControlSchemaError(ControlError):
    """A newer version of this program made the tables of the control database; they are unchanged."""


class ControlConflictError(ControlError):
    """A row that may be there once is there; nothing was changed."""


class FencedError(ControlError):
    """Another control process has taken this over; what this one still holds counts no more."""


class ClusterError(KeystoreError):
    """A cluster, or an operation on it; every node is as it was."""


class ClusterMissingError(ClusterError):
    """There is no cluster of that name."""


class ClusterExistsError(ClusterError):
    """There is a cluster of that name; it is unchanged."""


class ClusterStateError(ClusterError):
    """The cluster is not in the state that the operation needs, such as customer keys on."""


class OperationOpenError(ClusterError):
    """Another operation on the cluster has not ended, and there is one at a time."""


class OperationMissingError(ClusterError):
    """The cluster has no such operation."""


class ApiError(KeystoreError):
    """A request to the API of the control plane, refused; nothing was changed.

    Attributes:
        status: of HTTP.
        code: stable, such as `CLUSTER_NOT_FOUND` (`keystore.projects.codes`).
        parameters: what the text was made with.
        field: which field of the body or the query was wrong; empty where none was.
    """

    status = 500
    code = "UNEXPECTED_ERROR"
    parameters: tuple[str, ...] = ()
    field = ""

    def __init__(self, status: int, code: str, detail: str, parameters: tuple[str, ...] = (), field: str = "") -> None:
        super().__init__(detail)
        self.status, self.code, self.parameters, self.field = status, code, parameters, field


class AccessError(ApiError):
    """The caller is known, and lacks the role that was needed.

    Attributes:
        needed: the roles of which one would have done.
        organization_id, project_id: where.
    """

    needed: tuple[str, ...] = ()
    organization_id: str | None = None
    project_id: str | None = None

    def __init__(self, detail: str, needed: tuple[str, ...], organization_id: str, project_id: str | None) -> None:
        super().__init__(403, "USER_UNAUTHORIZED", detail, needed)
        self.needed, self.organization_id, self.project_id = needed, organization_id, project_id
