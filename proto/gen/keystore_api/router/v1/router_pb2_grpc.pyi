# Typed stubs of the client classes; written by proto/generate.py.

import grpc
import grpc.aio

from keystore_api.router.v1 import router_pb2

class RouterStub:
    def __init__(self, channel: grpc.Channel | grpc.aio.Channel) -> None: ...
    SetTopology: grpc.UnaryUnaryMultiCallable[router_pb2.SetTopologyRequest, router_pb2.Topology]
    GetTopology: grpc.UnaryUnaryMultiCallable[router_pb2.GetTopologyRequest, router_pb2.Topology]
