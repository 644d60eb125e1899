"""Writes proto/keystore_api/google_kms/v1/*.proto from the descriptors in the installed google-cloud-kms.

Names, numbers and types are Google's, so that the bytes on the wire are; the package name is ours, so that both can be
loaded in one process (docs/adr/0003). Messages are whole: what the chosen methods reach, they carry in full.
"""

from collections.abc import Iterator
from pathlib import Path

from google.cloud.kms_v1.types import resources, service
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, FileDescriptor

GOOGLE_PACKAGE = "google.cloud.kms.v1"
OUR_PACKAGE = "keystore_api.google_kms.v1"
OUR_FOLDER = OUR_PACKAGE.replace(".", "/")

METHODS = {
    "ListKeyRings": "ListKeyRingsResponse",
    "ListCryptoKeys": "ListCryptoKeysResponse",
    "ListCryptoKeyVersions": "ListCryptoKeyVersionsResponse",
    "ListImportJobs": "ListImportJobsResponse",
    "GetKeyRing": "KeyRing",
    "GetCryptoKey": "CryptoKey",
    "GetCryptoKeyVersion": "CryptoKeyVersion",
    "GetImportJob": "ImportJob",
    "CreateKeyRing": "KeyRing",
    "CreateCryptoKey": "CryptoKey",
    "CreateCryptoKeyVersion": "CryptoKeyVersion",
    "ImportCryptoKeyVersion": "CryptoKeyVersion",
    "CreateImportJob": "ImportJob",
    "UpdateCryptoKey": "CryptoKey",
    "UpdateCryptoKeyVersion": "CryptoKeyVersion",
    "UpdateCryptoKeyPrimaryVersion": "CryptoKey",
    "DestroyCryptoKeyVersion": "CryptoKeyVersion",
    "RestoreCryptoKeyVersion": "CryptoKeyVersion",
    "Encrypt": "EncryptResponse",
    "Decrypt": "DecryptResponse",
    "GetPublicKey": "PublicKey",
    "AsymmetricSign": "AsymmetricSignResponse",
    "AsymmetricDecrypt": "AsymmetricDecryptResponse",
    "MacSign": "MacSignResponse",
    "MacVerify": "MacVerifyResponse",
    "RawEncrypt": "RawEncryptResponse",
    "RawDecrypt": "RawDecryptResponse",
    "GenerateRandomBytes": "GenerateRandomBytesResponse",
}
"""Method to answer; the request is the method's name with "Request" behind it."""

HEAD = """\
// Written by proto/google_kms.py from the descriptors in google-cloud-kms; do not edit.
//
// The field names, numbers and types of {theirs}, under a package name of ours.
syntax = "proto3";

package {ours};
"""

_SCALARS = {
    FieldDescriptor.TYPE_DOUBLE: "double",
    FieldDescriptor.TYPE_FLOAT: "float",
    FieldDescriptor.TYPE_INT64: "int64",
    FieldDescriptor.TYPE_UINT64: "uint64",
    FieldDescriptor.TYPE_INT32: "int32",
    FieldDescriptor.TYPE_UINT32: "uint32",
    FieldDescriptor.TYPE_BOOL: "bool",
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_BYTES: "bytes",
}


def google_files() -> list[FileDescriptor]:
    """Return Google's descriptors: resources, then the service's messages."""
    return [resources.CryptoKey.pb().DESCRIPTOR.file, service.EncryptRequest.pb().DESCRIPTOR.file]


def reached() -> set[str]:
    """Return the names of all top-level messages and enums that the chosen methods reach."""
    by_name = {name: message for file in google_files() for name, message in file.message_types_by_name.items()}
    found: set[str] = set()
    todo = [name for method, answer in METHODS.items() for name in (f"{method}Request", answer)]
    while todo:
        name = todo.pop()
        if name in found:
            continue
        found.add(name)
        if name in by_name:
            todo += [_top(used) for used in _used_types(by_name[name])]
    return found


def write(folder: Path) -> None:
    """Write resources.proto and service.proto below `folder`."""
    wanted = reached()
    for file in google_files():
        stem = Path(file.name).stem
        target = folder / OUR_FOLDER / f"{stem}.proto"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("\n".join(_file_lines(file, wanted)) + "\n", encoding="utf-8")


def _used_types(message: Descriptor) -> Iterator[Descriptor | EnumDescriptor]:
    for field in message.fields:
        used = field.message_type or field.enum_type
        if used is not None and used.file.package == GOOGLE_PACKAGE:
            yield used
    for nested in message.nested_types:
        yield from _used_types(nested)


def _top(used: Descriptor | EnumDescriptor) -> str:
    while used.containing_type is not None:
        used = used.containing_type
    return used.name


def _file_lines(file: FileDescriptor, wanted: set[str]) -> Iterator[str]:
    messages = [message for name, message in file.message_types_by_name.items() if name in wanted]
    enums = [enum for name, enum in file.enum_types_by_name.items() if name in wanted]
    yield HEAD.format(theirs=GOOGLE_PACKAGE, ours=OUR_PACKAGE)
    yield from (f'import "{name}";' for name in sorted(_imports(file, messages)))
    if file is google_files()[-1]:
        yield from _service_lines()
    for enum in enums:
        yield from ("", *_enum_lines(enum, ""))
    for message in messages:
        yield from ("", *_message_lines(message, ""))


def _imports(file: FileDescriptor, messages: list[Descriptor]) -> set[str]:
    used = {name for message in messages for name in _imported_files(message)} - {file.name}
    theirs = {google.name: f"{OUR_FOLDER}/{Path(google.name).name}" for google in google_files()}
    return {theirs.get(name, name) for name in used}


def _imported_files(message: Descriptor) -> Iterator[str]:
    for field in message.fields:
        used = field.message_type or field.enum_type
        if used is not None:
            yield used.file.name
    for nested in message.nested_types:
        yield from _imported_files(nested)


def _service_lines() -> Iterator[str]:
    yield "\n// Served under the name google.cloud.kms.v1.KeyManagementService."
    yield "service KeyManagementService {"
    for method, answer in METHODS.items():
        yield f"  rpc {method}({method}Request) returns ({answer});"
    yield "}"


def _enum_lines(enum: EnumDescriptor, indent: str) -> Iterator[str]:
    yield f"{indent}enum {enum.name} {{"
    if enum.GetOptions().allow_alias:
        yield f"{indent}  option allow_alias = true;"
    for value in enum.values:
        yield f"{indent}  {value.name} = {value.number};"
    yield f"{indent}}}"


def _message_lines(message: Descriptor, indent: str) -> Iterator[str]:
    inner = indent + "  "
    yield f"{indent}message {message.name} {{"
    for enum in message.enum_types:
        yield from _enum_lines(enum, inner)
    for nested in message.nested_types:
        if not nested.GetOptions().map_entry:
            yield from _message_lines(nested, inner)
    real = {oneof.name: oneof for oneof in message.oneofs if not _synthetic(oneof.fields)}
    for field in message.fields:
        oneof = field.containing_oneof
        if oneof is None or oneof.name not in real:
            yield f"{inner}{_label(field)}{_type(field)} {field.name} = {field.number};"
        elif field is oneof.fields[0]:
            yield f"{inner}oneof {oneof.name} {{"
            yield from (f"{inner}  {_type(member)} {member.name} = {member.number};" for member in oneof.fields)
            yield f"{inner}}}"
    yield f"{indent}}}"


def _synthetic(fields: list[FieldDescriptor]) -> bool:
    """Tell whether a oneof only stands for the word `optional`."""
    return len(fields) == 1 and fields[0].containing_oneof.name == f"_{fields[0].name}"


def _label(field: FieldDescriptor) -> str:
    if field.is_repeated:
        return "" if field.message_type is not None and field.message_type.GetOptions().map_entry else "repeated "
    return "optional " if field.containing_oneof is not None else ""


def _type(field: FieldDescriptor) -> str:
    used = field.message_type or field.enum_type
    if used is None:
        return _SCALARS[field.type]
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        key, value = field.message_type.fields_by_name["key"], field.message_type.fields_by_name["value"]
        return f"map<{_type(key)}, {_type(value)}>"
    return f"{used.full_name}".removeprefix(f"{GOOGLE_PACKAGE}.")
