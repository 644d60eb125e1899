import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class JsonWebKey(_message.Message):
    __slots__ = ("kid", "kty", "key_ops", "n", "e", "crv", "x", "y")
    KID_FIELD_NUMBER: _ClassVar[int]
    KTY_FIELD_NUMBER: _ClassVar[int]
    KEY_OPS_FIELD_NUMBER: _ClassVar[int]
    N_FIELD_NUMBER: _ClassVar[int]
    E_FIELD_NUMBER: _ClassVar[int]
    CRV_FIELD_NUMBER: _ClassVar[int]
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    kid: str
    kty: str
    key_ops: _containers.RepeatedScalarFieldContainer[str]
    n: bytes
    e: bytes
    crv: str
    x: bytes
    y: bytes
    def __init__(self, kid: _Optional[str] = ..., kty: _Optional[str] = ..., key_ops: _Optional[_Iterable[str]] = ..., n: _Optional[bytes] = ..., e: _Optional[bytes] = ..., crv: _Optional[str] = ..., x: _Optional[bytes] = ..., y: _Optional[bytes] = ...) -> None: ...

class KeyAttributes(_message.Message):
    __slots__ = ("enabled", "nbf", "exp", "created", "updated", "recovery_level", "recoverable_days")
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    NBF_FIELD_NUMBER: _ClassVar[int]
    EXP_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    UPDATED_FIELD_NUMBER: _ClassVar[int]
    RECOVERY_LEVEL_FIELD_NUMBER: _ClassVar[int]
    RECOVERABLE_DAYS_FIELD_NUMBER: _ClassVar[int]
    enabled: bool
    nbf: _timestamp_pb2.Timestamp
    exp: _timestamp_pb2.Timestamp
    created: _timestamp_pb2.Timestamp
    updated: _timestamp_pb2.Timestamp
    recovery_level: str
    recoverable_days: int
    def __init__(self, enabled: _Optional[bool] = ..., nbf: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., exp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., created: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., updated: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., recovery_level: _Optional[str] = ..., recoverable_days: _Optional[int] = ...) -> None: ...

class KeyBundle(_message.Message):
    __slots__ = ("key", "attributes", "tags")
    class TagsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    KEY_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    key: JsonWebKey
    attributes: KeyAttributes
    tags: _containers.ScalarMap[str, str]
    def __init__(self, key: _Optional[_Union[JsonWebKey, _Mapping]] = ..., attributes: _Optional[_Union[KeyAttributes, _Mapping]] = ..., tags: _Optional[_Mapping[str, str]] = ...) -> None: ...

class DeletedKeyBundle(_message.Message):
    __slots__ = ("key", "attributes", "tags", "recovery_id", "deleted_date", "scheduled_purge_date")
    class TagsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    KEY_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    RECOVERY_ID_FIELD_NUMBER: _ClassVar[int]
    DELETED_DATE_FIELD_NUMBER: _ClassVar[int]
    SCHEDULED_PURGE_DATE_FIELD_NUMBER: _ClassVar[int]
    key: JsonWebKey
    attributes: KeyAttributes
    tags: _containers.ScalarMap[str, str]
    recovery_id: str
    deleted_date: _timestamp_pb2.Timestamp
    scheduled_purge_date: _timestamp_pb2.Timestamp
    def __init__(self, key: _Optional[_Union[JsonWebKey, _Mapping]] = ..., attributes: _Optional[_Union[KeyAttributes, _Mapping]] = ..., tags: _Optional[_Mapping[str, str]] = ..., recovery_id: _Optional[str] = ..., deleted_date: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., scheduled_purge_date: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class KeyItem(_message.Message):
    __slots__ = ("kid", "attributes", "tags")
    class TagsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    KID_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    kid: str
    attributes: KeyAttributes
    tags: _containers.ScalarMap[str, str]
    def __init__(self, kid: _Optional[str] = ..., attributes: _Optional[_Union[KeyAttributes, _Mapping]] = ..., tags: _Optional[_Mapping[str, str]] = ...) -> None: ...

class CreateKeyRequest(_message.Message):
    __slots__ = ("vault", "name", "kty", "key_size", "key_ops", "attributes", "tags", "crv")
    class TagsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    VAULT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    KTY_FIELD_NUMBER: _ClassVar[int]
    KEY_SIZE_FIELD_NUMBER: _ClassVar[int]
    KEY_OPS_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    CRV_FIELD_NUMBER: _ClassVar[int]
    vault: str
    name: str
    kty: str
    key_size: int
    key_ops: _containers.RepeatedScalarFieldContainer[str]
    attributes: KeyAttributes
    tags: _containers.ScalarMap[str, str]
    crv: str
    def __init__(self, vault: _Optional[str] = ..., name: _Optional[str] = ..., kty: _Optional[str] = ..., key_size: _Optional[int] = ..., key_ops: _Optional[_Iterable[str]] = ..., attributes: _Optional[_Union[KeyAttributes, _Mapping]] = ..., tags: _Optional[_Mapping[str, str]] = ..., crv: _Optional[str] = ...) -> None: ...

class PrivateWebKey(_message.Message):
    __slots__ = ("kty", "key_ops", "n", "e", "d", "p", "q", "dp", "dq", "qi", "crv", "x", "y", "k")
    KTY_FIELD_NUMBER: _ClassVar[int]
    KEY_OPS_FIELD_NUMBER: _ClassVar[int]
    N_FIELD_NUMBER: _ClassVar[int]
    E_FIELD_NUMBER: _ClassVar[int]
    D_FIELD_NUMBER: _ClassVar[int]
    P_FIELD_NUMBER: _ClassVar[int]
    Q_FIELD_NUMBER: _ClassVar[int]
    DP_FIELD_NUMBER: _ClassVar[int]
    DQ_FIELD_NUMBER: _ClassVar[int]
    QI_FIELD_NUMBER: _ClassVar[int]
    CRV_FIELD_NUMBER: _ClassVar[int]
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    K_FIELD_NUMBER: _ClassVar[int]
    kty: str
    key_ops: _containers.RepeatedScalarFieldContainer[str]
    n: bytes
    e: bytes
    d: bytes
    p: bytes
    q: bytes
    dp: bytes
    dq: bytes
    qi: bytes
    crv: str
    x: bytes
    y: bytes
    k: bytes
    def __init__(self, kty: _Optional[str] = ..., key_ops: _Optional[_Iterable[str]] = ..., n: _Optional[bytes] = ..., e: _Optional[bytes] = ..., d: _Optional[bytes] = ..., p: _Optional[bytes] = ..., q: _Optional[bytes] = ..., dp: _Optional[bytes] = ..., dq: _Optional[bytes] = ..., qi: _Optional[bytes] = ..., crv: _Optional[str] = ..., x: _Optional[bytes] = ..., y: _Optional[bytes] = ..., k: _Optional[bytes] = ...) -> None: ...

class ImportKeyRequest(_message.Message):
    __slots__ = ("vault", "name", "key", "attributes", "tags")
    class TagsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    VAULT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    vault: str
    name: str
    key: PrivateWebKey
    attributes: KeyAttributes
    tags: _containers.ScalarMap[str, str]
    def __init__(self, vault: _Optional[str] = ..., name: _Optional[str] = ..., key: _Optional[_Union[PrivateWebKey, _Mapping]] = ..., attributes: _Optional[_Union[KeyAttributes, _Mapping]] = ..., tags: _Optional[_Mapping[str, str]] = ...) -> None: ...

class BackupKeyRequest(_message.Message):
    __slots__ = ("vault", "name")
    VAULT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    vault: str
    name: str
    def __init__(self, vault: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class KeyBackup(_message.Message):
    __slots__ = ("value",)
    VALUE_FIELD_NUMBER: _ClassVar[int]
    value: bytes
    def __init__(self, value: _Optional[bytes] = ...) -> None: ...

class RestoreKeyRequest(_message.Message):
    __slots__ = ("vault", "value")
    VAULT_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    vault: str
    value: bytes
    def __init__(self, vault: _Optional[str] = ..., value: _Optional[bytes] = ...) -> None: ...

class LifetimeAction(_message.Message):
    __slots__ = ("time_after_create", "time_before_expiry", "type")
    TIME_AFTER_CREATE_FIELD_NUMBER: _ClassVar[int]
    TIME_BEFORE_EXPIRY_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    time_after_create: str
    time_before_expiry: str
    type: str
    def __init__(self, time_after_create: _Optional[str] = ..., time_before_expiry: _Optional[str] = ..., type: _Optional[str] = ...) -> None: ...

class RotationPolicy(_message.Message):
    __slots__ = ("id", "lifetime_actions", "expiry_time", "created", "updated")
    ID_FIELD_NUMBER: _ClassVar[int]
    LIFETIME_ACTIONS_FIELD_NUMBER: _ClassVar[int]
    EXPIRY_TIME_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    UPDATED_FIELD_NUMBER: _ClassVar[int]
    id: str
    lifetime_actions: _containers.RepeatedCompositeFieldContainer[LifetimeAction]
    expiry_time: str
    created: _timestamp_pb2.Timestamp
    updated: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., lifetime_actions: _Optional[_Iterable[_Union[LifetimeAction, _Mapping]]] = ..., expiry_time: _Optional[str] = ..., created: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., updated: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GetRotationPolicyRequest(_message.Message):
    __slots__ = ("vault", "name")
    VAULT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    vault: str
    name: str
    def __init__(self, vault: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class UpdateRotationPolicyRequest(_message.Message):
    __slots__ = ("vault", "name", "lifetime_actions", "expiry_time")
    VAULT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    LIFETIME_ACTIONS_FIELD_NUMBER: _ClassVar[int]
    EXPIRY_TIME_FIELD_NUMBER: _ClassVar[int]
    vault: str
    name: str
    lifetime_actions: _containers.RepeatedCompositeFieldContainer[LifetimeAction]
    expiry_time: str
    def __init__(self, vault: _Optional[str] = ..., name: _Optional[str] = ..., lifetime_actions: _Optional[_Iterable[_Union[LifetimeAction, _Mapping]]] = ..., expiry_time: _Optional[str] = ...) -> None: ...

class GetRandomBytesRequest(_message.Message):
    __slots__ = ("vault", "count")
    VAULT_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    vault: str
    count: int
    def __init__(self, vault: _Optional[str] = ..., count: _Optional[int] = ...) -> None: ...

class RandomBytes(_message.Message):
    __slots__ = ("value",)
    VALUE_FIELD_NUMBER: _ClassVar[int]
    value: bytes
    def __init__(self, value: _Optional[bytes] = ...) -> None: ...

class GetKeyRequest(_message.Message):
    __slots__ = ("vault", "name", "version")
    VAULT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    vault: str
    name: str
    version: str
    def __init__(self, vault: _Optional[str] = ..., name: _Optional[str] = ..., version: _Optional[str] = ...) -> None: ...

class ListKeysRequest(_message.Message):
    __slots__ = ("vault", "max_results", "skip_token")
    VAULT_FIELD_NUMBER: _ClassVar[int]
    MAX_RESULTS_FIELD_NUMBER: _ClassVar[int]
    SKIP_TOKEN_FIELD_NUMBER: _ClassVar[int]
    vault: str
    max_results: int
    skip_token: str
    def __init__(self, vault: _Optional[str] = ..., max_results: _Optional[int] = ..., skip_token: _Optional[str] = ...) -> None: ...

class ListKeyVersionsRequest(_message.Message):
    __slots__ = ("vault", "name", "max_results", "skip_token")
    VAULT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    MAX_RESULTS_FIELD_NUMBER: _ClassVar[int]
    SKIP_TOKEN_FIELD_NUMBER: _ClassVar[int]
    vault: str
    name: str
    max_results: int
    skip_token: str
    def __init__(self, vault: _Optional[str] = ..., name: _Optional[str] = ..., max_results: _Optional[int] = ..., skip_token: _Optional[str] = ...) -> None: ...

class ListKeysResponse(_message.Message):
    __slots__ = ("value", "next_skip_token")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    NEXT_SKIP_TOKEN_FIELD_NUMBER: _ClassVar[int]
    value: _containers.RepeatedCompositeFieldContainer[KeyItem]
    next_skip_token: str
    def __init__(self, value: _Optional[_Iterable[_Union[KeyItem, _Mapping]]] = ..., next_skip_token: _Optional[str] = ...) -> None: ...

class UpdateKeyRequest(_message.Message):
    __slots__ = ("vault", "name", "version", "attributes", "key_ops", "tags")
    class TagsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    VAULT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    KEY_OPS_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    vault: str
    name: str
    version: str
    attributes: KeyAttributes
    key_ops: _containers.RepeatedScalarFieldContainer[str]
    tags: _containers.ScalarMap[str, str]
    def __init__(self, vault: _Optional[str] = ..., name: _Optional[str] = ..., version: _Optional[str] = ..., attributes: _Optional[_Union[KeyAttributes, _Mapping]] = ..., key_ops: _Optional[_Iterable[str]] = ..., tags: _Optional[_Mapping[str, str]] = ...) -> None: ...

class RotateKeyRequest(_message.Message):
    __slots__ = ("vault", "name")
    VAULT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    vault: str
    name: str
    def __init__(self, vault: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class DeleteKeyRequest(_message.Message):
    __slots__ = ("vault", "name")
    VAULT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    vault: str
    name: str
    def __init__(self, vault: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class GetDeletedKeyRequest(_message.Message):
    __slots__ = ("vault", "name")
    VAULT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    vault: str
    name: str
    def __init__(self, vault: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class DeletedKeyItem(_message.Message):
    __slots__ = ("kid", "attributes", "tags", "recovery_id", "deleted_date", "scheduled_purge_date")
    class TagsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    KID_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    RECOVERY_ID_FIELD_NUMBER: _ClassVar[int]
    DELETED_DATE_FIELD_NUMBER: _ClassVar[int]
    SCHEDULED_PURGE_DATE_FIELD_NUMBER: _ClassVar[int]
    kid: str
    attributes: KeyAttributes
    tags: _containers.ScalarMap[str, str]
    recovery_id: str
    deleted_date: _timestamp_pb2.Timestamp
    scheduled_purge_date: _timestamp_pb2.Timestamp
    def __init__(self, kid: _Optional[str] = ..., attributes: _Optional[_Union[KeyAttributes, _Mapping]] = ..., tags: _Optional[_Mapping[str, str]] = ..., recovery_id: _Optional[str] = ..., deleted_date: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., scheduled_purge_date: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListDeletedKeysRequest(_message.Message):
    __slots__ = ("vault", "max_results", "skip_token")
    VAULT_FIELD_NUMBER: _ClassVar[int]
    MAX_RESULTS_FIELD_NUMBER: _ClassVar[int]
    SKIP_TOKEN_FIELD_NUMBER: _ClassVar[int]
    vault: str
    max_results: int
    skip_token: str
    def __init__(self, vault: _Optional[str] = ..., max_results: _Optional[int] = ..., skip_token: _Optional[str] = ...) -> None: ...

class ListDeletedKeysResponse(_message.Message):
    __slots__ = ("value", "next_skip_token")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    NEXT_SKIP_TOKEN_FIELD_NUMBER: _ClassVar[int]
    value: _containers.RepeatedCompositeFieldContainer[DeletedKeyItem]
    next_skip_token: str
    def __init__(self, value: _Optional[_Iterable[_Union[DeletedKeyItem, _Mapping]]] = ..., next_skip_token: _Optional[str] = ...) -> None: ...

class RecoverDeletedKeyRequest(_message.Message):
    __slots__ = ("vault", "name")
    VAULT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    vault: str
    name: str
    def __init__(self, vault: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class PurgeDeletedKeyRequest(_message.Message):
    __slots__ = ("vault", "name")
    VAULT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    vault: str
    name: str
    def __init__(self, vault: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class PurgeDeletedKeyResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class KeyOperationRequest(_message.Message):
    __slots__ = ("vault", "name", "version", "alg", "value", "iv", "tag", "aad")
    VAULT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ALG_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    IV_FIELD_NUMBER: _ClassVar[int]
    TAG_FIELD_NUMBER: _ClassVar[int]
    AAD_FIELD_NUMBER: _ClassVar[int]
    vault: str
    name: str
    version: str
    alg: str
    value: bytes
    iv: bytes
    tag: bytes
    aad: bytes
    def __init__(self, vault: _Optional[str] = ..., name: _Optional[str] = ..., version: _Optional[str] = ..., alg: _Optional[str] = ..., value: _Optional[bytes] = ..., iv: _Optional[bytes] = ..., tag: _Optional[bytes] = ..., aad: _Optional[bytes] = ...) -> None: ...

class VerifyRequest(_message.Message):
    __slots__ = ("vault", "name", "version", "alg", "digest", "value")
    VAULT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ALG_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    vault: str
    name: str
    version: str
    alg: str
    digest: bytes
    value: bytes
    def __init__(self, vault: _Optional[str] = ..., name: _Optional[str] = ..., version: _Optional[str] = ..., alg: _Optional[str] = ..., digest: _Optional[bytes] = ..., value: _Optional[bytes] = ...) -> None: ...

class VerifyResult(_message.Message):
    __slots__ = ("value",)
    VALUE_FIELD_NUMBER: _ClassVar[int]
    value: bool
    def __init__(self, value: _Optional[bool] = ...) -> None: ...

class KeyOperationResult(_message.Message):
    __slots__ = ("kid", "value", "iv", "tag", "aad")
    KID_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    IV_FIELD_NUMBER: _ClassVar[int]
    TAG_FIELD_NUMBER: _ClassVar[int]
    AAD_FIELD_NUMBER: _ClassVar[int]
    kid: str
    value: bytes
    iv: bytes
    tag: bytes
    aad: bytes
    def __init__(self, kid: _Optional[str] = ..., value: _Optional[bytes] = ..., iv: _Optional[bytes] = ..., tag: _Optional[bytes] = ..., aad: _Optional[bytes] = ...) -> None: ...
