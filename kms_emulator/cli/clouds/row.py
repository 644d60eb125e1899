"""What the `key` commands do at any cloud, and one key as they show it."""

from dataclasses import asdict, dataclass
from typing import Protocol, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

Uri = TypeVar("Uri", contravariant=True)


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A key or version, named by the URI that clients are configured with.

    Attributes:
        key_id: as the cloud names it: ARN, kid, resource name.
        ends_at: when the scheduled deletion comes, or nothing.
    """

    provider: str
    uri: str
    state: str
    key_id: str
    key_version: str
    created_at: str
    ends_at: str = ""

    def as_json(self) -> dict[str, str | None]:
        """Return the row as a JSON object."""
        return asdict(self) | {"ends_at": self.ends_at or None}


def time_text(time: Timestamp) -> str:
    """Return the time in ISO 8601, or nothing if it is not set."""
    return time.ToJsonString() if time.seconds or time.nanos else ""


class Keys(Protocol[Uri]):
    """What every cloud's keys can do here; `create` differs."""

    def rows(self) -> list[KeyRow]: ...
    def enable(self, uri: Uri) -> KeyRow: ...
    def disable(self, uri: Uri) -> KeyRow: ...
    def schedule_deletion(self, uri: Uri, days: int | None) -> KeyRow: ...
    def cancel_deletion(self, uri: Uri) -> KeyRow: ...
    def rotate(self, uri: Uri) -> KeyRow: ...
