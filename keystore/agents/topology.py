"""Who the members of a cluster are and which of them is the primary, as a router knows it and keeps it in a file.

Control gives it, with a version that only grows. A control process that was replaced, and does not know it yet, comes
with an older version and is refused. The file is replaced as a whole.
"""

import json
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from keystore.agents.identity import require_label
from keystore.durable import replace_file
from keystore.errors import InputError, PathMissingError, TopologyError

TOPOLOGY_FILE = "topology.json"
MEMBERS_MAX = 50
"""LIMIT: members of a cluster; MongoDB's own limit for a replica set."""
FILE_BYTES_MAX = 1 << 20
"""LIMIT: bytes of the file."""


@dataclass(frozen=True)
class Member:
    """A member of a cluster; `name` is the one in its certificate, `address` is HOST:PORT."""

    name: str
    address: str


@dataclass(frozen=True)
class Topology:
    """The members of a cluster in their order. `version` 0 is that of a router that was told none."""

    version: int = 0
    primary: str = ""
    members: tuple[Member, ...] = ()

    def in_order(self) -> list[Member]:
        """Return the members, the primary first."""
        return sorted(self.members, key=lambda member: member.name != self.primary)

    def require_sound(self) -> None:
        """Refuse what no cluster can be.

        Raises:
            InputError: no member, one twice, a primary that is none, or a name or address that cannot be one.
        """
        names = [member.name for member in self.members]
        for member in self.members:
            require_label(member.name, "member")
            if not member.address.rpartition(":")[0] or not member.address.rpartition(":")[2].isdigit():
                raise InputError(f"{member.address[:80]!r} of {member.name} is not HOST:PORT. Nothing was changed.")
        if not 0 < len(names) <= MEMBERS_MAX or len(set(names)) != len(names):
            raise InputError(
                f"a cluster has 1 to {MEMBERS_MAX} members of different names, not {names}. Nothing was changed."
            )
        if self.primary not in names or self.version < 1:
            raise InputError(
                f"the primary {self.primary!r} is no member, or version {self.version} is none. Nothing was changed."
            )


class TopologyFile:
    """The topology in force, in the directory of one router. Threads may share it."""

    def __init__(self, directory: Path) -> None:
        """Read what is kept; the directory is made if missing.

        Raises:
            PathMissingError, InputError: it cannot be used.
        """
        self._path, self._lock = directory / TOPOLOGY_FILE, threading.Lock()
        try:
            directory.mkdir(mode=0o700, exist_ok=True)
            self._topology = self._read() if self._path.exists() else Topology()
        except FileNotFoundError:
            raise PathMissingError.parent_of(directory) from None
        except OSError as error:
            raise InputError(f"{directory} cannot be used: {error.strerror}. Nothing was started.") from None

    @property
    def topology(self) -> Topology:
        return self._topology

    def put(self, topology: Topology) -> None:
        """Put a topology in force; durable on return. Nothing happens where it is in force already.

        Raises:
            InputError: it is none, or cannot be written. TopologyError: a newer one is in force. Nothing was changed.
        """
        topology.require_sound()
        with self._lock:
            known = self._topology
            if topology == known:
                return
            if topology.version <= known.version:
                raise TopologyError(
                    f"topology {topology.version} came after {known.version}, whose primary is {known.primary}. "
                    "Nothing was changed; look at which control process is in charge."
                )
            self._write(topology)
            self._topology = topology

    def _read(self) -> Topology:
        try:
            found: Any = json.loads(self._path.read_bytes()[: FILE_BYTES_MAX + 1])
            members = tuple(Member(str(each["name"]), str(each["address"])) for each in found["members"])
            topology = Topology(int(found["version"]), str(found["primary"]), members)
            topology.require_sound()
            return topology
        except (ValueError, KeyError, TypeError):
            raise InputError(
                f"{self._path} is not what a router wrote. Nothing was started; remove it, and have control set the "
                "members again."
            ) from None

    def _write(self, topology: Topology) -> None:
        try:
            replace_file(self._path, json.dumps(asdict(topology), indent=2).encode())
        except OSError as error:
            raise InputError(f"{self._path} cannot be written: {error.strerror}. Nothing was changed.") from None
