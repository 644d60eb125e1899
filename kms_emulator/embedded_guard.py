"""The guard of an embedded emulator: who uses which key, and whether that keeps it."""

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from keystore_api.admin.v1 import admin_pb2 as pb

from kms_emulator.admin.controls import Controls
from kms_emulator.admin.forms import to_form

Answer = TypeVar("Answer")


class Emulator(Protocol):
    """What is needed of the emulator."""

    def _ask(self, act: Callable[[Controls], Answer]) -> Answer:
        """Act on the core between two calls."""


class Guard:
    """While it is on, no cloud's operation disables, deletes or destroys a key, or version, that somebody uses."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator

    def on(self) -> None:
        """Turn it on."""
        self._emulator._ask(lambda controls: controls.set_guard(pb.SetGuardRequest(on=True)))

    def off(self) -> None:
        """Turn it off; what is known of uses stays."""
        self._emulator._ask(lambda controls: controls.set_guard(pb.SetGuardRequest(on=False)))

    def add(self, key: str, user: str) -> int:
        """Note that `user` depends on a key, or on the version that its name names; return the use's number.

        ValueError if there is no such key.
        """
        return self._emulator._ask(lambda controls: controls.add_key_use(pb.KeyUse(key=key, user=user))).number

    def remove(self, user: str) -> int:
        """Forget all uses of a user; return how many there were, ValueError if there was none."""
        request = pb.RemoveKeyUsesRequest(user=user)
        return self._emulator._ask(lambda controls: controls.remove_key_uses(request)).removed

    def uses(self) -> "list[dict[str, Any]]":
        """Return all uses, oldest first."""
        found: list[dict[str, Any]] = to_form(
            self._emulator._ask(lambda controls: controls.get_guard(pb.GetGuardRequest()))
        )["uses"]
        return found
