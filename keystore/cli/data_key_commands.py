"""Commands on the data keys of a node: what needs them, and how they end."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from keystore.cli import exits
from keystore.cli.arguments import AT_RATE, AT_TARGET, DATABASE, NODE, ONLY_DATABASE
from keystore.cli.connecting import with_kms
from keystore.cli.opening import open_node
from keystore.cli.output import Output, format_time, print_pairs, print_problem, print_table, with_output
from keystore.units import plural

if TYPE_CHECKING:
    from keystore.errors import KeystoreError
    from keystore.node.copies import SnapshotCopy
    from keystore.node.key_life import StoreReferences, StoreResealed
    from keystore.node.reports import DatabaseInfo, DataKeyInfo
    from keystore.node.shredding import ShredReceipt
    from keystore.objects.place import Place

SNAPSHOTS = click.option(
    "--snapshots",
    "targets",
    multiple=True,
    type=AT_TARGET,
    metavar="TARGET",
    help="Where snapshots are, to list those that may hold the key. They are not changed. May be given often.",
)


@click.group("data-key")
def data_key() -> None:
    """Tell what needs the data keys of a node; change and destroy them."""


@data_key.command("list")
@NODE
@ONLY_DATABASE
@SNAPSHOTS
@with_kms
@with_output
@click.pass_context
def list_(
    context: click.Context,
    out: Output,
    node: Path,
    database: str | None,
    targets: "tuple[Place, ...]",
    kms_endpoint: str | None,
) -> None:
    """List the data keys, and how many pages and blocks stand under each. Opens every file; reads no page."""
    from keystore.node.copies import list_snapshots_in, that_may_hold

    copies = list_snapshots_in(targets)
    with open_node(node, kms_endpoint) as opened:
        found = opened.key_life.references(database)
        databases = [each for each in opened.list_databases() if database in (None, each.name)]
    problems = [store.problem for store in found if store.problem is not None]
    rows = [(each, key, _needed(found, each.name, key.generation)) for each in databases for key in each.data_keys]
    values = {
        "ok": not problems,
        "data_keys": [
            {
                **_key_values(each, key),
                "entries": entries,
                "pins": pins,
                "files": files,
                "snapshots": [copy.snapshot_id.hex() for copy in that_may_hold(copies, key.created_ns)],
            }
            for each, key, (entries, pins, files) in rows
        ],
        "problems": [str(problem) for problem in problems],
    }

    def text() -> None:
        headers = ("DATABASE", "GEN", "NAME", "STATE", "CREATED", "SEALS", "NEEDED", "FILES", "SNAPSHOTS")
        table = [
            (
                each.name,
                str(key.generation),
                key.name,
                key.state,
                format_time(key.created_ns),
                f"{key.seals:,}",
                f"{entries:,}",
                str(len(files)),
                str(len(that_may_hold(copies, key.created_ns))) if targets else "?",
            )
            for each, key, (entries, _, files) in rows
        ]
        print_table(headers, table, right=(1, 5, 6, 7, 8), flexible=0)
        _print_problems(problems)

    out.emit(values, text)
    context.exit(exits.code_of_all(problems))


@data_key.command()
@NODE
@DATABASE
@with_kms
@with_output
def change(out: Output, node: Path, database: str, kms_endpoint: str | None) -> None:
    """Give DATABASE a new data key: what is written from now on is under it.

    Old pages stay readable under the former ones; `keystore reseal` seals them anew.
    """
    with open_node(node, kms_endpoint) as opened:
        info = opened.new_data_key(database)
    now = info.data_keys[-1]
    out.emit(
        {"node": str(node), **_key_values(info, now)},
        lambda: print_pairs([("database", database), ("data key", f"generation {now.generation}, {now.name}")]),
    )


@data_key.command()
@NODE
@DATABASE
@click.argument("generation", type=click.IntRange(min=1))
@SNAPSHOTS
@with_kms
@with_output
def destroy(
    out: Output, node: Path, database: str, generation: int, targets: "tuple[Place, ...]", kms_endpoint: str | None
) -> None:
    """Destroy a former data key of DATABASE that nothing in the node needs any more.

    Copies elsewhere stay: a snapshot has its own, under the customer master key of its day.
    """
    from keystore.node.copies import UNLISTED, list_snapshots_in, that_may_hold

    listed = list_snapshots_in(targets)
    with open_node(node, kms_endpoint) as opened:
        gone = opened.key_life.destroy(database, generation)
    copies = that_may_hold(listed, gone.key.created_ns)
    values = {
        "node": str(node),
        "database": database,
        "generation": generation,
        "name": gone.key.name.hex(),
        "created": format_time(gone.key.created_ns),
        "destroyed": format_time(gone.key.destroyed_ns),
        "keystore_file": {"sha256_before": gone.former_fingerprint.hex(), "sha256_after": gone.fingerprint.hex()},
        **_copies_values(copies, UNLISTED),
    }

    def text() -> None:
        print_pairs(
            [
                ("database", database),
                ("destroyed", f"data key generation {generation}, {gone.key.name.hex()}"),
                ("keystore file", f"SHA-256 {gone.fingerprint.hex()}"),
            ]
        )
        _print_copies(copies, UNLISTED)

    out.emit(values, text)


@click.command()
@NODE
@ONLY_DATABASE
@click.option("--generation", type=click.IntRange(min=1), help="Only what stands under this data key of --database.")
@AT_RATE
@with_kms
@with_output
@click.pass_context
def reseal(
    context: click.Context,
    out: Output,
    node: Path,
    database: str | None,
    generation: int | None,
    rate: float | None,
    kms_endpoint: str | None,
) -> None:
    """Seal old pages anew under the current data keys. Contents stay.

    May be interrupted: run again, it goes on where it was.
    """
    from keystore.pages.pace import Pace

    if generation is not None and database is None:
        raise click.UsageError("--generation needs --database: each database has its own data keys")
    pace = Pace(rate)
    with open_node(node, kms_endpoint) as opened, out.progress("Resealing") as progress:
        done = opened.key_life.reseal(database, generation=generation, progress=progress, pace=pace)
    problems = [store.problem for store in done if store.problem is not None]
    values = {
        "ok": not problems,
        "node": str(node),
        "pages": sum(store.pages for store in done),
        "files": [_resealed_values(store) for store in done],
    }
    out.emit(values, lambda: _print_resealed(done, problems))
    context.exit(exits.code_of_all(problems))


@click.command()
@NODE
@DATABASE
@SNAPSHOTS
@click.option("--yes", is_flag=True, help="Really do it. What is destroyed cannot be brought back.")
@with_kms
@with_output
def shred(
    out: Output, node: Path, database: str, targets: "tuple[Place, ...]", yes: bool, kms_endpoint: str | None
) -> None:
    """Destroy all data keys of DATABASE and remove its files, for good.

    Prints a receipt: what was destroyed, and which copies are known to exist still. Snapshots are not changed; they
    restore as long as they are there and their customer master key can be used.
    """
    from keystore.node.copies import UNLISTED

    if not yes:
        raise click.UsageError(f"this destroys database {database!r} for good. Nothing was changed; add --yes to do it")
    with open_node(node, kms_endpoint) as opened:
        receipt = opened.shred(database, targets)
    out.emit(_receipt_values(node, receipt, UNLISTED), lambda: _print_receipt(node, receipt, UNLISTED))


def _needed(found: "list[StoreReferences]", database: str, generation: int) -> tuple[int, int, list[str]]:
    """Return what stands under a data key: entries, pins, and the files that have any."""
    uses = [
        (store.name, each)
        for store in found
        if store.database == database
        for each in store.references
        if each.generation == generation
    ]
    return sum(each.entries for _, each in uses), sum(each.pins for _, each in uses), [name for name, _ in uses]


def _key_values(database: "DatabaseInfo", key: "DataKeyInfo") -> dict[str, Any]:
    return {
        "database": database.name,
        "generation": key.generation,
        "name": key.name,
        "state": key.state,
        "created": format_time(key.created_ns),
        "destroyed": None if key.destroyed_ns is None else format_time(key.destroyed_ns),
        "seals": key.seals,
    }


def _resealed_values(store: "StoreResealed") -> dict[str, Any]:
    return {
        "file": f"{store.database}/{store.name}",
        "pages": store.pages,
        "left": store.left,
        "problem": None if store.problem is None else str(store.problem),
    }


def _print_resealed(done: "list[StoreResealed]", problems: "list[KeystoreError]") -> None:
    rows = [(f"{store.database}/{store.name}", f"{store.pages:,}", f"{store.left:,}") for store in done]
    print_table(("FILE", "PAGES RESEALED", "LEFT"), rows, right=(1, 2), flexible=0)
    _print_problems(problems)


def _print_problems(problems: "list[KeystoreError]") -> None:
    for problem in problems:
        print_problem("problem:", "red", str(problem))


def _copies_values(copies: "list[SnapshotCopy]", unlisted: tuple[str, ...]) -> dict[str, Any]:
    return {
        "copies": [
            {
                "snapshot_id": copy.snapshot_id.hex(),
                "target": copy.target,
                "created": format_time(copy.created_ns),
                "node_id": None if copy.node_id is None else copy.node_id.hex(),
                "encryption_key_id": copy.key_id,
                "key_version": copy.key_version,
                "problem": copy.problem or None,
            }
            for copy in copies
        ],
        "copies_not_listed": list(unlisted),
    }


def _print_copies(copies: "list[SnapshotCopy]", unlisted: tuple[str, ...]) -> None:
    click.echo()
    if copies:
        click.echo("These snapshots may hold the key, and open through their customer master key:")
        rows = [
            (copy.snapshot_id.hex(), format_time(copy.created_ns), copy.target, copy.key_version or copy.key_id or "?")
            for copy in copies
        ]
        print_table(("SNAPSHOT", "CREATED", "TARGET", "KEY"), rows, flexible=2)
    else:
        click.echo("No snapshot that may hold the key was found in the places named.")
    click.echo("Not listed, because nobody can from here:")
    for each in unlisted:
        click.echo(f"  - {each}")


def _receipt_values(node: Path, receipt: "ShredReceipt", unlisted: tuple[str, ...]) -> dict[str, Any]:
    shredded = receipt.shredded
    return {
        "receipt": "shredded database",
        "node": str(node),
        "node_id": receipt.node_id.hex(),
        "database": receipt.database,
        "database_id": receipt.database_id.hex(),
        "shredded": format_time(shredded.shredded_ns),
        "done_before": not receipt.is_new,
        "data_keys": [
            {
                "generation": key.generation,
                "name": key.name.hex(),
                "created": format_time(key.created_ns),
                "destroyed": format_time(key.destroyed_ns),
            }
            for key in receipt.keys
        ],
        "files_removed": shredded.stores,
        "keystore_file": {
            "sha256_before": shredded.former_fingerprint.hex(),
            "sha256_now": receipt.fingerprint.hex(),
        },
        "master_key": {"generation_before": shredded.former_master, "generation_now": receipt.master_generation},
        "encryption_key_id": receipt.key_id,
        "key_version": receipt.key_version,
        **_copies_values(list(receipt.copies), unlisted),
    }


def _print_receipt(node: Path, receipt: "ShredReceipt", unlisted: tuple[str, ...]) -> None:
    shredded = receipt.shredded
    keys = ", ".join(f"{key.generation} ({key.name.hex()})" for key in receipt.keys)
    print_pairs(
        [
            ("database", f"{receipt.database} ({receipt.database_id.hex()})"),
            ("node", f"{node} ({receipt.node_id.hex()})"),
            ("shredded", format_time(shredded.shredded_ns) + ("" if receipt.is_new else ", by an earlier call")),
            ("data keys destroyed", keys),
            ("files removed", plural(shredded.stores, "file")),
            ("keystore file before", f"SHA-256 {shredded.former_fingerprint.hex()}"),
            ("keystore file now", f"SHA-256 {receipt.fingerprint.hex()}"),
            ("master key", f"generation {shredded.former_master} -> {receipt.master_generation}"),
            ("CMK", receipt.key_version or receipt.key_id),
        ]
    )
    _print_copies(list(receipt.copies), unlisted)
    click.echo("A copy of the keystore file from before opens through the customer master key of its day.")
