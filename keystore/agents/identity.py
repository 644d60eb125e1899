"""Who a process of a cluster is: what its certificate says, and what it may be called.

A certificate names its holder by one URI, `keystore://CLUSTER/ROLE/NAME`. Two DNS names say the same to TLS libraries,
which compare nothing else: `ROLE.keystore.internal` and `NAME.ROLE.keystore.internal`.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from keystore.errors import InputError

NAME_CHARACTERS_MAX = 63
"""LIMIT: characters of a name; it is a label of a DNS name."""

_NAME = re.compile(rf"[a-z0-9](?:[a-z0-9-]{{0,{NAME_CHARACTERS_MAX - 2}}}[a-z0-9])?")
_URI = re.compile(r"keystore://([^/]+)/([^/]+)/([^/]+)")


class Role(StrEnum):
    """What a process is there for; servers decide by it which calls they take."""

    NODE = "node"
    ROUTER = "router"
    HOST = "host"
    CONTROL = "control"
    CLIENT = "client"


@dataclass(frozen=True)
class Identity:
    """A process of a cluster."""

    cluster: str
    role: Role
    name: str

    def __post_init__(self) -> None:
        require_label(self.cluster, "cluster")
        require_label(self.name, str(self.role))

    @property
    def uri(self) -> str:
        return f"keystore://{self.cluster}/{self.role}/{self.name}"

    @property
    def dns_names(self) -> tuple[str, str]:
        return dns_name(self.role), dns_name(self.role, self.name)

    @classmethod
    def parse(cls, uri: str) -> Self:
        """Read the URI of a certificate.

        Raises:
            InputError: it is none.
        """
        found = _URI.fullmatch(uri)
        if found is None or found[2] not in set(Role):
            raise InputError(f"{uri!r} is not keystore://CLUSTER/ROLE/NAME. Nothing was changed.")
        return cls(found[1], Role(found[2]), found[3])

    def __str__(self) -> str:
        return f"{self.role} {self.name} of cluster {self.cluster}"


def dns_name(role: Role, name: str | None = None) -> str:
    """Return the name that a client expects of a server: any of a role, or one."""
    return ".".join(filter(None, (name, role, "keystore.internal")))


def require_label(name: str, what: str) -> None:
    """Refuse a name that cannot stand in a certificate.

    Raises:
        InputError: it has other characters than a-z, 0-9 and inner hyphens, or is too long.
    """
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{name[:80]!r} cannot be the name of a {what}: it has 1 to {NAME_CHARACTERS_MAX} of a-z, 0-9 and inner "
            "hyphens. Nothing was changed; choose another."
        )
