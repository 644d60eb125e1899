"""Google's messages in our package are Google's on the wire."""

import pytest
from google.cloud.kms_v1.types import resources, service
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from keystore_api.google_kms.v1 import resources_pb2, service_pb2

THEIRS = [resources.CryptoKey.pb().DESCRIPTOR.file, service.EncryptRequest.pb().DESCRIPTOR.file]
OURS = [resources_pb2.DESCRIPTOR, service_pb2.DESCRIPTOR]
OUR_MESSAGES = [message for file in OURS for message in file.message_types_by_name.values()]
THEIR_MESSAGES = {name: message for file in THEIRS for name, message in file.message_types_by_name.items()}


def field_facts(field: FieldDescriptor) -> tuple[object, ...]:
    used = field.message_type or field.enum_type
    name = used.full_name if used is not None else ""
    if name.startswith(("keystore_api.google_kms.v1.", "google.cloud.kms.v1.")):
        name = name.partition(".v1.")[2]
    oneof = field.containing_oneof.name if field.containing_oneof is not None else ""
    return field.name, field.number, field.type, field.is_repeated, name, oneof, field.has_presence


def enum_facts(enum: EnumDescriptor) -> list[tuple[str, int]]:
    return [(value.name, value.number) for value in enum.values]


def assert_same(ours: Descriptor, theirs: Descriptor) -> None:
    assert [field_facts(field) for field in ours.fields] == [field_facts(field) for field in theirs.fields]
    assert set(ours.enum_types_by_name) == set(theirs.enum_types_by_name)
    for name, enum in ours.enum_types_by_name.items():
        assert enum_facts(enum) == enum_facts(theirs.enum_types_by_name[name])
    assert set(ours.nested_types_by_name) == set(theirs.nested_types_by_name)
    for name, nested in ours.nested_types_by_name.items():
        assert_same(nested, theirs.nested_types_by_name[name])


@pytest.mark.parametrize("ours", OUR_MESSAGES, ids=lambda message: message.name)
def test_message_is_the_clients(ours: Descriptor) -> None:
    assert_same(ours, THEIR_MESSAGES[ours.name])


def test_top_level_enums_are_the_clients() -> None:
    theirs = {name: enum for file in THEIRS for name, enum in file.enum_types_by_name.items()}
    for file in OURS:
        for name, enum in file.enum_types_by_name.items():
            assert enum_facts(enum) == enum_facts(theirs[name])


def test_messages_were_compared() -> None:
    assert len(OUR_MESSAGES) >= 30


def test_bytes_of_one_are_read_by_the_other() -> None:
    theirs = service.EncryptRequest(name="k", plaintext=b"p", plaintext_crc32c=7)
    ours = service_pb2.EncryptRequest.FromString(service.EncryptRequest.serialize(theirs))
    assert (ours.name, ours.plaintext, ours.plaintext_crc32c.value) == ("k", b"p", 7)
    assert service.EncryptRequest.deserialize(ours.SerializeToString()) == theirs
