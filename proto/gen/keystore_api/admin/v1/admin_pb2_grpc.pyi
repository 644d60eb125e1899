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
    Reset: grpc.UnaryUnaryMultiCallable[admin_pb2.ResetRequest, admin_pb2.ResetResponse]
