"""What each key was last used for. In memory and of this process, so it begins when that does: `since_ns` says when."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Use:
    """A cryptographic operation that succeeded, as the cloud names it, and the request that asked for it."""

    operation: str
    time_ns: int
    request_id: str


class LastUses:
    """The last use of each key, by uid."""

    def __init__(self, since_ns: int) -> None:
        self.since_ns = since_ns
        self._uses: dict[bytes, Use] = {}

    def record(self, uid: bytes, use: Use) -> None:
        """Note a use."""
        self._uses[uid] = use

    def get(self, uid: bytes) -> Use | None:
        """Return the last use of a key, or None if it was not used since tracking began."""
        return self._uses.get(uid)

    def clear(self, since_ns: int) -> None:
        """Forget all; tracking begins anew."""
        self._uses.clear()
        self.since_ns = since_ns
