"""What a request or job on projects works with, put together once for a process."""

from dataclasses import dataclass

from keystore.control.clock import Clock
from keystore.control.database import Database
from keystore.projects.backed_up import PlaceOf
from keystore.projects.sealing import Sealer


@dataclass(frozen=True)
class ProjectPlane:
    """The parts of the control plane that know projects; the caller closes them.

    Attributes:
        place_of: where the snapshots and the log of each deployment lie.
        kms_endpoint: where every provider is; None for what the environment says of each, then the clouds.
        source_address: where providers are asked from; None leaves it to the system.
    """

    database: Database
    clock: Clock
    sealer: Sealer
    place_of: PlaceOf
    kms_endpoint: str | None = None
    source_address: str | None = None
