#!/usr/bin/env python3
"""Takes the facts of AWS KMS from botocore's model into kms_emulator/wire/aws/shapes.json, and the .proto from those.

Run as a program it reads the installed botocore and writes shapes.json: names, types, bounds, patterns and enum values,
no documentation. `generate.py` needs only that file, so generated code is the same whatever botocore is installed; a
test compares the file with it.
"""

import gzip
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

PACKAGE = "keystore_api.aws_kms.v1"
PROTO_NAME = "keystore_api/aws_kms/v1/aws_kms.proto"
MODEL = ("kms", "2014-11-01")
SHAPES = Path(__file__).resolve().parent.parent / "kms_emulator" / "wire" / "aws" / "shapes.json"

HEAD = """\
// Written by proto/aws_kms_model.py from kms_emulator/wire/aws/shapes.json; do not edit.
//
// AWS Key Management Service in the shape of gRPC: the operations, members and words of the `kms` API of {version}, in
// snake case. Values that AWS writes as strings ("Enabled", "SYMMETRIC_DEFAULT") are the same strings here. What is not
// set is absent; what is set is held to AWS's constraints, so an empty marker is refused and a missing one is not.
//
// Every request also names the region, which AWS takes from the host name or the signature; without it, "us-east-1".
//
// An error is a gRPC status whose trailing metadata carry AWS's own code in `x-kms-error-code`, such as
// "DisabledException", "KMSInvalidStateException", "NotFoundException" or "InvalidCiphertextException".
syntax = "proto3";

package {package};

import "google/protobuf/timestamp.proto";
"""

_SCALARS = {
    "blob": "bytes",
    "boolean": "bool",
    "integer": "int32",
    "long": "int64",
    "string": "string",
    "timestamp": "google.protobuf.Timestamp",
}
_KEPT = ("type", "min", "max", "pattern", "enum", "sensitive")


def main() -> int:
    SHAPES.write_text(encode(facts(read_model())), encoding="utf-8")
    return 0


def read_model() -> dict[str, Any]:
    """Return botocore's model of the service."""
    import botocore

    path = Path(botocore.__file__).parent.joinpath("data", *MODEL, "service-2.json.gz")
    found: dict[str, Any] = json.loads(gzip.decompress(path.read_bytes()))
    return found


def facts(model: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts of a model that the emulator rests on."""
    exceptions = {name for name, shape in model["shapes"].items() if shape.get("exception")}
    return {
        "api_version": model["metadata"]["apiVersion"],
        "target_prefix": model["metadata"]["targetPrefix"],
        "operations": {name: _operation(described) for name, described in sorted(model["operations"].items())},
        "errors": {name: 500 if model["shapes"][name].get("fault") else 400 for name in sorted(exceptions)},
        "shapes": {name: _shape(shape) for name, shape in sorted(model["shapes"].items()) if name not in exceptions},
    }


def _operation(described: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "input": described["input"]["shape"],
        "output": described.get("output", {}).get("shape"),
        "errors": sorted(error["shape"] for error in described.get("errors", [])),
    }


def _shape(shape: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: shape[name] for name in _KEPT if name in shape}
    if shape["type"] == "structure":
        kept["required"] = shape.get("required", [])
        kept["members"] = {name: member["shape"] for name, member in shape["members"].items()}
    elif shape["type"] == "list":
        kept["member"] = shape["member"]["shape"]
    elif shape["type"] == "map":
        kept |= {"key": shape["key"]["shape"], "value": shape["value"]["shape"]}
    return kept


def encode(found: Mapping[str, Any]) -> str:
    """Return the text of shapes.json: one operation, error or shape a line, so that a change of it can be read."""
    lines = ["{"]
    for name in ("api_version", "target_prefix"):
        lines.append(f"  {json.dumps(name)}: {json.dumps(found[name])},")
    for part in ("operations", "errors", "shapes"):
        rows = [f"    {json.dumps(name)}: {json.dumps(value)}" for name, value in found[part].items()]
        lines += [f"  {json.dumps(part)}: {{", ",\n".join(rows), "  }" if part == "shapes" else "  },"]
    return "\n".join([*lines, "}", ""])


def write(folder: Path) -> None:
    """Write the .proto of shapes.json below `folder`."""
    path = folder / PROTO_NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    found = json.loads(SHAPES.read_text(encoding="utf-8"))
    path.write_text("\n".join(proto_lines(found)) + "\n", encoding="utf-8")


def proto_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of the .proto."""
    yield HEAD.format(version=found["api_version"], package=PACKAGE)
    yield "service AwsKms {"
    for name, operation in found["operations"].items():
        yield f"  rpc {name}({operation['input']}) returns ({operation['output'] or f'{name}Response'});"
    yield "}"
    requests = {operation["input"] for operation in found["operations"].values()}
    for name, shape in found["shapes"].items():
        if shape["type"] == "structure":
            yield from _message_lines(name, shape, found["shapes"], with_region=name in requests)
    for name, operation in found["operations"].items():
        if operation["output"] is None:
            yield f"\nmessage {name}Response {{}}"


def _message_lines(
    name: str, shape: Mapping[str, Any], shapes: Mapping[str, Any], *, with_region: bool
) -> Iterator[str]:
    fields = ["optional string region"] if with_region else []
    fields += [f"{_type(member, shapes)} {snake(field)}" for field, member in shape["members"].items()]
    if not fields:
        yield f"\nmessage {name} {{}}"
        return
    yield f"\nmessage {name} {{"
    yield from (f"  {field} = {number};" for number, field in enumerate(fields, 1))
    yield "}"


def _type(name: str, shapes: Mapping[str, Any]) -> str:
    shape = shapes[name]
    if shape["type"] == "list":
        return f"repeated {_bare_type(shape['member'], shapes)}"
    if shape["type"] == "map":
        return f"map<{_bare_type(shape['key'], shapes)}, {_bare_type(shape['value'], shapes)}>"
    return f"optional {_bare_type(name, shapes)}"


def _bare_type(name: str, shapes: Mapping[str, Any]) -> str:
    kind = shapes[name]["type"]
    return name if kind == "structure" else _SCALARS[kind]


def snake(name: str) -> str:
    """Return a member's name in snake case: AWSAccountId is aws_account_id."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


if __name__ == "__main__":
    sys.exit(main())
