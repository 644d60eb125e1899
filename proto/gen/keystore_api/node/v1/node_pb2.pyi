import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class KeyState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    KEY_STATE_UNSPECIFIED: _ClassVar[KeyState]
    KEY_STATE_VALID: _ClassVar[KeyState]
    KEY_STATE_UNREACHABLE: _ClassVar[KeyState]
    KEY_STATE_INVALID: _ClassVar[KeyState]

class SnapshotKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SNAPSHOT_KIND_UNSPECIFIED: _ClassVar[SnapshotKind]
    SNAPSHOT_KIND_HOURLY: _ClassVar[SnapshotKind]
    SNAPSHOT_KIND_DAILY: _ClassVar[SnapshotKind]
    SNAPSHOT_KIND_WEEKLY: _ClassVar[SnapshotKind]
    SNAPSHOT_KIND_MONTHLY: _ClassVar[SnapshotKind]
    SNAPSHOT_KIND_YEARLY: _ClassVar[SnapshotKind]
KEY_STATE_UNSPECIFIED: KeyState
KEY_STATE_VALID: KeyState
KEY_STATE_UNREACHABLE: KeyState
KEY_STATE_INVALID: KeyState
SNAPSHOT_KIND_UNSPECIFIED: SnapshotKind
SNAPSHOT_KIND_HOURLY: SnapshotKind
SNAPSHOT_KIND_DAILY: SnapshotKind
SNAPSHOT_KIND_WEEKLY: SnapshotKind
SNAPSHOT_KIND_MONTHLY: SnapshotKind
SNAPSHOT_KIND_YEARLY: SnapshotKind

class GetStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class NodeStatus(_message.Message):
    __slots__ = ("node_id", "version", "pid", "started_at", "master_key", "key_state", "key_message", "key_checked_at", "file_count", "stored_bytes", "name", "volume_key_id", "converting")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    MASTER_KEY_FIELD_NUMBER: _ClassVar[int]
    KEY_STATE_FIELD_NUMBER: _ClassVar[int]
    KEY_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    KEY_CHECKED_AT_FIELD_NUMBER: _ClassVar[int]
    FILE_COUNT_FIELD_NUMBER: _ClassVar[int]
    STORED_BYTES_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    VOLUME_KEY_ID_FIELD_NUMBER: _ClassVar[int]
    CONVERTING_FIELD_NUMBER: _ClassVar[int]
    node_id: bytes
    version: str
    pid: int
    started_at: _timestamp_pb2.Timestamp
    master_key: MasterKeyInfo
    key_state: KeyState
    key_message: str
    key_checked_at: _timestamp_pb2.Timestamp
    file_count: int
    stored_bytes: int
    name: str
    volume_key_id: str
    converting: bool
    def __init__(self, node_id: _Optional[bytes] = ..., version: _Optional[str] = ..., pid: _Optional[int] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., master_key: _Optional[_Union[MasterKeyInfo, _Mapping]] = ..., key_state: _Optional[_Union[KeyState, str]] = ..., key_message: _Optional[str] = ..., key_checked_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., file_count: _Optional[int] = ..., stored_bytes: _Optional[int] = ..., name: _Optional[str] = ..., volume_key_id: _Optional[str] = ..., converting: _Optional[bool] = ...) -> None: ...

class MasterKeyInfo(_message.Message):
    __slots__ = ("generation", "provider", "key_id", "key_version", "name")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_VERSION_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    generation: int
    provider: str
    key_id: str
    key_version: str
    name: str
    def __init__(self, generation: _Optional[int] = ..., provider: _Optional[str] = ..., key_id: _Optional[str] = ..., key_version: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class DataKeyInfo(_message.Message):
    __slots__ = ("database", "generation", "created_at", "name")
    DATABASE_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    database: str
    generation: int
    created_at: _timestamp_pb2.Timestamp
    name: str
    def __init__(self, database: _Optional[str] = ..., generation: _Optional[int] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., name: _Optional[str] = ...) -> None: ...

class FileInfo(_message.Message):
    __slots__ = ("database", "name", "store_id", "page_size_bytes", "page_count", "byte_length", "sequence", "problem")
    DATABASE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    STORE_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    PAGE_COUNT_FIELD_NUMBER: _ClassVar[int]
    BYTE_LENGTH_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    database: str
    name: str
    store_id: bytes
    page_size_bytes: int
    page_count: int
    byte_length: int
    sequence: int
    problem: str
    def __init__(self, database: _Optional[str] = ..., name: _Optional[str] = ..., store_id: _Optional[bytes] = ..., page_size_bytes: _Optional[int] = ..., page_count: _Optional[int] = ..., byte_length: _Optional[int] = ..., sequence: _Optional[int] = ..., problem: _Optional[str] = ...) -> None: ...

class CreateFileRequest(_message.Message):
    __slots__ = ("database", "name", "page_size_bytes")
    DATABASE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    database: str
    name: str
    page_size_bytes: int
    def __init__(self, database: _Optional[str] = ..., name: _Optional[str] = ..., page_size_bytes: _Optional[int] = ...) -> None: ...

class ListFilesRequest(_message.Message):
    __slots__ = ("database",)
    DATABASE_FIELD_NUMBER: _ClassVar[int]
    database: str
    def __init__(self, database: _Optional[str] = ...) -> None: ...

class ListFilesResponse(_message.Message):
    __slots__ = ("files",)
    FILES_FIELD_NUMBER: _ClassVar[int]
    files: _containers.RepeatedCompositeFieldContainer[FileInfo]
    def __init__(self, files: _Optional[_Iterable[_Union[FileInfo, _Mapping]]] = ...) -> None: ...

class DropFileRequest(_message.Message):
    __slots__ = ("database", "name")
    DATABASE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    database: str
    name: str
    def __init__(self, database: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class DropFileResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Page(_message.Message):
    __slots__ = ("page_no", "content")
    PAGE_NO_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    page_no: int
    content: bytes
    def __init__(self, page_no: _Optional[int] = ..., content: _Optional[bytes] = ...) -> None: ...

class ReadPagesRequest(_message.Message):
    __slots__ = ("database", "name", "page_nos")
    DATABASE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PAGE_NOS_FIELD_NUMBER: _ClassVar[int]
    database: str
    name: str
    page_nos: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, database: _Optional[str] = ..., name: _Optional[str] = ..., page_nos: _Optional[_Iterable[int]] = ...) -> None: ...

class ReadPagesResponse(_message.Message):
    __slots__ = ("pages", "sequence")
    PAGES_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    pages: _containers.RepeatedCompositeFieldContainer[Page]
    sequence: int
    def __init__(self, pages: _Optional[_Iterable[_Union[Page, _Mapping]]] = ..., sequence: _Optional[int] = ...) -> None: ...

class WritePagesRequest(_message.Message):
    __slots__ = ("database", "name", "pages", "page_count", "byte_length")
    DATABASE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PAGES_FIELD_NUMBER: _ClassVar[int]
    PAGE_COUNT_FIELD_NUMBER: _ClassVar[int]
    BYTE_LENGTH_FIELD_NUMBER: _ClassVar[int]
    database: str
    name: str
    pages: _containers.RepeatedCompositeFieldContainer[Page]
    page_count: int
    byte_length: int
    def __init__(self, database: _Optional[str] = ..., name: _Optional[str] = ..., pages: _Optional[_Iterable[_Union[Page, _Mapping]]] = ..., page_count: _Optional[int] = ..., byte_length: _Optional[int] = ...) -> None: ...

class WritePagesResponse(_message.Message):
    __slots__ = ("sequence",)
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    def __init__(self, sequence: _Optional[int] = ...) -> None: ...

class ReadFileRequest(_message.Message):
    __slots__ = ("database", "name", "offset", "length")
    DATABASE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    database: str
    name: str
    offset: int
    length: int
    def __init__(self, database: _Optional[str] = ..., name: _Optional[str] = ..., offset: _Optional[int] = ..., length: _Optional[int] = ...) -> None: ...

class FileChunk(_message.Message):
    __slots__ = ("offset", "content")
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    offset: int
    content: bytes
    def __init__(self, offset: _Optional[int] = ..., content: _Optional[bytes] = ...) -> None: ...

class WriteFileRequest(_message.Message):
    __slots__ = ("database", "name", "offset", "content", "page_size_bytes")
    DATABASE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    database: str
    name: str
    offset: int
    content: bytes
    page_size_bytes: int
    def __init__(self, database: _Optional[str] = ..., name: _Optional[str] = ..., offset: _Optional[int] = ..., content: _Optional[bytes] = ..., page_size_bytes: _Optional[int] = ...) -> None: ...

class VerifyFileRequest(_message.Message):
    __slots__ = ("database", "name")
    DATABASE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    database: str
    name: str
    def __init__(self, database: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class Damage(_message.Message):
    __slots__ = ("store", "part", "number", "found")
    STORE_FIELD_NUMBER: _ClassVar[int]
    PART_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    FOUND_FIELD_NUMBER: _ClassVar[int]
    store: str
    part: str
    number: int
    found: str
    def __init__(self, store: _Optional[str] = ..., part: _Optional[str] = ..., number: _Optional[int] = ..., found: _Optional[str] = ...) -> None: ...

class VerifyProgress(_message.Message):
    __slots__ = ("pages_done", "pages_total", "damaged")
    PAGES_DONE_FIELD_NUMBER: _ClassVar[int]
    PAGES_TOTAL_FIELD_NUMBER: _ClassVar[int]
    DAMAGED_FIELD_NUMBER: _ClassVar[int]
    pages_done: int
    pages_total: int
    damaged: _containers.RepeatedCompositeFieldContainer[Damage]
    def __init__(self, pages_done: _Optional[int] = ..., pages_total: _Optional[int] = ..., damaged: _Optional[_Iterable[_Union[Damage, _Mapping]]] = ...) -> None: ...

class RotateMasterKeyRequest(_message.Message):
    __slots__ = ("expected_generation",)
    EXPECTED_GENERATION_FIELD_NUMBER: _ClassVar[int]
    expected_generation: int
    def __init__(self, expected_generation: _Optional[int] = ...) -> None: ...

class ChangeCmkRequest(_message.Message):
    __slots__ = ("key_uri", "expected_generation")
    KEY_URI_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_GENERATION_FIELD_NUMBER: _ClassVar[int]
    key_uri: str
    expected_generation: int
    def __init__(self, key_uri: _Optional[str] = ..., expected_generation: _Optional[int] = ...) -> None: ...

class MasterKeyChange(_message.Message):
    __slots__ = ("master_key", "already_done")
    MASTER_KEY_FIELD_NUMBER: _ClassVar[int]
    ALREADY_DONE_FIELD_NUMBER: _ClassVar[int]
    master_key: MasterKeyInfo
    already_done: bool
    def __init__(self, master_key: _Optional[_Union[MasterKeyInfo, _Mapping]] = ..., already_done: _Optional[bool] = ...) -> None: ...

class ConvertRequest(_message.Message):
    __slots__ = ("key_uri", "volume_key_uri", "no_volume_layer", "expected_generation")
    KEY_URI_FIELD_NUMBER: _ClassVar[int]
    VOLUME_KEY_URI_FIELD_NUMBER: _ClassVar[int]
    NO_VOLUME_LAYER_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_GENERATION_FIELD_NUMBER: _ClassVar[int]
    key_uri: str
    volume_key_uri: str
    no_volume_layer: bool
    expected_generation: int
    def __init__(self, key_uri: _Optional[str] = ..., volume_key_uri: _Optional[str] = ..., no_volume_layer: _Optional[bool] = ..., expected_generation: _Optional[int] = ...) -> None: ...

class Converted(_message.Message):
    __slots__ = ("master_key", "already_done", "resealed_pages", "moved_files", "destroyed_data_keys")
    MASTER_KEY_FIELD_NUMBER: _ClassVar[int]
    ALREADY_DONE_FIELD_NUMBER: _ClassVar[int]
    RESEALED_PAGES_FIELD_NUMBER: _ClassVar[int]
    MOVED_FILES_FIELD_NUMBER: _ClassVar[int]
    DESTROYED_DATA_KEYS_FIELD_NUMBER: _ClassVar[int]
    master_key: MasterKeyInfo
    already_done: bool
    resealed_pages: int
    moved_files: int
    destroyed_data_keys: int
    def __init__(self, master_key: _Optional[_Union[MasterKeyInfo, _Mapping]] = ..., already_done: _Optional[bool] = ..., resealed_pages: _Optional[int] = ..., moved_files: _Optional[int] = ..., destroyed_data_keys: _Optional[int] = ...) -> None: ...

class ConvertProgress(_message.Message):
    __slots__ = ("bytes_done", "bytes_total", "converted")
    BYTES_DONE_FIELD_NUMBER: _ClassVar[int]
    BYTES_TOTAL_FIELD_NUMBER: _ClassVar[int]
    CONVERTED_FIELD_NUMBER: _ClassVar[int]
    bytes_done: int
    bytes_total: int
    converted: Converted
    def __init__(self, bytes_done: _Optional[int] = ..., bytes_total: _Optional[int] = ..., converted: _Optional[_Union[Converted, _Mapping]] = ...) -> None: ...

class RotateDataKeyRequest(_message.Message):
    __slots__ = ("database",)
    DATABASE_FIELD_NUMBER: _ClassVar[int]
    database: str
    def __init__(self, database: _Optional[str] = ...) -> None: ...

class CreateSnapshotRequest(_message.Message):
    __slots__ = ("target", "kind", "expires_at", "log_window_days")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    LOG_WINDOW_DAYS_FIELD_NUMBER: _ClassVar[int]
    target: str
    kind: SnapshotKind
    expires_at: _timestamp_pb2.Timestamp
    log_window_days: int
    def __init__(self, target: _Optional[str] = ..., kind: _Optional[_Union[SnapshotKind, str]] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., log_window_days: _Optional[int] = ...) -> None: ...

class SnapshotInfo(_message.Message):
    __slots__ = ("snapshot_id", "created_at", "encryption_key_id", "master_generation", "stored_bytes", "kind", "expires_at", "credential")
    SNAPSHOT_ID_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    ENCRYPTION_KEY_ID_FIELD_NUMBER: _ClassVar[int]
    MASTER_GENERATION_FIELD_NUMBER: _ClassVar[int]
    STORED_BYTES_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    CREDENTIAL_FIELD_NUMBER: _ClassVar[int]
    snapshot_id: str
    created_at: _timestamp_pb2.Timestamp
    encryption_key_id: str
    master_generation: int
    stored_bytes: int
    kind: SnapshotKind
    expires_at: _timestamp_pb2.Timestamp
    credential: str
    def __init__(self, snapshot_id: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., encryption_key_id: _Optional[str] = ..., master_generation: _Optional[int] = ..., stored_bytes: _Optional[int] = ..., kind: _Optional[_Union[SnapshotKind, str]] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., credential: _Optional[str] = ...) -> None: ...

class SnapshotProgress(_message.Message):
    __slots__ = ("bytes_done", "bytes_total", "snapshot")
    BYTES_DONE_FIELD_NUMBER: _ClassVar[int]
    BYTES_TOTAL_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    bytes_done: int
    bytes_total: int
    snapshot: SnapshotInfo
    def __init__(self, bytes_done: _Optional[int] = ..., bytes_total: _Optional[int] = ..., snapshot: _Optional[_Union[SnapshotInfo, _Mapping]] = ...) -> None: ...

class ListSnapshotsRequest(_message.Message):
    __slots__ = ("target",)
    TARGET_FIELD_NUMBER: _ClassVar[int]
    target: str
    def __init__(self, target: _Optional[str] = ...) -> None: ...

class ListSnapshotsResponse(_message.Message):
    __slots__ = ("snapshots",)
    SNAPSHOTS_FIELD_NUMBER: _ClassVar[int]
    snapshots: _containers.RepeatedCompositeFieldContainer[SnapshotInfo]
    def __init__(self, snapshots: _Optional[_Iterable[_Union[SnapshotInfo, _Mapping]]] = ...) -> None: ...

class RestoreRequest(_message.Message):
    __slots__ = ("source", "snapshot_id", "directory")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_ID_FIELD_NUMBER: _ClassVar[int]
    DIRECTORY_FIELD_NUMBER: _ClassVar[int]
    source: str
    snapshot_id: str
    directory: str
    def __init__(self, source: _Optional[str] = ..., snapshot_id: _Optional[str] = ..., directory: _Optional[str] = ...) -> None: ...

class RestoreIntoRequest(_message.Message):
    __slots__ = ("source", "snapshot_id", "at", "only_check")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_ID_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    ONLY_CHECK_FIELD_NUMBER: _ClassVar[int]
    source: str
    snapshot_id: str
    at: _timestamp_pb2.Timestamp
    only_check: bool
    def __init__(self, source: _Optional[str] = ..., snapshot_id: _Optional[str] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., only_check: _Optional[bool] = ...) -> None: ...

class RestoredFiles(_message.Message):
    __slots__ = ("replaced", "added", "dropped", "snapshot_key_id", "credential", "credential_is_of_then", "master_key")
    REPLACED_FIELD_NUMBER: _ClassVar[int]
    ADDED_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_KEY_ID_FIELD_NUMBER: _ClassVar[int]
    CREDENTIAL_FIELD_NUMBER: _ClassVar[int]
    CREDENTIAL_IS_OF_THEN_FIELD_NUMBER: _ClassVar[int]
    MASTER_KEY_FIELD_NUMBER: _ClassVar[int]
    replaced: _containers.RepeatedScalarFieldContainer[str]
    added: _containers.RepeatedScalarFieldContainer[str]
    dropped: _containers.RepeatedScalarFieldContainer[str]
    snapshot_key_id: str
    credential: str
    credential_is_of_then: bool
    master_key: MasterKeyInfo
    def __init__(self, replaced: _Optional[_Iterable[str]] = ..., added: _Optional[_Iterable[str]] = ..., dropped: _Optional[_Iterable[str]] = ..., snapshot_key_id: _Optional[str] = ..., credential: _Optional[str] = ..., credential_is_of_then: _Optional[bool] = ..., master_key: _Optional[_Union[MasterKeyInfo, _Mapping]] = ...) -> None: ...

class RestoreProgress(_message.Message):
    __slots__ = ("bytes_done", "bytes_total", "restored")
    BYTES_DONE_FIELD_NUMBER: _ClassVar[int]
    BYTES_TOTAL_FIELD_NUMBER: _ClassVar[int]
    RESTORED_FIELD_NUMBER: _ClassVar[int]
    bytes_done: int
    bytes_total: int
    restored: RestoredFiles
    def __init__(self, bytes_done: _Optional[int] = ..., bytes_total: _Optional[int] = ..., restored: _Optional[_Union[RestoredFiles, _Mapping]] = ...) -> None: ...

class GetLogRequest(_message.Message):
    __slots__ = ("flush",)
    FLUSH_FIELD_NUMBER: _ClassVar[int]
    flush: bool
    def __init__(self, flush: _Optional[bool] = ...) -> None: ...

class LogStatus(_message.Message):
    __slots__ = ("place", "window_days", "segment", "settled_at", "problem")
    PLACE_FIELD_NUMBER: _ClassVar[int]
    WINDOW_DAYS_FIELD_NUMBER: _ClassVar[int]
    SEGMENT_FIELD_NUMBER: _ClassVar[int]
    SETTLED_AT_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    place: str
    window_days: int
    segment: int
    settled_at: _timestamp_pb2.Timestamp
    problem: str
    def __init__(self, place: _Optional[str] = ..., window_days: _Optional[int] = ..., segment: _Optional[int] = ..., settled_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., problem: _Optional[str] = ...) -> None: ...

class SetLogRequest(_message.Message):
    __slots__ = ("place",)
    PLACE_FIELD_NUMBER: _ClassVar[int]
    place: str
    def __init__(self, place: _Optional[str] = ...) -> None: ...

class GiveCredentialsRequest(_message.Message):
    __slots__ = ("credentials",)
    CREDENTIALS_FIELD_NUMBER: _ClassVar[int]
    credentials: bytes
    def __init__(self, credentials: _Optional[bytes] = ...) -> None: ...

class GiveCredentialsResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StopRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StopResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
