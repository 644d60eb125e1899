"""Users of an embedded emulator's AWS account."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from keystore_api.admin.v1 import admin_pb2 as pb

from kms_emulator.admin.controls import Controls
from kms_emulator.admin.users import credentials_of
from kms_emulator.core import Core

Answer = TypeVar("Answer")


class Emulator(Protocol):
    """What is needed of the emulator."""

    def _ask(self, act: Callable[[Controls], Answer]) -> Answer:
        """Act on the core between two calls."""

    def _run(self, act: Callable[[], Answer]) -> Answer:
        """Run in the emulator's own loop."""

    def _started_core(self) -> Core:
        """Return the running core."""


@dataclass(frozen=True, slots=True)
class User:
    """A user of the AWS account, with one of its access keys."""

    name: str
    arn: str
    access_key_id: str
    secret_access_key: str = field(repr=False)

    @property
    def credentials(self) -> dict[str, str]:
        """Return the access key as `boto3.client` takes it."""
        return {"aws_access_key_id": self.access_key_id, "aws_secret_access_key": self.secret_access_key}


class Users:
    """Users of a running emulator's AWS account: what they may do is what their policies and those of keys say."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator

    def put(
        self,
        name: str,
        *,
        policy: Mapping[str, Any] | str | None = None,
        access_key_id: str = "",
        secret_access_key: str = "",
    ) -> User:
        """Create a user, or give one another policy, one more access key, or both; what is not given stays.

        ``{}`` as policy takes away what it has. A new user has no policy, and gets a fresh access key unless one is
        given. ValueError says what is wrong, and nothing was changed.
        """
        text = json.dumps(policy) if isinstance(policy, Mapping) else policy or ""
        request = pb.PutUserRequest(
            name=name, policy=text, access_key_id=access_key_id, secret_access_key=secret_access_key
        )
        made = self._emulator._ask(lambda controls: controls.put_user(request))
        return User(name, made.arn, access_key_id, secret_access_key) if access_key_id else self.get(name)

    def get(self, name: str) -> User:
        """Return a user and its newest access key; ValueError if there is no such user, or it has no access key."""
        found = self._emulator._ask(lambda controls: controls.list_users(pb.ListUsersRequest())).users
        arn = next((user.arn for user in found if user.name == name), "")
        core = self._emulator._started_core()
        usable = self._emulator._run(lambda: credentials_of(core, arn))
        if not usable:
            raise ValueError(f"there is no user {name} with an access key; make it with users.put({name!r})")
        newest = max(usable, key=lambda credential: credential.created_ns)
        return User(name, arn, newest.id, newest.secret)

    def remove(self, name: str) -> None:
        """Remove a user: its access keys are refused from now on; ValueError if there is no such user."""
        self._emulator._ask(lambda controls: controls.remove_user(pb.RemoveUserRequest(name=name)))
