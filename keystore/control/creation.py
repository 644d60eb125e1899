"""Makes what a cluster is made of on this machine: its authority, certificates for its processes, and its nodes.

    DIRECTORY/authority       the key that signs certificates; no process of the cluster needs it
    DIRECTORY/tls/PROCESS     what each process is given
    DIRECTORY/members/NAME    the node of each member
    DIRECTORY/router          what the router knows; it makes it itself

Leaves to others: starting the processes, and the control database.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

from keystore.agents.identity import Role
from keystore.agents.tls import ClusterCa
from keystore.control.clusters import ROUTER
from keystore.control.key_check import require_usable
from keystore.errors import InputError, PathMissingError, PathTakenError
from keystore.kms.protocol import KmsConnector
from keystore.kms.uri import parse
from keystore.node.directory import Node


class ClusterFiles:
    """The directory of a cluster."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def tls(self, role: Role, name: str) -> Path:
        """Return the directory of a process's certificates."""
        return self.directory / "tls" / (str(role) if role in (Role.CONTROL, Role.CLIENT) else f"{role}-{name}")

    def node(self, name: str) -> Path:
        """Return the directory of a member's node."""
        return self.directory / "members" / name

    @property
    def router(self) -> Path:
        return self.directory / ROUTER

    @classmethod
    def create(
        cls,
        directory: Path,
        cluster: str,
        names: Sequence[str],
        platform_key: str,
        customer_key: str | None,
        connect: KmsConnector,
    ) -> "ClusterFiles":
        """Make everything; durable on return. On an error nothing of it is left.

        Args:
            directory: does not exist yet; its parent does.
            customer_key: with one, nodes are under it, above a volume layer under the platform key.

        Raises:
            InputError, PathTakenError, PathMissingError: nothing was made.
            KmsError, KeyFileWriteError, KnownNodesError: what was made is removed.
        """
        for uri in (platform_key, customer_key):
            if uri is not None:
                require_usable(parse(uri).text, connect)
        files = cls.begin(directory, cluster)
        try:
            for name in names:
                files.add_member(name, platform_key, customer_key, connect)
        except BaseException:
            shutil.rmtree(directory, ignore_errors=True)
            raise
        return files

    @classmethod
    def begin(cls, directory: Path, cluster: str) -> "ClusterFiles":
        """Make what a cluster has besides its members. On an error nothing of it is left.

        Raises:
            InputError, PathTakenError, PathMissingError: nothing was made.
        """
        _make_directory(directory)
        files = cls(directory)
        try:
            authority = ClusterCa.create(directory / "authority", cluster)
            (directory / "members").mkdir(mode=0o700)
            (directory / "tls").mkdir(mode=0o700)
            for role, name in (
                (Role.CONTROL, "control"),
                (Role.CLIENT, "client"),
                (Role.ROUTER, ROUTER),
                (Role.HOST, ROUTER),
            ):
                authority.issue(files.tls(role, name), role, name)
        except BaseException:
            shutil.rmtree(directory, ignore_errors=True)
            raise
        return files

    def add_member(self, name: str, platform_key: str, customer_key: str | None, connect: KmsConnector) -> None:
        """Make the certificates and the node of one more member; what an attempt that was cut off left is made anew.

        Raises:
            KmsError, KeyFileWriteError, KnownNodesError: there is no such member.
        """
        self.remove_member(name)
        authority = ClusterCa.open(self.directory / "authority")
        for role in (Role.NODE, Role.HOST):
            authority.issue(self.tls(role, name), role, name)
        volume_key = None if customer_key is None else platform_key
        Node.init(self.node(name), customer_key or platform_key, connect, volume_key=volume_key).close()

    def remove_member(self, name: str) -> None:
        """Remove the files of a member whose processes have ended, its data among them."""
        for place in (self.node(name), self.tls(Role.NODE, name), self.tls(Role.HOST, name)):
            shutil.rmtree(place, ignore_errors=True)


def _make_directory(directory: Path) -> None:
    try:
        directory.mkdir(mode=0o700)
    except FileExistsError:
        raise PathTakenError(f"{directory} exists already, and is unchanged; choose another directory.") from None
    except FileNotFoundError:
        raise PathMissingError.parent_of(directory) from None
    except OSError as error:
        raise InputError(f"{directory} cannot be made: {error.strerror}. Nothing was changed.") from None
