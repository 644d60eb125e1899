# Typed stubs of the client classes; written by proto/generate.py.

import grpc
import grpc.aio

from keystore_api.host.v1 import host_pb2

class HostStub:
    def __init__(self, channel: grpc.Channel | grpc.aio.Channel) -> None: ...
    GetStatus: grpc.UnaryUnaryMultiCallable[host_pb2.GetStatusRequest, host_pb2.HostStatus]
    Start: grpc.UnaryUnaryMultiCallable[host_pb2.StartRequest, host_pb2.ProcessStatus]
    Stop: grpc.UnaryUnaryMultiCallable[host_pb2.StopRequest, host_pb2.ProcessStatus]
    Restart: grpc.UnaryUnaryMultiCallable[host_pb2.RestartRequest, host_pb2.ProcessStatus]
