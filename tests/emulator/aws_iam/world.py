"""An account with users and roles, and clients that sign as they do."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from kms_emulator.core import Core
from kms_emulator.model.identities import Credential, Identity, IdentityKind
from tests.emulator.running import Running

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_sts import STSClient

ACCOUNT = "111122223333"
ROOT = f"arn:aws:iam::{ACCOUNT}:root"
REGION = "us-east-1"
ONE_TRY = Config(retries={"total_max_attempts": 1}, parameter_validation=False)
Document = dict[str, Any]


def statement(*actions: str, effect: str = "Allow", resource: str | list[str] = "*", **more: Any) -> Document:
    return {"Effect": effect, "Action": list(actions), "Resource": resource, **more}


def policy(*statements: Document) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def for_principal(arn: str, *actions: str, effect: str = "Allow", **more: Any) -> Document:
    return statement(*actions, effect=effect, Principal={"AWS": arn}, **more)


FOR_ROOT = for_principal(ROOT, "kms:*")


class World:
    """A running emulator, and who lives in it."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.url = running.server.url

    @property
    def core(self) -> Core:
        return self.running.core

    def user(self, name: str, *statements: Document, account: str = ACCOUNT) -> str:
        """Add a user whose access key is made of its name; return its ARN."""
        arn = f"arn:aws:iam::{account}:user/{name}"
        self._add(arn, IdentityKind.USER, account, statements)
        self.core.identities.issue(Credential(access_key(name), secret(name), arn, arn, account, 0))
        return arn

    def role(self, name: str, trusted: str, *statements: Document, **trust: Any) -> str:
        """Add a role that trusts a principal; return its ARN."""
        arn = f"arn:aws:iam::{ACCOUNT}:role/{name}"
        document = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": trusted}, **trust}
        self._add(arn, IdentityKind.ROLE, ACCOUNT, statements, trust=policy(document))
        return arn

    def kms(self, name: str = "", *, region: str = REGION, **credentials: str) -> "KMSClient":
        """Return a client that signs as a user, with credentials, or (with neither) as nobody known."""
        keys = credentials or _credentials(name)
        session = boto3.session.Session(**keys)  # type: ignore[arg-type] # it has no other arguments of these names
        return session.client("kms", endpoint_url=self.url, region_name=region, config=ONE_TRY)

    def sts(self, name: str = "", **credentials: str) -> "STSClient":
        keys = credentials or _credentials(name)
        session = boto3.session.Session(**keys)  # type: ignore[arg-type] # as above
        return session.client("sts", endpoint_url=self.url, region_name=REGION, config=ONE_TRY)

    def key(self, *statements: Document) -> str:
        """Create a key as nobody known; return its ARN."""
        arguments = {"Policy": policy(*statements)} if statements else {}
        created = self.kms().create_key(BypassPolicyLockoutSafetyCheck=True, **arguments)  # type: ignore[arg-type]
        return created["KeyMetadata"]["Arn"]

    def _add(
        self, arn: str, kind: IdentityKind, account: str, statements: tuple[Document, ...], trust: str = ""
    ) -> None:
        policies = {"inline": policy(*statements)} if statements else {}
        self.core.identities.put(Identity(arn, kind, account, f"AIDA{arn[-4:].upper()}", 0, policies, trust, 7200))


def access_key(name: str) -> str:
    return f"AKIA{name.upper():X<12}"


def secret(name: str) -> str:
    return f"secret of {name}"


def _credentials(name: str) -> dict[str, str]:
    return {
        "aws_access_key_id": access_key(name) if name else "AKIAUNKNOWN",
        "aws_secret_access_key": secret(name) if name else "anything",
    }


class Refusal:
    """What `refused` saw."""

    message: str
    status: int


@contextmanager
def refused(code: str, *parts: str) -> Iterator[Refusal]:
    """Expect an error code, and parts of its message."""
    seen = Refusal()
    with pytest.raises(ClientError) as caught:
        yield seen
    response = caught.value.response
    seen.message, seen.status = response["Error"]["Message"], response["ResponseMetadata"]["HTTPStatusCode"]
    assert response["Error"]["Code"] == code, seen.message
    for part in parts:
        assert part in seen.message
