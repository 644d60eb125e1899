import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetServerInfoRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ServerInfo(_message.Message):
    __slots__ = ("version", "pid", "data_dir", "started_at", "key_count", "endpoints")
    class EndpointsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    DATA_DIR_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    KEY_COUNT_FIELD_NUMBER: _ClassVar[int]
    ENDPOINTS_FIELD_NUMBER: _ClassVar[int]
    version: str
    pid: int
    data_dir: str
    started_at: _timestamp_pb2.Timestamp
    key_count: int
    endpoints: _containers.ScalarMap[str, str]
    def __init__(self, version: _Optional[str] = ..., pid: _Optional[int] = ..., data_dir: _Optional[str] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., key_count: _Optional[int] = ..., endpoints: _Optional[_Mapping[str, str]] = ...) -> None: ...

class GetClockRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Clock(_message.Message):
    __slots__ = ("now", "frozen", "offset")
    NOW_FIELD_NUMBER: _ClassVar[int]
    FROZEN_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    now: _timestamp_pb2.Timestamp
    frozen: bool
    offset: _duration_pb2.Duration
    def __init__(self, now: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., frozen: _Optional[bool] = ..., offset: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class AdvanceClockRequest(_message.Message):
    __slots__ = ("by",)
    BY_FIELD_NUMBER: _ClassVar[int]
    by: _duration_pb2.Duration
    def __init__(self, by: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class SetClockRequest(_message.Message):
    __slots__ = ("now", "frozen")
    NOW_FIELD_NUMBER: _ClassVar[int]
    FROZEN_FIELD_NUMBER: _ClassVar[int]
    now: _timestamp_pb2.Timestamp
    frozen: bool
    def __init__(self, now: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., frozen: _Optional[bool] = ...) -> None: ...

class Call(_message.Message):
    __slots__ = ("number", "time", "provider", "operation", "key", "key_version", "outcome", "plaintext_bytes", "ciphertext_bytes", "caller", "access_key_id", "address", "fault")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    KEY_VERSION_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    PLAINTEXT_BYTES_FIELD_NUMBER: _ClassVar[int]
    CIPHERTEXT_BYTES_FIELD_NUMBER: _ClassVar[int]
    CALLER_FIELD_NUMBER: _ClassVar[int]
    ACCESS_KEY_ID_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    FAULT_FIELD_NUMBER: _ClassVar[int]
    number: int
    time: _timestamp_pb2.Timestamp
    provider: str
    operation: str
    key: str
    key_version: str
    outcome: str
    plaintext_bytes: int
    ciphertext_bytes: int
    caller: str
    access_key_id: str
    address: str
    fault: int
    def __init__(self, number: _Optional[int] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., provider: _Optional[str] = ..., operation: _Optional[str] = ..., key: _Optional[str] = ..., key_version: _Optional[str] = ..., outcome: _Optional[str] = ..., plaintext_bytes: _Optional[int] = ..., ciphertext_bytes: _Optional[int] = ..., caller: _Optional[str] = ..., access_key_id: _Optional[str] = ..., address: _Optional[str] = ..., fault: _Optional[int] = ...) -> None: ...

class ListCallsRequest(_message.Message):
    __slots__ = ("provider", "operation", "key", "outcome", "after_number", "limit", "caller")
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    AFTER_NUMBER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CALLER_FIELD_NUMBER: _ClassVar[int]
    provider: str
    operation: str
    key: str
    outcome: str
    after_number: int
    limit: int
    caller: str
    def __init__(self, provider: _Optional[str] = ..., operation: _Optional[str] = ..., key: _Optional[str] = ..., outcome: _Optional[str] = ..., after_number: _Optional[int] = ..., limit: _Optional[int] = ..., caller: _Optional[str] = ...) -> None: ...

class ListCallsResponse(_message.Message):
    __slots__ = ("calls", "total", "dropped")
    CALLS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    calls: _containers.RepeatedCompositeFieldContainer[Call]
    total: int
    dropped: int
    def __init__(self, calls: _Optional[_Iterable[_Union[Call, _Mapping]]] = ..., total: _Optional[int] = ..., dropped: _Optional[int] = ...) -> None: ...

class ResetRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ResetResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetMetricsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Metrics(_message.Message):
    __slots__ = ("text",)
    TEXT_FIELD_NUMBER: _ClassVar[int]
    text: str
    def __init__(self, text: _Optional[str] = ...) -> None: ...

class Fault(_message.Message):
    __slots__ = ("number", "kind", "provider", "operation", "key", "caller", "from_time", "until_time", "first", "every", "count", "delay", "code", "message", "retry_after_s", "networks", "seen", "met")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    CALLER_FIELD_NUMBER: _ClassVar[int]
    FROM_TIME_FIELD_NUMBER: _ClassVar[int]
    UNTIL_TIME_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    EVERY_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    DELAY_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_S_FIELD_NUMBER: _ClassVar[int]
    NETWORKS_FIELD_NUMBER: _ClassVar[int]
    SEEN_FIELD_NUMBER: _ClassVar[int]
    MET_FIELD_NUMBER: _ClassVar[int]
    number: int
    kind: str
    provider: str
    operation: str
    key: str
    caller: str
    from_time: _timestamp_pb2.Timestamp
    until_time: _timestamp_pb2.Timestamp
    first: int
    every: int
    count: int
    delay: _duration_pb2.Duration
    code: str
    message: str
    retry_after_s: int
    networks: _containers.RepeatedScalarFieldContainer[str]
    seen: int
    met: int
    def __init__(self, number: _Optional[int] = ..., kind: _Optional[str] = ..., provider: _Optional[str] = ..., operation: _Optional[str] = ..., key: _Optional[str] = ..., caller: _Optional[str] = ..., from_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., until_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., first: _Optional[int] = ..., every: _Optional[int] = ..., count: _Optional[int] = ..., delay: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., code: _Optional[str] = ..., message: _Optional[str] = ..., retry_after_s: _Optional[int] = ..., networks: _Optional[_Iterable[str]] = ..., seen: _Optional[int] = ..., met: _Optional[int] = ...) -> None: ...

class ListFaultsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListFaultsResponse(_message.Message):
    __slots__ = ("faults",)
    FAULTS_FIELD_NUMBER: _ClassVar[int]
    faults: _containers.RepeatedCompositeFieldContainer[Fault]
    def __init__(self, faults: _Optional[_Iterable[_Union[Fault, _Mapping]]] = ...) -> None: ...

class RemoveFaultsRequest(_message.Message):
    __slots__ = ("number",)
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    number: int
    def __init__(self, number: _Optional[int] = ...) -> None: ...

class RemoveFaultsResponse(_message.Message):
    __slots__ = ("removed",)
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    removed: int
    def __init__(self, removed: _Optional[int] = ...) -> None: ...

class GetStateRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class KeyVersion(_message.Message):
    __slots__ = ("number", "id", "state", "created_at", "destroy_at", "attributes")
    class AttributesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    DESTROY_AT_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    number: int
    id: str
    state: str
    created_at: _timestamp_pb2.Timestamp
    destroy_at: _timestamp_pb2.Timestamp
    attributes: _containers.ScalarMap[str, str]
    def __init__(self, number: _Optional[int] = ..., id: _Optional[str] = ..., state: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., destroy_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., attributes: _Optional[_Mapping[str, str]] = ...) -> None: ...

class Key(_message.Message):
    __slots__ = ("provider", "name", "uid", "kind", "state", "created_at", "delete_at", "next_rotation", "attributes", "versions", "aliases", "primary")
    class AttributesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    UID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    DELETE_AT_FIELD_NUMBER: _ClassVar[int]
    NEXT_ROTATION_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    ALIASES_FIELD_NUMBER: _ClassVar[int]
    PRIMARY_FIELD_NUMBER: _ClassVar[int]
    provider: str
    name: str
    uid: str
    kind: str
    state: str
    created_at: _timestamp_pb2.Timestamp
    delete_at: _timestamp_pb2.Timestamp
    next_rotation: _timestamp_pb2.Timestamp
    attributes: _containers.ScalarMap[str, str]
    versions: _containers.RepeatedCompositeFieldContainer[KeyVersion]
    aliases: _containers.RepeatedScalarFieldContainer[str]
    primary: int
    def __init__(self, provider: _Optional[str] = ..., name: _Optional[str] = ..., uid: _Optional[str] = ..., kind: _Optional[str] = ..., state: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., delete_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., next_rotation: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., attributes: _Optional[_Mapping[str, str]] = ..., versions: _Optional[_Iterable[_Union[KeyVersion, _Mapping]]] = ..., aliases: _Optional[_Iterable[str]] = ..., primary: _Optional[int] = ...) -> None: ...

class ImportJob(_message.Message):
    __slots__ = ("name", "kind", "state", "created_at", "expires_at")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    name: str
    kind: str
    state: str
    created_at: _timestamp_pb2.Timestamp
    expires_at: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[str] = ..., state: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class User(_message.Message):
    __slots__ = ("name", "arn", "policy", "access_key_ids", "secret_access_key")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ARN_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    ACCESS_KEY_IDS_FIELD_NUMBER: _ClassVar[int]
    SECRET_ACCESS_KEY_FIELD_NUMBER: _ClassVar[int]
    name: str
    arn: str
    policy: str
    access_key_ids: _containers.RepeatedScalarFieldContainer[str]
    secret_access_key: str
    def __init__(self, name: _Optional[str] = ..., arn: _Optional[str] = ..., policy: _Optional[str] = ..., access_key_ids: _Optional[_Iterable[str]] = ..., secret_access_key: _Optional[str] = ...) -> None: ...

class State(_message.Message):
    __slots__ = ("clock", "keys", "key_rings", "users", "faults", "calls", "guard", "import_jobs", "service_accounts", "applications", "vaults")
    CLOCK_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    KEY_RINGS_FIELD_NUMBER: _ClassVar[int]
    USERS_FIELD_NUMBER: _ClassVar[int]
    FAULTS_FIELD_NUMBER: _ClassVar[int]
    CALLS_FIELD_NUMBER: _ClassVar[int]
    GUARD_FIELD_NUMBER: _ClassVar[int]
    IMPORT_JOBS_FIELD_NUMBER: _ClassVar[int]
    SERVICE_ACCOUNTS_FIELD_NUMBER: _ClassVar[int]
    APPLICATIONS_FIELD_NUMBER: _ClassVar[int]
    VAULTS_FIELD_NUMBER: _ClassVar[int]
    clock: Clock
    keys: _containers.RepeatedCompositeFieldContainer[Key]
    key_rings: _containers.RepeatedScalarFieldContainer[str]
    users: _containers.RepeatedCompositeFieldContainer[User]
    faults: _containers.RepeatedCompositeFieldContainer[Fault]
    calls: int
    guard: Guard
    import_jobs: _containers.RepeatedCompositeFieldContainer[ImportJob]
    service_accounts: _containers.RepeatedCompositeFieldContainer[ServiceAccount]
    applications: _containers.RepeatedCompositeFieldContainer[Application]
    vaults: _containers.RepeatedCompositeFieldContainer[Vault]
    def __init__(self, clock: _Optional[_Union[Clock, _Mapping]] = ..., keys: _Optional[_Iterable[_Union[Key, _Mapping]]] = ..., key_rings: _Optional[_Iterable[str]] = ..., users: _Optional[_Iterable[_Union[User, _Mapping]]] = ..., faults: _Optional[_Iterable[_Union[Fault, _Mapping]]] = ..., calls: _Optional[int] = ..., guard: _Optional[_Union[Guard, _Mapping]] = ..., import_jobs: _Optional[_Iterable[_Union[ImportJob, _Mapping]]] = ..., service_accounts: _Optional[_Iterable[_Union[ServiceAccount, _Mapping]]] = ..., applications: _Optional[_Iterable[_Union[Application, _Mapping]]] = ..., vaults: _Optional[_Iterable[_Union[Vault, _Mapping]]] = ...) -> None: ...

class PutUserRequest(_message.Message):
    __slots__ = ("name", "access_key_id", "secret_access_key", "policy")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ACCESS_KEY_ID_FIELD_NUMBER: _ClassVar[int]
    SECRET_ACCESS_KEY_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    name: str
    access_key_id: str
    secret_access_key: str
    policy: str
    def __init__(self, name: _Optional[str] = ..., access_key_id: _Optional[str] = ..., secret_access_key: _Optional[str] = ..., policy: _Optional[str] = ...) -> None: ...

class ListUsersRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListUsersResponse(_message.Message):
    __slots__ = ("users",)
    USERS_FIELD_NUMBER: _ClassVar[int]
    users: _containers.RepeatedCompositeFieldContainer[User]
    def __init__(self, users: _Optional[_Iterable[_Union[User, _Mapping]]] = ...) -> None: ...

class RemoveUserRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class RemoveUserResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Application(_message.Message):
    __slots__ = ("tenant", "client_id", "object_id", "secret")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    OBJECT_ID_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    client_id: str
    object_id: str
    secret: str
    def __init__(self, tenant: _Optional[str] = ..., client_id: _Optional[str] = ..., object_id: _Optional[str] = ..., secret: _Optional[str] = ...) -> None: ...

class PutApplicationRequest(_message.Message):
    __slots__ = ("tenant", "client_id", "secret", "secret_expires_at", "vault", "permissions", "revoke", "roles")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    SECRET_EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    VAULT_FIELD_NUMBER: _ClassVar[int]
    PERMISSIONS_FIELD_NUMBER: _ClassVar[int]
    REVOKE_FIELD_NUMBER: _ClassVar[int]
    ROLES_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    client_id: str
    secret: str
    secret_expires_at: _timestamp_pb2.Timestamp
    vault: str
    permissions: _containers.RepeatedScalarFieldContainer[str]
    revoke: bool
    roles: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, tenant: _Optional[str] = ..., client_id: _Optional[str] = ..., secret: _Optional[str] = ..., secret_expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., vault: _Optional[str] = ..., permissions: _Optional[_Iterable[str]] = ..., revoke: _Optional[bool] = ..., roles: _Optional[_Iterable[str]] = ...) -> None: ...

class ListApplicationsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListApplicationsResponse(_message.Message):
    __slots__ = ("applications",)
    APPLICATIONS_FIELD_NUMBER: _ClassVar[int]
    applications: _containers.RepeatedCompositeFieldContainer[Application]
    def __init__(self, applications: _Optional[_Iterable[_Union[Application, _Mapping]]] = ...) -> None: ...

class RemoveApplicationRequest(_message.Message):
    __slots__ = ("client_id", "tenant")
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    client_id: str
    tenant: str
    def __init__(self, client_id: _Optional[str] = ..., tenant: _Optional[str] = ...) -> None: ...

class RemoveApplicationResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Vault(_message.Message):
    __slots__ = ("name", "tenant", "subscription", "resource_group", "retention_days", "purge_protection", "restricted", "networks", "access", "by_roles", "roles")
    class AccessEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class RolesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIPTION_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_GROUP_FIELD_NUMBER: _ClassVar[int]
    RETENTION_DAYS_FIELD_NUMBER: _ClassVar[int]
    PURGE_PROTECTION_FIELD_NUMBER: _ClassVar[int]
    RESTRICTED_FIELD_NUMBER: _ClassVar[int]
    NETWORKS_FIELD_NUMBER: _ClassVar[int]
    ACCESS_FIELD_NUMBER: _ClassVar[int]
    BY_ROLES_FIELD_NUMBER: _ClassVar[int]
    ROLES_FIELD_NUMBER: _ClassVar[int]
    name: str
    tenant: str
    subscription: str
    resource_group: str
    retention_days: int
    purge_protection: bool
    restricted: bool
    networks: _containers.RepeatedScalarFieldContainer[str]
    access: _containers.ScalarMap[str, str]
    by_roles: bool
    roles: _containers.ScalarMap[str, str]
    def __init__(self, name: _Optional[str] = ..., tenant: _Optional[str] = ..., subscription: _Optional[str] = ..., resource_group: _Optional[str] = ..., retention_days: _Optional[int] = ..., purge_protection: _Optional[bool] = ..., restricted: _Optional[bool] = ..., networks: _Optional[_Iterable[str]] = ..., access: _Optional[_Mapping[str, str]] = ..., by_roles: _Optional[bool] = ..., roles: _Optional[_Mapping[str, str]] = ...) -> None: ...

class PutVaultRequest(_message.Message):
    __slots__ = ("name", "tenant", "subscription", "resource_group", "retention_days", "purge_protection", "restricted", "networks", "by_roles")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIPTION_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_GROUP_FIELD_NUMBER: _ClassVar[int]
    RETENTION_DAYS_FIELD_NUMBER: _ClassVar[int]
    PURGE_PROTECTION_FIELD_NUMBER: _ClassVar[int]
    RESTRICTED_FIELD_NUMBER: _ClassVar[int]
    NETWORKS_FIELD_NUMBER: _ClassVar[int]
    BY_ROLES_FIELD_NUMBER: _ClassVar[int]
    name: str
    tenant: str
    subscription: str
    resource_group: str
    retention_days: int
    purge_protection: bool
    restricted: bool
    networks: _containers.RepeatedScalarFieldContainer[str]
    by_roles: bool
    def __init__(self, name: _Optional[str] = ..., tenant: _Optional[str] = ..., subscription: _Optional[str] = ..., resource_group: _Optional[str] = ..., retention_days: _Optional[int] = ..., purge_protection: _Optional[bool] = ..., restricted: _Optional[bool] = ..., networks: _Optional[_Iterable[str]] = ..., by_roles: _Optional[bool] = ...) -> None: ...

class ListVaultsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListVaultsResponse(_message.Message):
    __slots__ = ("vaults",)
    VAULTS_FIELD_NUMBER: _ClassVar[int]
    vaults: _containers.RepeatedCompositeFieldContainer[Vault]
    def __init__(self, vaults: _Optional[_Iterable[_Union[Vault, _Mapping]]] = ...) -> None: ...

class PutServiceAccountRequest(_message.Message):
    __slots__ = ("email", "roles", "public_key")
    EMAIL_FIELD_NUMBER: _ClassVar[int]
    ROLES_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    email: str
    roles: _containers.RepeatedScalarFieldContainer[str]
    public_key: str
    def __init__(self, email: _Optional[str] = ..., roles: _Optional[_Iterable[str]] = ..., public_key: _Optional[str] = ...) -> None: ...

class ServiceAccount(_message.Message):
    __slots__ = ("email", "roles", "key_ids", "key_id")
    EMAIL_FIELD_NUMBER: _ClassVar[int]
    ROLES_FIELD_NUMBER: _ClassVar[int]
    KEY_IDS_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    email: str
    roles: _containers.RepeatedScalarFieldContainer[str]
    key_ids: _containers.RepeatedScalarFieldContainer[str]
    key_id: str
    def __init__(self, email: _Optional[str] = ..., roles: _Optional[_Iterable[str]] = ..., key_ids: _Optional[_Iterable[str]] = ..., key_id: _Optional[str] = ...) -> None: ...

class ListServiceAccountsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListServiceAccountsResponse(_message.Message):
    __slots__ = ("service_accounts",)
    SERVICE_ACCOUNTS_FIELD_NUMBER: _ClassVar[int]
    service_accounts: _containers.RepeatedCompositeFieldContainer[ServiceAccount]
    def __init__(self, service_accounts: _Optional[_Iterable[_Union[ServiceAccount, _Mapping]]] = ...) -> None: ...

class RemoveServiceAccountRequest(_message.Message):
    __slots__ = ("email",)
    EMAIL_FIELD_NUMBER: _ClassVar[int]
    email: str
    def __init__(self, email: _Optional[str] = ...) -> None: ...

class RemoveServiceAccountResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class KeyUse(_message.Message):
    __slots__ = ("number", "key", "user", "provider")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    number: int
    key: str
    user: str
    provider: str
    def __init__(self, number: _Optional[int] = ..., key: _Optional[str] = ..., user: _Optional[str] = ..., provider: _Optional[str] = ...) -> None: ...

class Guard(_message.Message):
    __slots__ = ("on", "uses")
    ON_FIELD_NUMBER: _ClassVar[int]
    USES_FIELD_NUMBER: _ClassVar[int]
    on: bool
    uses: _containers.RepeatedCompositeFieldContainer[KeyUse]
    def __init__(self, on: _Optional[bool] = ..., uses: _Optional[_Iterable[_Union[KeyUse, _Mapping]]] = ...) -> None: ...

class GetGuardRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SetGuardRequest(_message.Message):
    __slots__ = ("on",)
    ON_FIELD_NUMBER: _ClassVar[int]
    on: bool
    def __init__(self, on: _Optional[bool] = ...) -> None: ...

class RemoveKeyUsesRequest(_message.Message):
    __slots__ = ("number", "user")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    number: int
    user: str
    def __init__(self, number: _Optional[int] = ..., user: _Optional[str] = ...) -> None: ...

class RemoveKeyUsesResponse(_message.Message):
    __slots__ = ("removed",)
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    removed: int
    def __init__(self, removed: _Optional[int] = ...) -> None: ...
