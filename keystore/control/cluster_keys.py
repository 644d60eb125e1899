"""The way of clusters to their keys: who asks the KMS, and what a member needs to ask it itself."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from keystore.control.clusters import Cluster
from keystore.kms.protocol import KmsConnector


class ClusterKeys(Protocol):
    """Gives clients and credentials for the keys of clusters."""

    def connector(self, cluster: str, source_address: str | None = None) -> KmsConnector:
        """Return what gives clients for the keys of a cluster, by its name, for it may be in the making.

        Args:
            source_address: from where they call; None for where this process calls from.
        """
        ...

    def message(self, cluster: Cluster, key_uris: Iterable[str] = ()) -> bytes:
        """Return the credentials that a member needs, for its own key and for these; empty where it needs none."""
        ...


@dataclass(frozen=True)
class SameForAll:
    """Every cluster's keys are reached alike, and members have their own way; a `ClusterKeys`."""

    connect: KmsConnector

    def connector(self, cluster: str, source_address: str | None = None) -> KmsConnector:
        return self.connect

    def message(self, cluster: Cluster, key_uris: Iterable[str] = ()) -> bytes:
        return b""
