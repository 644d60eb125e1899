"""botocore's model is the contract: every operation and shape of it is known, and served or refused in words."""

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from keystore_api.aws_kms.v1 import aws_kms_pb2 as pb

from kms_emulator.wire.aws.adapter import AWS, SERVED
from kms_emulator.wire.aws.shapes import api
from tests.emulator.aws_http.clients import post
from tests.emulator.aws_http.model import FOUND, aws_kms_model

KEPT: Mapping[str, Any] = json.loads(aws_kms_model.SHAPES.read_text(encoding="utf-8"))
CUSTOM_KEY_STORES = {
    "ConnectCustomKeyStore",
    "CreateCustomKeyStore",
    "DeleteCustomKeyStore",
    "DescribeCustomKeyStores",
    "DisconnectCustomKeyStore",
    "UpdateCustomKeyStore",
}
SERVED_LEAST = 45


def test_every_operation_is_served_or_refused() -> None:
    assert set(AWS.operations) == set(FOUND["operations"])
    assert set(FOUND["operations"]) - set(SERVED) == CUSTOM_KEY_STORES
    assert len(SERVED) >= SERVED_LEAST


@pytest.mark.parametrize("part", ["operations", "errors", "shapes"])
def test_kept_facts_are_the_model_s(part: str) -> None:
    different = sorted(name for name in {*FOUND[part], *KEPT[part]} if FOUND[part].get(name) != KEPT[part].get(name))
    assert different == [], "AWS changed its model: run proto/aws_kms_model.py and make proto, and look at what changed"


def test_kept_facts_are_written_as_they_are() -> None:
    assert aws_kms_model.encode(FOUND) == aws_kms_model.SHAPES.read_text(encoding="utf-8")


@pytest.mark.parametrize("operation", sorted(FOUND["operations"]))
def test_messages_have_every_member(operation: str) -> None:
    described = FOUND["operations"][operation]
    request = getattr(pb, described["input"]).DESCRIPTOR
    members = FOUND["shapes"][described["input"]]["members"]
    assert [field.name for field in request.fields] == ["region", *map(aws_kms_model.snake, members)]
    if described["output"]:
        members = FOUND["shapes"][described["output"]]["members"]
        answer = getattr(pb, described["output"]).DESCRIPTOR
        assert [field.name for field in answer.fields] == [aws_kms_model.snake(name) for name in members]


@pytest.mark.parametrize("operation", sorted(CUSTOM_KEY_STORES))
def test_custom_key_stores_are_refused_as_unsupported(url: str, operation: str) -> None:
    answer = post(url, f"TrentService.{operation}", json.dumps(smallest(operation)).encode())
    assert (answer.status, answer.json) == (
        400,
        {"__type": "UnsupportedOperationException", "message": f"{operation} is not emulated."},
    )


@pytest.mark.parametrize("operation", sorted(FOUND["operations"]))
def test_a_request_without_anything_is_answered(url: str, operation: str) -> None:
    answer = post(url, f"TrentService.{operation}", b"{}")
    required = FOUND["shapes"][FOUND["operations"][operation]["input"]]["required"]
    if required:
        assert (answer.status, answer.json["__type"]) == (400, "ValidationException")
        assert answer.json["message"].count("Member must not be null") == len(required)
    else:
        assert answer.status in (200, 400)


@pytest.mark.parametrize("operation", sorted(SERVED))
def test_smallest_request_is_answered_as_the_model_says(url: str, operation: str) -> None:
    """The key does not exist, so most operations say that; nothing is answered that AWS would not answer."""
    answer = post(url, f"TrentService.{operation}", json.dumps(smallest(operation)).encode())
    described = FOUND["operations"][operation]
    if answer.status == 200:
        output = described["output"]
        assert set(answer.json) <= set(FOUND["shapes"][output]["members"]) if output else answer.body == b""
    else:
        allowed = {*described["errors"], "ValidationException", "AccessDeniedException", "SerializationException"}
        assert answer.json["__type"] in allowed
        assert answer.status == 400


def constrained() -> Iterator[tuple[str, str, Any, str]]:
    """Yield for each constraint of each member of a request a value that breaks it, and what is said of that."""
    for operation, described in FOUND["operations"].items():
        for member, shape_name in FOUND["shapes"][described["input"]]["members"].items():
            for value, said in breaking(FOUND["shapes"][shape_name]):
                yield operation, member, value, said


def breaking(shape: Mapping[str, Any]) -> Iterator[tuple[Any, str]]:
    kind = shape["type"]
    if kind == "integer":
        if "max" in shape:
            yield shape["max"] + 1, f"have value less than or equal to {shape['max']}"
        if "min" in shape:
            yield shape["min"] - 1, f"have value greater than or equal to {shape['min']}"
    if kind in ("string", "blob"):
        for length, said in ((shape.get("max", -2) + 1, "less"), (shape.get("min", 0) - 1, "greater")):
            if length >= 0:
                text = "a" * length
                bound = shape["max"] if said == "less" else shape["min"]
                value = base64.b64encode(text.encode()).decode() if kind == "blob" else text
                yield value, f"have length {said} than or equal to {bound}"
    if "pattern" in shape:
        yield "\u0100 \u0100" * 10, f"satisfy regular expression pattern: {shape['pattern']}"
    if "enum" in shape:
        yield "NOTHING", f"satisfy enum value set: [{', '.join(shape['enum'])}]"


CONSTRAINED = list(constrained())


def test_constraints_were_found() -> None:
    assert len(CONSTRAINED) > 250


@pytest.mark.parametrize("operation", sorted(FOUND["operations"]))
def test_every_constraint_is_held(url: str, operation: str) -> None:
    cases = [case for case in CONSTRAINED if case[0] == operation]
    for _, member, value, said in cases:
        answer = post(url, f"TrentService.{operation}", json.dumps({**smallest(operation), member: value}).encode())
        assert (answer.status, answer.json["__type"]) == (400, "ValidationException"), member
        assert (
            f"at '{member[0].lower()}{member[1:]}' failed to satisfy constraint: Member must {said}"
            in (answer.json["message"])
        )


def smallest(operation: str) -> dict[str, Any]:
    """Return a request with what is required and nothing else."""
    return minimal(FOUND["operations"][operation]["input"])  # type: ignore[no-any-return]


def minimal(name: str) -> Any:
    """Return the smallest value of a shape."""
    shape = FOUND["shapes"][name]
    kind = shape["type"]
    if kind == "structure":
        return {member: minimal(shape["members"][member]) for member in shape["required"]}
    if kind == "list":
        return [minimal(shape["member"])]
    if kind == "string":
        return shape["enum"][0] if "enum" in shape else STRINGS.get(name, "a" * max(shape.get("min", 1), 1))
    if kind == "blob":
        return base64.b64encode(b"x" * max(shape.get("min", 1), 1)).decode()
    return {"integer": shape.get("min", 1), "boolean": False, "timestamp": 1, "map": {}}[kind]


STRINGS = {
    "KeyIdType": "00000000-0000-4000-8000-000000000000",
    "AliasNameType": "alias/none",
    "RegionType": "eu-west-1",
    "PolicyType": "{}",
}


def test_spoken_names_are_those_of_the_members() -> None:
    spoken = {member.name: member.spoken for shape in api().shapes.values() for member in shape.members}
    assert (spoken["KeyId"], spoken["AWSAccountId"], spoken["XksKeyId"]) == ("keyId", "awsAccountId", "xksKeyId")
