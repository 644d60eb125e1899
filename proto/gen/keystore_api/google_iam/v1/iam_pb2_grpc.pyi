# Typed stubs of the client classes; written by proto/generate.py.

import grpc
import grpc.aio

from keystore_api.google_iam.v1 import iam_pb2

class IAMPolicyStub:
    def __init__(self, channel: grpc.Channel | grpc.aio.Channel) -> None: ...
    SetIamPolicy: grpc.UnaryUnaryMultiCallable[iam_pb2.SetIamPolicyRequest, iam_pb2.Policy]
    GetIamPolicy: grpc.UnaryUnaryMultiCallable[iam_pb2.GetIamPolicyRequest, iam_pb2.Policy]
    TestIamPermissions: grpc.UnaryUnaryMultiCallable[iam_pb2.TestIamPermissionsRequest, iam_pb2.TestIamPermissionsResponse]
