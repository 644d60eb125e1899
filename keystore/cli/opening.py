"""Opens the node of a command, with what the command line says of its outside anchor."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from keystore.cli.connecting import connector, root_option
from keystore.cli.output import print_problem
from keystore.errors import LogBehindError

if TYPE_CHECKING:  # at run time it would load numpy and gRPC at every start
    from keystore.kms.protocol import KmsConnector
    from keystore.node.directory import Node

OUTSIDE_ANCHOR = "KEYSTORE_OUTSIDE_ANCHOR"
"""Environment variable of --outside-anchor."""


@contextmanager
def open_node(node: Path, kms_endpoint: str | None, connect: KmsConnector | None = None) -> Iterator[Node]:
    """Open a node as the options before the command say.

    `connect` stands in for what `kms_endpoint` gives, where more is to be reached by the same.
    A log that is behind when the node closes is a warning: what the command did is done, and is told.
    """
    from keystore.node.directory import Node

    ignored = bool(root_option("ignore_outside_anchor"))
    opened = Node.open(
        node, connect or connector(kms_endpoint), outside_anchor=named_place(), ignore_outside_anchor=ignored
    )
    with ExitStack() as stack:
        stack.enter_context(opened)
        yield opened
        stack.pop_all()
        try:
            opened.close()
        except LogBehindError as error:
            print_problem("warning:", "yellow", str(error))


def named_place() -> str | None:
    """Return the place of --outside-anchor before the command, or of the environment."""
    return root_option("outside_anchor")
