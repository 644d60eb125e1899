# Typed stubs of the client classes; written by proto/generate.py.

import grpc
import grpc.aio

from keystore_api.admin.v1 import admin_pb2

class AdminStub:
    def __init__(self, channel: grpc.Channel | grpc.aio.Channel) -> None: ...
    GetServerInfo: grpc.UnaryUnaryMultiCallable[admin_pb2.GetServerInfoRequest, admin_pb2.ServerInfo]
    GetClock: grpc.UnaryUnaryMultiCallable[admin_pb2.GetClockRequest, admin_pb2.Clock]
    AdvanceClock: grpc.UnaryUnaryMultiCallable[admin_pb2.AdvanceClockRequest, admin_pb2.Clock]
    SetClock: grpc.UnaryUnaryMultiCallable[admin_pb2.SetClockRequest, admin_pb2.Clock]
    ListCalls: grpc.UnaryUnaryMultiCallable[admin_pb2.ListCallsRequest, admin_pb2.ListCallsResponse]
    GetMetrics: grpc.UnaryUnaryMultiCallable[admin_pb2.GetMetricsRequest, admin_pb2.Metrics]
    AddFault: grpc.UnaryUnaryMultiCallable[admin_pb2.Fault, admin_pb2.Fault]
    ListFaults: grpc.UnaryUnaryMultiCallable[admin_pb2.ListFaultsRequest, admin_pb2.ListFaultsResponse]
    RemoveFaults: grpc.UnaryUnaryMultiCallable[admin_pb2.RemoveFaultsRequest, admin_pb2.RemoveFaultsResponse]
    GetState: grpc.UnaryUnaryMultiCallable[admin_pb2.GetStateRequest, admin_pb2.State]
    PutUser: grpc.UnaryUnaryMultiCallable[admin_pb2.PutUserRequest, admin_pb2.User]
    ListUsers: grpc.UnaryUnaryMultiCallable[admin_pb2.ListUsersRequest, admin_pb2.ListUsersResponse]
    RemoveUser: grpc.UnaryUnaryMultiCallable[admin_pb2.RemoveUserRequest, admin_pb2.RemoveUserResponse]
    PutServiceAccount: grpc.UnaryUnaryMultiCallable[admin_pb2.PutServiceAccountRequest, admin_pb2.ServiceAccount]
    ListServiceAccounts: grpc.UnaryUnaryMultiCallable[admin_pb2.ListServiceAccountsRequest, admin_pb2.ListServiceAccountsResponse]
    RemoveServiceAccount: grpc.UnaryUnaryMultiCallable[admin_pb2.RemoveServiceAccountRequest, admin_pb2.RemoveServiceAccountResponse]
    PutApplication: grpc.UnaryUnaryMultiCallable[admin_pb2.PutApplicationRequest, admin_pb2.Application]
    ListApplications: grpc.UnaryUnaryMultiCallable[admin_pb2.ListApplicationsRequest, admin_pb2.ListApplicationsResponse]
    RemoveApplication: grpc.UnaryUnaryMultiCallable[admin_pb2.RemoveApplicationRequest, admin_pb2.RemoveApplicationResponse]
    PutVault: grpc.UnaryUnaryMultiCallable[admin_pb2.PutVaultRequest, admin_pb2.Vault]
    ListVaults: grpc.UnaryUnaryMultiCallable[admin_pb2.ListVaultsRequest, admin_pb2.ListVaultsResponse]
    GetGuard: grpc.UnaryUnaryMultiCallable[admin_pb2.GetGuardRequest, admin_pb2.Guard]
    SetGuard: grpc.UnaryUnaryMultiCallable[admin_pb2.SetGuardRequest, admin_pb2.Guard]
    AddKeyUse: grpc.UnaryUnaryMultiCallable[admin_pb2.KeyUse, admin_pb2.KeyUse]
    RemoveKeyUses: grpc.UnaryUnaryMultiCallable[admin_pb2.RemoveKeyUsesRequest, admin_pb2.RemoveKeyUsesResponse]
    Reset: grpc.UnaryUnaryMultiCallable[admin_pb2.ResetRequest, admin_pb2.ResetResponse]
