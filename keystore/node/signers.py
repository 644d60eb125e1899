"""Whether a snapshot was signed by the node that it names: asked before anything of it is opened, or any KMS.

A manifest names its signer, and its signature is that signer's; whoever can write where snapshots are can make one that
says so of a key of his own. So the key must be known from elsewhere: from the list of known nodes, or from the caller.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

from keystore.errors import InputError, SignerChangedError, SignerUnknownError
from keystore.format.manifest import ManifestHead
from keystore.node.known_nodes import ENVIRONMENT, KnownNode, KnownNodes
from keystore.objects.directory import DirectoryPlace
from keystore.objects.place import Place
from keystore.snapshots.opened import Accept


@dataclass(frozen=True)
class Trust:
    """Whose snapshots a caller takes for genuine.

    Attributes:
        known_nodes: the list of known nodes; by default this user's.
        first_use: take the key of a node that is not known, and know it from then on.
        signer: the public key that must have signed, whatever the list says of nodes that it does not know.
    """

    known_nodes: KnownNodes = field(default_factory=KnownNodes.default)
    first_use: bool = False
    signer: bytes | None = None

    def of(self, place: Place) -> Accept:
        """Return what refuses snapshots at `place` that another than their node may have signed (`require`).

        Raises:
            InputError: the list of known nodes lies at that place: who can forge a snapshot there could write it too.
        """
        known = Path(os.path.realpath(self.known_nodes.path))
        if isinstance(place, DirectoryPlace) and known.is_relative_to(os.path.realpath(place.path)):
            raise InputError(
                f"the list of known nodes {self.known_nodes.path} is in {place}, where the snapshots are. Nothing was "
                f"opened; keep it elsewhere, and name it by {ENVIRONMENT}."
            )
        return self.require

    def require(self, head: ManifestHead) -> None:
        """Refuse a snapshot that another than its node may have signed.

        Raises:
            SignerChangedError: it is forged: the node has another key.
            SignerUnknownError: nobody said here which key the node has.
            KnownNodesError: the list cannot be read.
        """
        name, node, key = head.snapshot_id.hex(), head.node_id.hex(), head.signer.hex()
        if self.signer is not None and head.signer != self.signer:
            raise SignerChangedError(
                f"snapshot {name} is signed by {key}, not by {self.signer.hex()}. Nothing was opened; use a snapshot "
                "that the node has signed."
            )
        known = self.known_nodes.find(head.node_id)
        if known is not None and known.public != head.signer:
            raise SignerChangedError(
                f"snapshot {name} says that it is of node {node}, and is signed by {key}: that node is known in "
                f"{self.known_nodes.path} under {known.public.hex()}. Nothing was opened; it is forged, use another "
                "snapshot."
            )
        if known is None and self.signer is None and not self.first_use:
            raise SignerUnknownError(
                f"snapshot {name} is of node {node}, which {self.known_nodes.path} does not know. Nothing was opened; "
                f"if the node itself shows the key {key} (keystore node-key show), record it (keystore node-key trust "
                f"{node} {key}), name it (--signer), or take it on trust (--trust-on-first-use)."
            )

    def note(self, head: ManifestHead, node_name: str) -> None:
        """Know the node of a snapshot that was taken on trust, now that the snapshot has opened; errors as `record`."""
        if self.first_use:
            self.known_nodes.record(KnownNode(head.node_id, head.signer, node_name))
