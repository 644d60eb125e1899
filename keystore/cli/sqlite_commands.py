"""`keystore sqlite`: SQLite databases in encrypted stores: in and out, a shell, a dump."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from keystore.cli.arguments import OVERWRITE, PATH, FileNameType
from keystore.cli.connecting import connector, first_connector, with_kms
from keystore.cli.opening import open_node
from keystore.cli.output import Output, with_output
from keystore.cli.transfers import emit_transfer
from keystore.errors import InputError, KeystoreError, NameUnknownError, PathMissingError, PathTakenError
from keystore.units import plural

if TYPE_CHECKING:  # at run time they would load numpy and apsw at every start
    import apsw

    from keystore.engines.sqlite.sources import CipherKey

DIRECTORY = click.argument("directory", type=PATH)
IN_NODE = click.option(
    "--file",
    "file_name",
    metavar="DATABASE/NAME",
    type=FileNameType(),
    help="DIRECTORY is a node, and the database this file of it.  [default: DIRECTORY is the database]",
)


@click.group("sqlite")
def sqlite() -> None:
    """SQLite databases in encrypted stores."""
    if find_spec("apsw") is None:
        raise InputError("SQLite databases need the package apsw. Nothing was done; pip install 'cmk-keystore[sqlite]'")


@sqlite.command("import")
@click.argument("source", metavar="FILE", type=PATH)
@DIRECTORY
@click.option("--key", metavar="URI", help="The customer master key of a new database.")
@IN_NODE
@click.option("--sqlcipher-key-file", metavar="KEYFILE", type=PATH, help="FILE is SQLCipher's; KEYFILE has its key.")
@click.option("--sqlcipher-ask", is_flag=True, help="FILE is SQLCipher's; ask for its key.")
@click.option("--sqlcipher-compatibility", type=click.IntRange(1, 4), help="The version of SQLCipher that made FILE.")
@with_kms
@with_output
def import_sqlite(
    out: Output,
    source: Path,
    directory: Path,
    key: str | None,
    file_name: tuple[str, str] | None,
    sqlcipher_key_file: Path | None,
    sqlcipher_ask: bool,
    sqlcipher_compatibility: int | None,
    kms_endpoint: str | None,
) -> None:
    """Copy the SQLite database FILE into a new encrypted one, and compare the two. FILE stays as it is.

    SQLCipher's key is the passphrase, or x'HEX' for a raw key; a line break at the end of KEYFILE is no part of it.
    """
    from keystore.engines.sqlite.moving import import_database, page_size_for

    cipher_key = _cipher_key(sqlcipher_key_file, sqlcipher_compatibility, ask=sqlcipher_ask)
    page_size = page_size_for(source)
    with (
        _new_database(directory, file_name, key, page_size, kms_endpoint) as connection,
        out.progress("Importing") as progress,
    ):
        done = import_database(source, connection, cipher_key, progress)
    name = f"{directory}: {'/'.join(file_name)}" if file_name else str(directory)
    values = {"database": name, "tables": done.tables, "rows": done.rows, "by_pages": done.by_pages, "verified": True}
    text = f"imported {source} into {name}: {plural(done.tables, 'table')}, {plural(done.rows, 'row')}, all compared"
    out.emit(values, lambda: click.echo(text))


@sqlite.command("export")
@DIRECTORY
@click.argument("target", metavar="FILE", type=PATH)
@IN_NODE
@OVERWRITE
@with_kms
@with_output
def export_sqlite(
    out: Output,
    directory: Path,
    target: Path,
    file_name: tuple[str, str] | None,
    overwrite: bool,
    kms_endpoint: str | None,
) -> None:
    """Check an encrypted database, and write it to FILE as a plain SQLite database. FILE is whole or not there."""
    from keystore.engines.sqlite.moving import export_database

    with (
        _database(directory, file_name, kms_endpoint) as connection,
        out.progress("Exporting") as progress,
        _told(),
    ):
        done = export_database(connection, target, overwrite=overwrite, progress=progress)
    emit_transfer(out, "exported", done)


@sqlite.command("shell")
@DIRECTORY
@click.argument("statements", nargs=-1)
@click.option("--key", metavar="URI", help="The customer master key of a new database.")
@IN_NODE
@with_kms
@click.pass_context
def shell_sqlite(
    context: click.Context,
    directory: Path,
    statements: tuple[str, ...],
    key: str | None,
    file_name: tuple[str, str] | None,
    kms_endpoint: str | None,
) -> None:
    """Open an encrypted database in SQLite's shell; or run STATEMENTS, SQL or commands such as .tables, and end.

    With --key a database that is not there is made. No history of statements is kept.
    """
    from keystore.cli.sqlite_shell import run_shell

    if key is not None and file_name is not None:
        raise click.UsageError("--key and --file exclude each other: a database of a node is under the node's key")
    with _database(directory, file_name, kms_endpoint, key) as connection, _told():
        code = run_shell(connection, statements)
    context.exit(code)


@sqlite.command("dump")
@DIRECTORY
@IN_NODE
@with_kms
def dump_sqlite(directory: Path, file_name: tuple[str, str] | None, kms_endpoint: str | None) -> None:
    """Print an encrypted database as SQL text, in clear: all of it as one transaction left it."""
    from apsw.shell import Shell

    with _database(directory, file_name, kms_endpoint) as connection, _told():
        shell: Any = Shell(db=connection, stdout=sys.stdout)
        shell.process_complete_line(".dump")


@contextmanager
def _told() -> Iterator[None]:
    """Let SQLite's errors leave the block as what the store said, or as what SQLite did."""
    import apsw

    try:
        yield
    except apsw.Error as error:
        reason: BaseException | None = error
        while reason is not None and not isinstance(reason, KeystoreError):
            reason = reason.__cause__ or reason.__context__
        raise reason or InputError(f"SQLite: {error}") from error


@contextmanager
def _database(
    directory: Path, file_name: tuple[str, str] | None, kms_endpoint: str | None, key: str | None = None
) -> Iterator[apsw.Connection]:
    """Connect to a database that is there; or, with `key`, make one."""
    from keystore.engines.sqlite import connect

    if file_name is None:
        is_there = os.path.lexists(directory)
        if key is None and not is_there:
            raise PathMissingError(f"there is no database at {directory}. Nothing was changed; check the path.")
        connects = (connector if is_there else first_connector)(kms_endpoint)
        with closing(connect(directory, cmk=key, connector=connects)) as connection:
            yield connection
        return
    with open_node(directory, kms_endpoint) as node:
        found = node.databases.get(file_name[0])
        if found is None or file_name[1] not in found.stores:
            raise NameUnknownError(f"{directory} has no file {'/'.join(file_name)}. Nothing was changed.")
        with closing(connect("/".join(file_name), node=node)) as connection:
            yield connection


@contextmanager
def _new_database(
    directory: Path, file_name: tuple[str, str] | None, key: str | None, page_size: int, kms_endpoint: str | None
) -> Iterator[apsw.Connection]:
    """Connect to a database that is made for the block, and removed if that fails."""
    from keystore.engines.sqlite import connect

    if file_name is not None:
        with open_node(directory, kms_endpoint) as node:
            there = file_name[0] in node.databases and file_name[1] in node.databases[file_name[0]].stores
            try:
                with closing(connect("/".join(file_name), node=node, page_size=page_size)) as connection:
                    yield connection
            except BaseException:
                if not there:
                    with suppress(KeystoreError):
                        node.drop_file(*file_name)
                raise
        return
    there, process = os.path.lexists(directory), os.getpid()
    if key is None and not there:
        raise click.UsageError("a new database needs --key")
    connects = (connector if there else first_connector)(kms_endpoint)
    connection = connect(directory, cmk=key, page_size=page_size, connector=connects)
    try:
        with closing(connection):
            yield connection
    except PathTakenError:  # somebody made it, and imported into it, since we looked
        raise
    except BaseException:
        if not there and os.getpid() == process:
            shutil.rmtree(directory, ignore_errors=True)
        raise


def _cipher_key(path: Path | None, compatibility: int | None, *, ask: bool) -> CipherKey | None:
    from keystore.engines.sqlite.sources import KEY_BYTES_MAX, CipherKey

    if path is not None and ask:
        raise click.UsageError("--sqlcipher-key-file and --sqlcipher-ask exclude each other")
    if path is None and not ask:
        if compatibility is not None:
            raise click.UsageError("--sqlcipher-compatibility needs --sqlcipher-key-file or --sqlcipher-ask")
        return None
    if path is None:
        if not sys.stdin.isatty():
            raise InputError("there is no terminal to ask at. Nothing was imported; use --sqlcipher-key-file.")
        return CipherKey(str(click.prompt("Key of SQLCipher", hide_input=True, err=True)), compatibility)
    try:
        with path.open("rb") as file:
            secret = file.read(KEY_BYTES_MAX + 3).decode()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}. Nothing was imported.") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is no text, which a key of SQLCipher is. Nothing was imported.") from None
    return CipherKey(secret.removesuffix("\n").removesuffix("\r"), compatibility)
