"""Descriptors for gRPC reflection, with Google's messages under Google's names.

The messages that serve Google's shape are in a package of ours (docs/adr/0003), but a client that asks for
`google.cloud.kms.v1.KeyManagementService` must find it. So reflection has a descriptor pool of its own, with a copy of
those files under the real names; nothing else in the process sees it.
"""

from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import FileDescriptor
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from keystore_api.admin.v1 import admin_pb2
from keystore_api.aws_kms.v1 import aws_kms_pb2
from keystore_api.azure_keyvault.v1 import azure_keyvault_pb2
from keystore_api.google_iam.v1 import iam_pb2
from keystore_api.google_kms.v1 import service_pb2

_REAL_PACKAGES = {
    "keystore_api.google_kms.v1": "google.cloud.kms.v1",
    "keystore_api.google_iam.v1": "google.iam.v1",
}
_MODULES = (aws_kms_pb2, azure_keyvault_pb2, admin_pb2, service_pb2, iam_pb2, health_pb2, reflection_pb2)


def reflection_pool() -> descriptor_pool.DescriptorPool:
    """Return a pool that describes every service served."""
    pool = descriptor_pool.DescriptorPool()
    added: set[str] = set()
    for module in _MODULES:
        _add(pool, module.DESCRIPTOR, added)
    return pool


def _add(pool: descriptor_pool.DescriptorPool, file: FileDescriptor, added: set[str]) -> None:
    """Add a file after the files it imports."""
    if file.name in added:
        return
    added.add(file.name)
    for imported in file.dependencies:
        _add(pool, imported, added)
    described = descriptor_pb2.FileDescriptorProto()
    file.CopyToProto(described)
    pool.Add(_under_real_names(described) if file.package in _REAL_PACKAGES else described)


def _under_real_names(file: descriptor_pb2.FileDescriptorProto) -> descriptor_pb2.FileDescriptorProto:
    """Return the file in Google's package."""
    renamed = descriptor_pb2.FileDescriptorProto()
    renamed.CopyFrom(file)
    renamed.package = _REAL_PACKAGES[file.package]
    renamed.name = _real_path(file.name)
    renamed.dependency[:] = [_real_path(name) for name in file.dependency]
    for message in renamed.message_type:
        _rename_types(message)
    for service in renamed.service:
        for method in service.method:
            method.input_type, method.output_type = _real(method.input_type), _real(method.output_type)
    return renamed


def _rename_types(message: descriptor_pb2.DescriptorProto) -> None:
    for field in message.field:
        if field.HasField("type_name"):
            field.type_name = _real(field.type_name)
    for nested in message.nested_type:
        _rename_types(nested)


def _real(type_name: str) -> str:
    for ours, real in _REAL_PACKAGES.items():
        type_name = type_name.replace(f".{ours}.", f".{real}.", 1)
    return type_name


def _real_path(name: str) -> str:
    for ours, real in _REAL_PACKAGES.items():
        name = name.replace(ours.replace(".", "/"), real.replace(".", "/"), 1)
    return name
