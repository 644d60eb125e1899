# Typed stubs of the client classes; written by proto/generate.py.

import grpc
import grpc.aio

from keystore_api.node.v1 import node_pb2

class NodeStub:
    def __init__(self, channel: grpc.Channel | grpc.aio.Channel) -> None: ...
    GetStatus: grpc.UnaryUnaryMultiCallable[node_pb2.GetStatusRequest, node_pb2.NodeStatus]
    CreateFile: grpc.UnaryUnaryMultiCallable[node_pb2.CreateFileRequest, node_pb2.FileInfo]
    ListFiles: grpc.UnaryUnaryMultiCallable[node_pb2.ListFilesRequest, node_pb2.ListFilesResponse]
    DropFile: grpc.UnaryUnaryMultiCallable[node_pb2.DropFileRequest, node_pb2.DropFileResponse]
    ReadPages: grpc.UnaryUnaryMultiCallable[node_pb2.ReadPagesRequest, node_pb2.ReadPagesResponse]
    WritePages: grpc.UnaryUnaryMultiCallable[node_pb2.WritePagesRequest, node_pb2.WritePagesResponse]
    ReadFile: grpc.UnaryStreamMultiCallable[node_pb2.ReadFileRequest, node_pb2.FileChunk]
    WriteFile: grpc.StreamUnaryMultiCallable[node_pb2.WriteFileRequest, node_pb2.FileInfo]
    VerifyFile: grpc.UnaryStreamMultiCallable[node_pb2.VerifyFileRequest, node_pb2.VerifyProgress]
    RotateMasterKey: grpc.UnaryUnaryMultiCallable[node_pb2.RotateMasterKeyRequest, node_pb2.MasterKeyChange]
    ChangeCmk: grpc.UnaryUnaryMultiCallable[node_pb2.ChangeCmkRequest, node_pb2.MasterKeyChange]
    RotateDataKey: grpc.UnaryUnaryMultiCallable[node_pb2.RotateDataKeyRequest, node_pb2.DataKeyInfo]
    Convert: grpc.UnaryStreamMultiCallable[node_pb2.ConvertRequest, node_pb2.ConvertProgress]
    CreateSnapshot: grpc.UnaryStreamMultiCallable[node_pb2.CreateSnapshotRequest, node_pb2.SnapshotProgress]
    ListSnapshots: grpc.UnaryUnaryMultiCallable[node_pb2.ListSnapshotsRequest, node_pb2.ListSnapshotsResponse]
    Restore: grpc.UnaryStreamMultiCallable[node_pb2.RestoreRequest, node_pb2.SnapshotProgress]
    RestoreInto: grpc.UnaryStreamMultiCallable[node_pb2.RestoreIntoRequest, node_pb2.RestoreProgress]
    GetLog: grpc.UnaryUnaryMultiCallable[node_pb2.GetLogRequest, node_pb2.LogStatus]
    SetLog: grpc.UnaryUnaryMultiCallable[node_pb2.SetLogRequest, node_pb2.LogStatus]
    GiveCredentials: grpc.UnaryUnaryMultiCallable[node_pb2.GiveCredentialsRequest, node_pb2.GiveCredentialsResponse]
    Stop: grpc.UnaryUnaryMultiCallable[node_pb2.StopRequest, node_pb2.StopResponse]
