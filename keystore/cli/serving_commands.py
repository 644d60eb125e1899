"""Commands that serve: a node, a router, and the host that looks after them."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from keystore.cli import exits
from keystore.cli.arguments import NODE, PATH
from keystore.cli.connecting import connector, root_option, with_kms
from keystore.cli.opening import open_node

if TYPE_CHECKING:  # at run time it would load gRPC at every start
    from keystore.kms.given import GivenCredentials

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
@click.option(
    "--credentials-fd",
    type=click.IntRange(min=3),
    metavar="N",
    help="An open file that credentials are read from, once, in place of the file of credentials; a host gives it.",
)
@with_kms
def serve_node(
    node: Path, listen: str, tls: Path, ready_file: Path | None, credentials_fd: int | None, kms_endpoint: str | None
) -> None:
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
    if credentials_fd is not None:
        connect.use(_given_by(credentials_fd))
    with open_node(node, kms_endpoint, connect) as opened:
        service = NodeService(opened, connect, stopping.begin)
        server = AgentServer(listen, tls, Role.NODE, service.service())
        stopping.on_signals()
        ready = {"node_id": opened.node_id.hex(), "name": opened.name}
        serve(server, stopping, ready_file=ready_file, ready=ready, before_stop=service.begin_stop)


def _given_by(descriptor: int) -> GivenCredentials:
    from keystore.errors import InputError
    from keystore.kms.given import MESSAGE_BYTES_MAX, GivenCredentials

    try:
        with os.fdopen(descriptor, "rb") as file:
            return GivenCredentials.decode(file.read(MESSAGE_BYTES_MAX + 1))
    except OSError as error:
        text = f"the file {descriptor} of credentials cannot be read: {error.strerror}"
        raise InputError(f"{text}. Nothing was served.") from None


@click.group("router")
def router_group() -> None:
    """Forward the reads and writes of clients to the members of a cluster."""


@router_group.command("serve")
@click.argument("directory", metavar="DIR", type=PATH)
@LISTEN
@TLS
@READY_FILE
def serve_router(directory: Path, listen: str, tls: Path, ready_file: Path | None) -> None:
    """Serve a node's calls on files and pages and forward them to the members, until SIGTERM, Ctrl-C or a call ends it.

    DIR is the router's own: it is made if missing, and keeps who the members are, as control has set it. A router holds
    no key and asks no KMS.
    """
    from keystore.agents.identity import Role
    from keystore.agents.process import Stopping, serve
    from keystore.agents.router import RouterService
    from keystore.agents.serving import AgentServer
    from keystore.agents.topology import TopologyFile

    stopping = Stopping()
    with closing(RouterService(TopologyFile(directory), tls, stopping.begin)) as service:
        server = AgentServer(listen, tls, Role.ROUTER, *service.services())
        stopping.on_signals()
        serve(server, stopping, ready_file=ready_file)


@click.group("host")
def host_group() -> None:
    """Look after the node and router processes of one machine."""


@host_group.command("serve")
@click.argument("directory", metavar="DIR", type=PATH)
@LISTEN
@TLS
@READY_FILE
@click.option(
    "--node",
    "nodes",
    type=(PATH, PATH),
    metavar="NODE TLS",
    multiple=True,
    help="A node directory to serve, and its certificates; may be given several times.",
)
@click.option(
    "--router",
    "routers",
    type=(PATH, PATH),
    metavar="ROUTER TLS",
    multiple=True,
    help="The directory of a router to serve, and its certificates; may be given several times.",
)
@click.option(
    "--await-credentials",
    is_flag=True,
    help="Start no node at first before an order gave it credentials, or said that it needs none.",
)
@with_kms
def serve_host(
    directory: Path,
    listen: str,
    tls: Path,
    ready_file: Path | None,
    nodes: tuple[tuple[Path, Path], ...],
    routers: tuple[tuple[Path, Path], ...],
    await_credentials: bool,
    kms_endpoint: str | None,
) -> None:
    """Start processes, watch them, and take orders about them, until SIGTERM or Ctrl-C ends this and them.

    DIR is the host's own: it is made if missing, and keeps who the host is, where its processes listen, which of them
    an order has stopped, and their logs. A process that dies is started again; one that its key keeps from starting
    waits for an order. The host asks no KMS and holds no key.
    """
    from keystore.agents.host import HostService, Program
    from keystore.agents.host_state import HostState
    from keystore.agents.identity import Role
    from keystore.agents.process import Stopping, serve
    from keystore.agents.restarting import ExitCodes
    from keystore.agents.serving import AgentServer

    options = ("--kms-endpoint", kms_endpoint) if kms_endpoint else ()
    programs = [
        Program(Role.NODE, node, own, root=root_arguments(), options=options, awaits_credentials=await_credentials)
        for node, own in nodes
    ]
    programs += [Program(Role.ROUTER, router, own) for router, own in routers]
    codes = ExitCodes(exits.OK, exits.LASTING, exits.MEANINGS)
    with closing(HostState(directory)) as state:
        stopping, service = Stopping(), HostService(directory.absolute().name, state, programs, codes)
        server = AgentServer(listen, tls, Role.HOST, service.service())
        stopping.on_signals()
        service.begin()
        try:
            serve(server, stopping, ready_file=ready_file, ready={"host_id": state.host_id.hex()})
        finally:
            service.end()


def root_arguments(*left_out: str) -> tuple[str, ...]:
    """Return the options before the command but for some, for a process that is started by this one."""
    named = ("outside_anchor", "credentials_file", "credentials", "source_address")
    found = [
        (f"--{name.replace('_', '-')}", value)
        for name in named
        if name not in left_out and (value := root_option(name))
    ]
    flag = ("--ignore-outside-anchor",) if root_option("ignore_outside_anchor") else ()
    return (*(part for pair in found for part in pair), *flag)
