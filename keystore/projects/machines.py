"""Where the processes of deployments run: on this machine, each deployment in a directory of its own.

DATA_DIR/deployments/ID    the files of the cluster whose name is the deployment's id (`keystore.control.creation`)
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from keystore.control.clusters import ROUTER, MemberRecord, NewCluster
from keystore.control.creation import ClusterFiles
from keystore.control.local_hosts import ANY_PORT, LocalHosts

SOURCE_ADDRESS = "KEYSTORE_SOURCE_ADDRESS"
"""Environment variable: the address from which a process calls a KMS."""


class Machines:
    """The machines of all deployments.

    Args:
        platform_key: URI of the key under which nodes are without customer keys, and their volumes with them.
        root: options of `keystore` before the command, for every host.
        options: options of `host serve`.
    """

    def __init__(
        self, data_dir: Path, platform_key: str, root: Sequence[str] = (), options: Sequence[str] = ()
    ) -> None:
        self._places, self.platform_key = data_dir.absolute() / "deployments", platform_key
        self._root, self._options = root, (*options, "--await-credentials")

    def files(self, deployment_id: str) -> ClusterFiles:
        """Return the files of a deployment."""
        return ClusterFiles(self._places / deployment_id)

    def begin(self, deployment_id: str) -> ClusterFiles:
        """Make what a deployment has besides its members; what an attempt that was cut off left goes first."""
        self.remove(deployment_id)
        self._places.mkdir(mode=0o700, parents=True, exist_ok=True)
        return ClusterFiles.begin(self.files(deployment_id).directory, deployment_id)

    def remove(self, deployment_id: str) -> None:
        """Remove everything of a deployment whose processes have ended."""
        shutil.rmtree(self.files(deployment_id).directory, ignore_errors=True)

    def hosts(self, deployment_id: str, addresses: Mapping[str, str]) -> LocalHosts:
        """Return the hosts of a deployment; `addresses` are those from which its members call a KMS."""

        def environment_of(name: str) -> Mapping[str, str]:
            return {SOURCE_ADDRESS: addresses[name]} if name in addresses else {}

        return LocalHosts(self.files(deployment_id), self._root, self._options, environment_of)

    def cluster(self, deployment_id: str, names: Sequence[str], customer_key: str | None) -> NewCluster:
        """Return the cluster of a new deployment, of which nothing was started yet."""
        directory = str(self.files(deployment_id).directory)
        members = tuple(unplaced(name) for name in names)
        return NewCluster(
            deployment_id, directory, self.platform_key, customer_key, names[0], members, unplaced(ROUTER)
        )


def unplaced(name: str) -> MemberRecord:
    """Return a process of which nobody knows yet where it answers."""
    return MemberRecord(name, ANY_PORT, ANY_PORT)
