"""Exit codes: one number for each kind of outcome that a script may want to tell apart."""

from collections.abc import Sequence

from keystore.errors import (
    AnchorsDamagedError,
    AnchorsMissingError,
    ApiError,
    CertificateError,
    ClusterExistsError,
    ClusterMissingError,
    CommitUnknownError,
    ControlUnreachableError,
    ConversionUnfinishedError,
    CopyDiffersError,
    FencedError,
    InputError,
    KeyFileDamagedError,
    KeyFileMissingError,
    KeyFileStaleError,
    KeystoreError,
    KmsInvalidError,
    KmsUnreachableError,
    LogConflictError,
    LogDamagedError,
    LogMissingError,
    NameTakenError,
    NameUnknownError,
    NodeExistsError,
    NodeLockedError,
    NodeMissingError,
    NodeUnreachableError,
    NotAStoreError,
    ObjectDamagedError,
    ObjectExistsError,
    ObjectMissingError,
    OperationMissingError,
    OperationOpenError,
    OutsideAnchorConflictError,
    OutsideAnchorDamagedError,
    OutsideAnchorMissingError,
    OutsideAnchorUnreachableError,
    PathMissingError,
    PathTakenError,
    PlaceMissingError,
    PlaceUnreachableError,
    RoleError,
    SignerChangedError,
    SignerUnknownError,
    SnapshotDamagedError,
    SnapshotMissingError,
    SnapshotProviderError,
    StoreDamagedError,
    StoreDivergedError,
    StoreExistsError,
    StoreLockedError,
    StoreMissingError,
    StoreRolledBackError,
    VolumeKeyError,
    WrongKeyError,
)

OK = 0
ERROR = 1
USAGE = 2
KEY_INVALID = 3
UNREACHABLE = 4
DAMAGED = 5
NOT_THERE = 6
EXISTS = 7
LOCKED = 8
NOT_TRUSTED = 9
NO_CERTIFICATE = 10
INTERRUPTED = 130
NO_READER = 141
TERMINATED = 143

LASTING = frozenset({USAGE, KEY_INVALID, DAMAGED, NOT_THERE, EXISTS, NO_CERTIFICATE})
"""Codes of what waiting does not mend."""

MEANINGS = {
    OK: "done",
    ERROR: "any other error; nothing is half done",
    USAGE: "the command line, or a value on it, cannot be used",
    KEY_INVALID: "the KMS says no: key disabled, deleted, unknown, permission missing, passphrase wrong",
    UNREACHABLE: "no answer from the KMS, the outside anchor, an object store, a node or a database: try again",
    DAMAGED: "damage found: changed, cut, missing, rolled back, or sealed under another key",
    NOT_THERE: "the node, file, snapshot or directory does not exist",
    EXISTS: "something of that name exists already, and is unchanged",
    LOCKED: "another process has it open, or another operation on the cluster has not ended",
    NOT_TRUSTED: "nobody told this machine who signs the snapshots of that node",
    NO_CERTIFICATE: "a certificate or an API key is missing, expired, of another cluster, or not for that",
    INTERRUPTED: "interrupted (Ctrl-C); nothing is half done",
    NO_READER: "what read the output had enough of it, as `head` does; nothing is said",
    TERMINATED: "ended by SIGTERM; nothing is half done",
}

_CODES: tuple[tuple[tuple[type[KeystoreError], ...], int], ...] = (
    ((KmsUnreachableError, OutsideAnchorUnreachableError, PlaceUnreachableError, NodeUnreachableError), UNREACHABLE),
    ((ControlUnreachableError,), UNREACHABLE),
    ((KmsInvalidError,), KEY_INVALID),
    ((PathMissingError,), NOT_THERE),
    ((PathTakenError,), EXISTS),
    ((InputError, SnapshotProviderError), USAGE),
    ((StoreDamagedError, StoreRolledBackError, StoreDivergedError, WrongKeyError, CommitUnknownError), DAMAGED),
    ((KeyFileDamagedError, KeyFileStaleError, SnapshotDamagedError, NotAStoreError, AnchorsDamagedError), DAMAGED),
    ((KeyFileMissingError, StoreMissingError, AnchorsMissingError, VolumeKeyError), DAMAGED),
    ((OutsideAnchorMissingError, OutsideAnchorDamagedError, ObjectDamagedError, SignerChangedError), DAMAGED),
    ((LogDamagedError, CopyDiffersError), DAMAGED),
    ((SignerUnknownError,), NOT_TRUSTED),
    ((CertificateError, RoleError), NO_CERTIFICATE),
    ((SnapshotMissingError, NodeMissingError, NameUnknownError, PlaceMissingError, ObjectMissingError), NOT_THERE),
    ((LogMissingError, ClusterMissingError, OperationMissingError), NOT_THERE),
    ((StoreExistsError, NodeExistsError, NameTakenError, ObjectExistsError), EXISTS),
    ((ClusterExistsError,), EXISTS),
    ((StoreLockedError, NodeLockedError, OutsideAnchorConflictError, LogConflictError), LOCKED),
    ((OperationOpenError, FencedError), LOCKED),
)

_OF_STATUS = {400: USAGE, 401: NO_CERTIFICATE, 403: NO_CERTIFICATE, 404: NOT_THERE, 413: USAGE, 503: UNREACHABLE}
"""Codes of what the API of the control plane refuses, by its status of HTTP."""
_EXISTS_ENDS = ("_ALREADY_EXISTS", "DUPLICATE_CLUSTER_NAME")
"""How its codes end that say that something of that name is there."""


def code_of(error: KeystoreError) -> int:
    """Return the exit code for an error; what is not at its end has that of what is in its way."""
    if isinstance(error, ConversionUnfinishedError) and isinstance(error.__cause__, KeystoreError):
        return code_of(error.__cause__)
    if isinstance(error, ApiError):
        return EXISTS if error.code.endswith(_EXISTS_ENDS) else _OF_STATUS.get(error.status, ERROR)
    return next((code for types, code in _CODES if isinstance(error, types)), ERROR)


def code_of_all(errors: Sequence[KeystoreError]) -> int:
    """Return the exit code of a command that ended and found `errors` on its way; damage goes before the rest."""
    codes = [code_of(error) for error in errors]
    return DAMAGED if DAMAGED in codes else next(iter(codes), OK)


def epilog() -> str:
    """Return the list of exit codes as the help shows it."""
    return "Exit codes:\n\n" + "\n\n".join(f"{code}: {meaning}" for code, meaning in MEANINGS.items())
