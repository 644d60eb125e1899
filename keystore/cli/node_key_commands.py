"""Commands on the keys that sign the snapshots of nodes, and on the list of those that this user knows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from keystore.cli.arguments import NODE, HexType
from keystore.cli.connecting import with_kms
from keystore.cli.opening import open_node
from keystore.cli.output import Output, print_pairs, with_output

if TYPE_CHECKING:
    from keystore.node.known_nodes import KnownNode

NODE_ID = click.argument("node_id", metavar="NODE-ID", type=HexType(16))


@click.group("node-key")
def node_key() -> None:
    """Who signs the snapshots of which node: the list of known nodes.

    A node is recorded when it is made, by init or by a restore; a restore takes snapshots of known nodes only. The list
    is KEYSTORE_KNOWN_NODES, or keystore/known_nodes below the directory of your settings, a text file with a line for
    each node. Keep it apart from where the snapshots are.
    """


@node_key.command()
@NODE
@with_kms
@with_output
def show(out: Output, node: Path, kms_endpoint: str | None) -> None:
    """Show the public key of NODE, as `node-key trust` takes it on another machine."""
    from keystore.node.known_nodes import KnownNode, KnownNodes

    with open_node(node, kms_endpoint) as opened:
        found = KnownNode(opened.node_id, opened.signing_public, opened.name)
    known_nodes = KnownNodes.default()
    known = known_nodes.find(found.node_id)
    state = "not known" if known is None else "known" if known.public == found.public else "known under another key"
    values = {"node": str(node), **_values(found), "list": str(known_nodes.path), "state": state}
    pairs = [("node", str(node)), *_pairs(found), ("here", f"{state} ({known_nodes.path})")]
    out.emit(values, lambda: print_pairs(pairs))


@node_key.command("list")
@with_output
def list_(out: Output) -> None:
    """List the known nodes."""
    from keystore.node.known_nodes import KnownNodes

    known_nodes = KnownNodes.default()
    found = known_nodes.all()
    values = {"list": str(known_nodes.path), "nodes": [_values(node) for node in found]}

    def text() -> None:
        if not found:
            click.echo(f"no node is known in {known_nodes.path}")
        for number, node in enumerate(found):
            if number:
                click.echo()
            print_pairs(_pairs(node))

    out.emit(values, text)


@node_key.command()
@NODE_ID
@click.argument("public_key", metavar="PUBLIC-KEY", type=HexType(32))
@click.option("--name", metavar="NAME", default="", help="Name of the node, for people.")
@with_output
def trust(out: Output, node_id: bytes, public_key: bytes, name: str) -> None:
    """Take snapshots of the node NODE-ID for genuine if PUBLIC-KEY signed them.

    Get the key from the node itself (`keystore node-key show`), never from where the snapshots are.
    """
    from keystore.keys.hierarchy import require_name
    from keystore.node.known_nodes import KnownNode, KnownNodes

    if name:
        require_name(name, "node")
    node = KnownNode(node_id, public_key, name)
    known_nodes = KnownNodes.default()
    known_nodes.record(node)
    out.emit({"list": str(known_nodes.path), **_values(node)}, lambda: print_pairs(_pairs(node)))


@node_key.command()
@NODE_ID
@with_output
def forget(out: Output, node_id: bytes) -> None:
    """Remove the node NODE-ID from the list. Its snapshots stay, and who signs them is not known here any more."""
    from keystore.errors import NameUnknownError
    from keystore.node.known_nodes import KnownNodes

    known_nodes = KnownNodes.default()
    if not known_nodes.forget(node_id):
        raise NameUnknownError(f"node {node_id.hex()} is not in {known_nodes.path}. Nothing was changed.")
    values = {"list": str(known_nodes.path), "node_id": node_id.hex()}
    out.emit(values, lambda: print_pairs([("forgotten", node_id.hex())]))


def _values(node: KnownNode) -> dict[str, Any]:
    return {"node_id": node.node_id.hex(), "public_key": node.public.hex(), "name": node.name or None}


def _pairs(node: KnownNode) -> list[tuple[str, str]]:
    named = [("name", node.name)] if node.name else []
    return [("node id", node.node_id.hex()), ("public key", node.public.hex()), *named]
