"""Commands that serve: a node."""

from pathlib import Path

import rich_click as click

from keystore.cli.arguments import NODE, PATH
from keystore.cli.connecting import connector, with_kms
from keystore.cli.opening import open_node

LISTEN = click.option(
    "--listen", metavar="HOST:PORT", default="127.0.0.1:0", show_default=True, help="Port 0 takes any free one."
)
TLS = click.option(
    "--tls",
    type=PATH,
    metavar="DIR",
    required=True,
    help="Certificates of this process: ca.pem and identity.pem, as the cluster's authority issued them.",
)
READY_FILE = click.option(
    "--ready-file", type=PATH, metavar="FILE", help="Appears when calls are taken, with the address as JSON."
)


@click.group("node")
def node_group() -> None:
    """Serve a node to other processes."""


@node_group.command("serve")
@NODE
@LISTEN
@TLS
@READY_FILE
@with_kms
def serve_node(node: Path, listen: str, tls: Path, ready_file: Path | None, kms_endpoint: str | None) -> None:
    """Open NODE and serve it over gRPC with mutual TLS, until SIGTERM, Ctrl-C or a call ends it.

    The KMS is asked once, to unwrap the master key. If it refuses or does not answer, nothing is served: the exit code
    is 3 or 4, and the error says why. A node that serves needs no KMS, but for a change of its keys. At the end running
    calls are finished and all keys wiped.
    """
    from keystore.agents import certificates
    from keystore.agents.identity import Role
    from keystore.agents.process import Stopping, serve
    from keystore.agents.service import NodeService
    from keystore.agents.serving import AgentServer

    certificates.load(tls)  # a fault of ours is told before the KMS is asked
    connect, stopping = connector(kms_endpoint), Stopping()
    with open_node(node, kms_endpoint) as opened:
        service = NodeService(opened, connect, stopping.begin)
        server = AgentServer(listen, tls, Role.NODE, service.service())
        stopping.on_signals()
        ready = {"node_id": opened.node_id.hex(), "name": opened.name}
        serve(server, stopping, ready_file=ready_file, ready=ready, before_stop=service.begin_stop)
