#!/usr/bin/env python3
"""Generates proto/gen from proto/**/*.proto, once for both packages; `--check` fails where the tree differs.

Two steps, each the same on every machine: Google's and AWS's messages are written out as .proto (google_kms.py,
aws_kms_model.py), then the pinned grpcio-tools compile everything. Beside what protoc writes stand typed stubs for the
client classes, which it leaves without types.
"""

import argparse
import filecmp
import sys
import tempfile
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import aws_kms_model
import google_kms
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto
from grpc_tools import protoc

PROTO = Path(__file__).resolve().parent
WRITTEN = (google_kms.OUR_FOLDER, str(Path(aws_kms_model.PROTO_NAME).parent))
"""Folders of .proto files that are generated themselves."""

TOOLS_VERSION = "1.81.1"
"""Newer tools write code that the oldest supported protobuf runtime refuses (gencode may not be newer)."""

STUB_HEAD = "# Typed stubs of the client classes; written by proto/generate.py.\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if anything would change")
    arguments = parser.parse_args()
    if version("grpcio-tools") != TOOLS_VERSION:
        print(f"needs grpcio-tools {TOOLS_VERSION}, found {version('grpcio-tools')}: run make check", file=sys.stderr)
        return 2
    if not arguments.check:
        generate(PROTO, PROTO)
        return 0
    with tempfile.TemporaryDirectory() as name:
        generate(PROTO, Path(name))
        return report(list(differences(Path(name), PROTO)))


def generate(source: Path, target: Path) -> None:
    """Write the generated .proto files and all generated code below `target`; `source` holds our own .proto files."""
    google_kms.write(target)
    aws_kms_model.write(target)
    wanted = compile_all(source, target)
    remove_others(target / "gen" / "keystore_api", wanted)


def compile_all(source: Path, target: Path) -> set[Path]:
    """Run protoc and write what it leaves out; return every file that belongs below `target`/gen."""
    ours = [str(path.relative_to(source)) for path in source.glob("keystore_api/**/*.proto")]
    written = [str(path.relative_to(target)) for folder in WRITTEN for path in (target / folder).glob("*")]
    names = sorted([name for name in ours if str(Path(name).parent) not in WRITTEN] + written)
    out = target / "gen"
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        described = Path(scratch) / "all.desc"
        includes = [f"-I{target}", f"-I{source}", f"-I{files('grpc_tools').joinpath('_proto')}"]
        outputs = [f"--{kind}_out={out}" for kind in ("python", "pyi", "grpc_python")]
        if protoc.main(["protoc", *includes, *outputs, f"--descriptor_set_out={described}", *names]) != 0:
            raise SystemExit("protoc failed; its message is above")
        described_set = FileDescriptorSet.FromString(described.read_bytes())
    return {path for file in described_set.file for path in complete(file, out)}


def complete(file: FileDescriptorProto, out: Path) -> Iterator[Path]:
    """Write the stubs and `__init__.py` files for one .proto; yield all files it accounts for."""
    base = out / file.name.removesuffix(".proto")
    typed = base.with_name(f"{base.name}_pb2_grpc.pyi")
    typed.write_text("\n".join(stub_lines(file)) + "\n", encoding="utf-8")
    yield typed
    yield from (base.with_name(base.name + ending) for ending in ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py"))
    for folder in [out / parent for parent in Path(file.name).parents if parent != Path()]:
        init = folder / "__init__.py"
        init.touch()
        yield init


def stub_lines(file: FileDescriptorProto) -> Iterator[str]:
    """Yield the .pyi of a `_pb2_grpc` module: one client class for each service."""
    yield STUB_HEAD
    if not file.service:
        return
    package, module = file.package, f"{Path(file.name).stem}_pb2"
    yield "import grpc\nimport grpc.aio\n"
    messages = sorted({name for service in file.service for name in _message_files(file, service.method)})
    yield from (f"from {package} import {name}" for name in messages or [module])
    for service in file.service:
        yield f"\nclass {service.name}Stub:"
        yield "    def __init__(self, channel: grpc.Channel | grpc.aio.Channel) -> None: ..."
        for method in service.method:
            pair = ", ".join(_python_name(file, name) for name in (method.input_type, method.output_type))
            kind = ("Stream" if method.client_streaming else "Unary", "Stream" if method.server_streaming else "Unary")
            yield f"    {method.name}: grpc.{''.join(kind)}MultiCallable[{pair}]"


def _message_files(file: FileDescriptorProto, methods: Iterable[MethodDescriptorProto]) -> Iterator[str]:
    for method in methods:
        for name in (method.input_type, method.output_type):
            yield _python_name(file, name).partition(".")[0]


def _python_name(file: FileDescriptorProto, type_name: str) -> str:
    """Return ``module.Message``; a message that `file` does not define comes from its package's resources."""
    name = type_name.removeprefix(f".{file.package}.")
    own = any(message.name == name for message in file.message_type)
    return f"{Path(file.name).stem if own else 'resources'}_pb2.{name}"


def remove_others(folder: Path, wanted: set[Path]) -> None:
    """Remove generated files whose .proto is gone."""
    for path in folder.rglob("*.py*"):
        if path.suffix in (".py", ".pyi") and path not in wanted:
            path.unlink()


def differences(fresh: Path, tree: Path) -> Iterator[str]:
    """Yield one line for each generated file that is missing, too many or different in `tree`."""
    fresh_names, tree_names = _generated_names(fresh), _generated_names(tree)
    yield from (f"missing: {name}" for name in sorted(fresh_names - tree_names))
    yield from (f"too many: {name}" for name in sorted(tree_names - fresh_names))
    for name in sorted(fresh_names & tree_names):
        if not filecmp.cmp(fresh / name, tree / name, shallow=False):
            yield f"differs: {name}"


def _generated_names(root: Path) -> set[Path]:
    code = {path for path in (root / "gen").rglob("*.py*") if path.suffix in (".py", ".pyi")}
    written = {path for folder in WRITTEN for path in (root / folder).glob("*.proto")}
    return {path.relative_to(root) for path in code | written}


def report(lines: list[str]) -> int:
    for line in lines:
        print(f"proto/{line}" if ": " not in line else line.replace(": ", ": proto/", 1), file=sys.stderr)
    if lines:
        print("proto/gen is not what proto/*.proto says: run make proto and commit the result", file=sys.stderr)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
