"""`kms-emulator serve`: runs the server until a signal, and tells people and scripts where it is."""

import asyncio
import contextlib
import ipaddress
import json
import logging
import os
import secrets
import shlex
import signal
import time
from collections.abc import Callable, Coroutine
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import rich_click as click

from kms_emulator.cli.data_key import data_key
from kms_emulator.cli.endpoint import (
    HOST_DEFAULT,
    PORT_DEFAULT,
    default_grpc_tls_port,
    default_http_port,
    default_https_port,
)
from kms_emulator.cli.env import variables
from kms_emulator.cli.exits import UNUSABLE, USAGE, CommandError
from kms_emulator.cli.output import json_option, print_json, reports_errors
from kms_emulator.cli.places import Places
from kms_emulator.core import Core
from kms_emulator.model.entropy import SEED_MAX, RepeatedEntropy
from kms_emulator.model.store import MemoryStore, Store
from kms_emulator.seeding.errors import SeedError
from kms_emulator.server import PortError, Server, start
from kms_emulator.storage.directory import DataDir
from kms_emulator.storage.errors import DataDirError
from kms_emulator.tls import TlsError
from kms_emulator.wire.azure.names import VAULT_PATTERN

SIGNALS = (signal.SIGTERM, signal.SIGINT)
PORT_MAX = 65535
HTTP_EXTRA = "pip install 'cmk-keystore[emulator]'"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--host", default=HOST_DEFAULT, show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=PORT_DEFAULT,
    show_default=True,
    help="Port to listen on for gRPC; 0 takes any free one.",
)
@click.option(
    "--http-port",
    type=click.IntRange(0, 65535),
    help="Port to listen on for HTTP; 0 takes any free one. [default: the one after --port; any, if that is 0]",
)
@click.option(
    "--https-port",
    type=click.IntRange(0, 65535),
    help="Port to listen on for HTTPS, on 127.0.0.1 to 127.0.0.8; 0 takes any free one. [default: the one after "
    "--http-port; any, if that is 0]",
)
@click.option(
    "--grpc-tls-port",
    type=click.IntRange(0, 65535),
    help="Port to listen on for gRPC over TLS, where HTTPS is served; 0 takes any free one. [default: the one after "
    "--https-port; any, if that is 0]",
)
@click.option(
    "--vault",
    "vaults",
    metavar="NAME=PORT",
    multiple=True,
    help="Serve HTTPS on this port too, where it means the vault NAME; port 0 takes any free one. May be given again.",
)
@click.option(
    "--tls-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep the certificate authority in this directory, made if missing. Without it each start makes a new one.",
)
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep keys in this directory, made if missing. Without it they end with the process.",
)
@click.option(
    "--data-key-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Seal the data directory under this file's content; or under a passphrase, in KMS_EMULATOR_PASSPHRASE.",
)
@click.option(
    "--seed-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Begin with the users and keys of this YAML or JSON file, and go back to them at every reset.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, SEED_MAX),
    help="Make ids, key material and ciphertexts repeat: the same calls give the same answers. Guards nothing.",
)
@click.option(
    "--strict-auth",
    is_flag=True,
    help="Refuse callers that are not users or service accounts of the emulator. The gRPC shapes of AWS and Azure have "
    "no signatures and stay open.",
)
@click.option(
    "--ready-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the endpoints there, as JSON, once it serves; removed at the end.",
)
@json_option
@reports_errors
def serve(
    host: str,
    port: int,
    http_port: int | None,
    https_port: int | None,
    grpc_tls_port: int | None,
    vaults: tuple[str, ...],
    tls_dir: Path | None,
    data_dir: Path | None,
    data_key_file: Path | None,
    seed_file: Path | None,
    seed: int | None,
    strict_auth: bool,
    ready_file: Path | None,
    as_json: bool,
) -> None:
    """Serve AWS KMS over HTTP, Azure Key Vault over HTTPS and the three clouds over gRPC, until SIGTERM or Ctrl-C.

    With --json the banner is one line of JSON, what the ready file holds. A second signal ends the process at once.
    """
    if seed is not None and data_dir is not None:
        raise CommandError("--seed and --data-dir exclude each other: new ids would repeat stored ones", USAGE)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    if not _is_loopback(host):
        click.echo(
            f"warning: {host} can be reached from other machines. Everybody who can connect may use and delete all "
            "keys, and nothing is encrypted on the way.",
            err=True,
        )
    try:
        with contextlib.ExitStack() as stack:
            secret = data_key(data_key_file, data_dir)
            opened = stack.enter_context(DataDir(data_dir, secret)) if data_dir else None
            core = _core(opened.store if opened else MemoryStore(), seed_file, seed)
            core.strict_auth = strict_auth
            plain = _http_port(port, http_port, https_port)
            secure = https_port if https_port is not None else None if plain is None else default_https_port(plain)
            if grpc_tls_port is None and secure is not None:
                grpc_tls_port = default_grpc_tls_port(secure)
            own_ports = vault_ports(vaults)
            starting = start(core, host, port, str(data_dir or ""), plain, secure, tls_dir, grpc_tls_port, own_ports)
            running = _run(starting, data_dir, ready_file, as_json=as_json)
            with asyncio.Runner(loop_factory=_loop_factory()) as runner:
                runner.run(running)
    except (PortError, TlsError, DataDirError, SeedError) as error:
        raise CommandError(str(error), UNUSABLE) from None


def _core(store: Store, seed_file: Path | None, seed: int | None) -> Core:
    """Return the emulator's core, with the seed in it; warn of randomness that repeats."""
    entropy = secrets.token_bytes if seed is None else RepeatedEntropy(seed)
    if seed is not None:
        click.echo(
            f"WARNING: --seed {seed}: every key, id and ciphertext can be computed by anybody who knows the seed. "
            "For tests that compare whole answers; protect nothing with it.",
            err=True,
        )
    if seed_file is None:
        return Core(store, entropy=entropy)
    from kms_emulator.seeding.sowing import read_seed  # only here: it needs YAML

    state = read_seed(seed_file, time.time_ns(), entropy)
    return Core(store, entropy=entropy, seed=state)


def _http_port(port: int, wanted: int | None, https_wanted: int | None = None) -> int | None:
    """Return the port for HTTP, or None if it cannot be served because its packages are not installed."""
    if find_spec("uvicorn") is None or find_spec("httptools") is None:
        if wanted is not None or https_wanted is not None:
            raise CommandError(f"HTTP needs more packages: {HTTP_EXTRA}", UNUSABLE)
        return None
    return default_http_port(port) if wanted is None else wanted


def vault_ports(texts: tuple[str, ...]) -> dict[str, int]:
    """Return the ports of vaults that have one of their own, by name."""
    found: dict[str, int] = {}
    for text in texts:
        name, _, port = text.partition("=")
        if not VAULT_PATTERN.fullmatch(name) or not (port.isascii() and port.isdecimal()) or int(port[:6]) > PORT_MAX:
            raise CommandError(f"--vault {text} is not NAME=PORT, such as other-vault=4720", USAGE)
        if name.lower() in found:
            raise CommandError(f"--vault {text}: that vault has a port already", USAGE)
        found[name.lower()] = int(port)
    return found


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes uvloop's event loop, if that is installed."""
    if find_spec("uvloop") is None:
        return None
    import uvloop

    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


async def _run(
    starting: Coroutine[Any, Any, Server], data_dir: Path | None, ready_file: Path | None, *, as_json: bool
) -> None:
    stopping = asyncio.Event()
    _stop_on_signals(stopping)
    server = await starting
    endpoints = server.endpoints
    try:
        if ready_file:
            _write_ready_file(ready_file, endpoints)
        _print_banner(server, endpoints, data_dir, as_json=as_json)
        await stopping.wait()
    finally:
        if ready_file:
            _remove_ready_file(ready_file, endpoints)
        await server.stop()


def _stop_on_signals(stopping: asyncio.Event) -> None:
    """Let the first signal end the server, and a second one the process."""
    loop = asyncio.get_running_loop()

    def stop(number: signal.Signals) -> None:
        if stopping.is_set():
            os._exit(128 + number)
        stopping.set()

    for number in SIGNALS:
        loop.add_signal_handler(number, stop, number)


def _write_ready_file(path: Path, endpoints: dict[str, str | None]) -> None:
    """Write the file under another name and rename it: who sees it sees all of it."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.write_text(json.dumps(endpoints) + "\n", encoding="utf-8")
        unfinished.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            unfinished.unlink()
        raise CommandError(f"ready file {path} cannot be written: {error.strerror}", UNUSABLE) from None


def _remove_ready_file(path: Path, endpoints: dict[str, str | None]) -> None:
    """Remove the ready file if it is still this server's."""
    with contextlib.suppress(OSError, ValueError):
        if json.loads(path.read_text(encoding="utf-8")) == endpoints:
            path.unlink()


def _print_banner(server: Server, endpoints: dict[str, str | None], data_dir: Path | None, *, as_json: bool) -> None:
    if as_json:
        print_json(endpoints)
        return
    state = f"in {data_dir}" if data_dir else "in memory, gone when this process ends"
    click.echo("KMS emulator for tests; not a place for real keys.\n")
    for name, value in (
        ("AWS", server.url or f"over gRPC only; for AWS's own clients: {HTTP_EXTRA}"),
        ("Azure", f"{server.https_url}   and 127.0.0.2 … as other vaults" if server.https_url else "over gRPC only"),
        ("CA", server.ca or "none"),
        ("Google", f"{server.endpoint}   gRPC, google.cloud.kms.v1; over TLS: {server.grpc_tls_endpoint or 'no'}"),
        ("gRPC", f"{server.endpoint}   keystore_api.aws_kms.v1, keystore_api.azure_keyvault.v1"),
        ("Admin", f"{server.endpoint}   clock, call log, reset; health and reflection"),
        ("Keys", state),
    ):
        click.echo(f"  {name:<12}{value}")
    click.echo("\nIn another shell:\n")
    for name, value in variables(Places.of(endpoints)).items():
        click.echo(f"  export {name}={shlex.quote(value)}")
    click.echo("  kms-emulator key create --provider aws\n")
    click.echo("Ready.")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
