"""Operations without a socket: the adapter run as both wires run it, for tests that make thousands of calls."""

import asyncio
from typing import Any

from google.protobuf.message import Message
from keystore_api.aws_kms.v1 import aws_kms_pb2 as pb

from kms_emulator.core import Core
from kms_emulator.model import families
from kms_emulator.model.keys import Key
from kms_emulator.model.material import Material
from kms_emulator.wire.aws import names
from kms_emulator.wire.aws.adapter import AWS
from kms_emulator.wire.aws.shapes import api
from kms_emulator.wire.call import CloudError
from kms_emulator.wire.perform import perform


class Direct:
    """One emulator without a server."""

    def __init__(self, core: Core | None = None) -> None:
        self.core = core or Core()
        self._loop = asyncio.new_event_loop()

    def run(self, operation: str, **members: Any) -> Any:
        """Run an operation and return its response; CloudError if it is refused."""
        request: Message = getattr(pb, api().operations[operation].input)(**members)
        return self._loop.run_until_complete(perform(self.core, AWS, operation, request))

    def outcome(self, operation: str, **members: Any) -> str:
        """Run an operation and return OK, or the code of its refusal."""
        try:
            self.run(operation, **members)
        except CloudError as error:
            return error.code
        return "OK"

    def create(self, **members: Any) -> str:
        """Create a key and return its ARN."""
        arn: str = self.run("CreateKey", **members).key_metadata.arn
        return arn

    def key(self, arn: str) -> Key:
        """Return a key of the model."""
        _, _, _, region, _, resource = arn.split(":", 5)
        return self.core.registry.key(names.REALM, names.key_name(region, resource.removeprefix("key/")))

    def import_material(self, arn: str, material: Material, expires_ns: int | None = None) -> None:
        """Give a key material without wrapping it: an RSA key for each would take its time."""
        families.import_material(self.core.registry, self.key(arn), material, expires_ns, self.core.now_ns())

    def new_material(self, arn: str) -> Material:
        """Return fresh material for a key."""
        return self.core.registry.new_material(self.key(arn).kind)

    def material(self, arn: str) -> bytes:
        """Return the bytes of a key's first material."""
        return self.core.registry.usable(self.key(arn), 1).to_stored()

    def advance(self, by_ns: int) -> None:
        """Move the virtual clock."""
        self.core.set_clock(self.core.clock.advance(by_ns))

    def close(self) -> None:
        self._loop.close()
