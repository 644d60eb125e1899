"""Opens the node of a command, with what the command line says of its outside anchor."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from keystore.cli.connecting import connector, root_option

if TYPE_CHECKING:  # at run time it would load numpy and gRPC at every start
    from keystore.node.directory import Node

OUTSIDE_ANCHOR = "KEYSTORE_OUTSIDE_ANCHOR"
"""Environment variable of --outside-anchor."""


def open_node(node: Path, kms_endpoint: str | None) -> Node:
    """Open a node as the options before the command say."""
    from keystore.node.directory import Node

    ignored = bool(root_option("ignore_outside_anchor"))
    return Node.open(node, connector(kms_endpoint), outside_anchor=named_place(), ignore_outside_anchor=ignored)


def named_place() -> str | None:
    """Return the place of --outside-anchor before the command, or of the environment."""
    return root_option("outside_anchor")
