"""Keys for tests: made through boto3, and what `cryptography` makes of their public halves, outside the emulator."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.serialization import load_der_public_key

from tests.emulator.running import Running

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

DAY_NS = 86_400 * 10**9


def create(kms: "KMSClient", spec: str = "", usage: str = "", **options: Any) -> str:
    """Create a key and return its ARN."""
    given = {"KeySpec": spec, "KeyUsage": usage} | options
    answer = kms.create_key(**{name: value for name, value in given.items() if value})
    return answer["KeyMetadata"]["Arn"]


def state(kms: "KMSClient", key_id: str) -> str:
    """Return a key's state."""
    return kms.describe_key(KeyId=key_id)["KeyMetadata"]["KeyState"]


def public(kms: "KMSClient", key_id: str) -> Any:
    """Return a key's public half."""
    return load_der_public_key(kms.get_public_key(KeyId=key_id)["PublicKey"])


def advance(running: Running, by: timedelta) -> None:
    """Move the virtual clock."""
    running.core.set_clock(running.core.clock.advance(int(by.total_seconds() * 10**9)))
