"""Why a snapshot was taken: on demand, or as the rarest of the schedules that it was due for."""

from enum import IntEnum


class SnapshotKind(IntEnum):
    """Ascending from what is taken most often to what is taken most seldom; the numbers stand in manifests."""

    ON_DEMAND = 0
    HOURLY = 1
    DAILY = 2
    WEEKLY = 3
    MONTHLY = 4
    YEARLY = 5

    @property
    def label(self) -> str:
        """The kind as people write it, such as `on demand`."""
        return self.name.lower().replace("_", " ")
