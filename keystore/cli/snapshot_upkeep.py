"""Commands that keep snapshots in order: deletion, what is left over, the backup policy, and the restore drill."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from keystore.cli import exits
from keystore.cli.arguments import NODE, PATH, TARGET
from keystore.cli.confirming import YES, confirm
from keystore.cli.connecting import connector, with_kms
from keystore.cli.opening import open_node
from keystore.cli.output import (
    Output,
    format_time,
    print_pairs,
    print_problem,
    print_table,
    with_output,
)
from keystore.cli.policy_commands import load_policy
from keystore.cli.snapshot_list import key_label, short_ids
from keystore.cli.trusting import with_trust
from keystore.units import format_bytes, plural

NAMES_SHOWN = 5
"""LIMIT: ids in a question."""

if TYPE_CHECKING:
    from collections.abc import Sequence

    from keystore.format.manifest import ManifestHead
    from keystore.node.drill import Drilled
    from keystore.node.policy_run import PolicyRun
    from keystore.node.signers import Trust
    from keystore.objects.place import Place
    from keystore.snapshots.retention import Occurrence


@click.command()
@TARGET
@click.argument("snapshot_ids", metavar="SNAPSHOT...", nargs=-1, required=True)
@YES
@with_output
def delete(out: Output, target: "Place", snapshot_ids: tuple[str, ...], yes: bool) -> None:
    """Delete snapshots from TARGET, and what no other one there needs. Needs no key.

    SNAPSHOT is an id, the unique beginning of one, or `latest`. One that is being restored is not deleted.
    """
    from keystore.snapshots.delete import delete_snapshot
    from keystore.snapshots.ids import find_id
    from keystore.snapshots.names import snapshot_ids as ids_of

    complete = ids_of(target)
    chosen = list(dict.fromkeys(find_id(text, complete, str(target)) for text in snapshot_ids))
    named = ", ".join(one.hex() for one in chosen[:NAMES_SHOWN]) + (", …" if chosen[NAMES_SHOWN:] else "")
    confirm(f"this deletes {plural(len(chosen), 'snapshot')} for good ({named})", yes=yes)
    done = [delete_snapshot(target, snapshot_id) for snapshot_id in chosen]
    values = {
        "target": str(target),
        "deleted": [
            {"snapshot_id": one.snapshot_id.hex(), "packs": len(one.packs), "freed_bytes": one.packs_bytes}
            for one in done
        ],
        "kept": [one.kept for one in done if one.kept],
    }

    def text() -> None:
        freed = format_bytes(sum(one.packs_bytes for one in done))
        click.echo(f"{plural(len(done), 'snapshot')} deleted, {freed} given back.")
        for kept in dict.fromkeys(one.kept for one in done if one.kept):
            print_problem(
                "not yet:", "yellow", f"packs stay, because {kept}. `keystore snapshot gc` removes them later."
            )

    out.emit(values, text)


@click.command()
@TARGET
@with_output
def gc(out: Output, target: "Place") -> None:
    """Remove from TARGET what interrupted snapshots and deletions left over. Needs no key.

    What is younger than a day stays: it may be a snapshot that is being taken.
    """
    from keystore.snapshots.delete import collect_garbage

    done = collect_garbage(target)
    values = {
        "target": str(target),
        "removed": list(done.names),
        "freed_bytes": done.packs_bytes,
        "kept": done.kept,
    }

    def text() -> None:
        click.echo(f"{plural(len(done.names), 'object')} removed, {format_bytes(done.packs_bytes)} given back.")
        if done.kept:
            print_problem("not yet:", "yellow", f"packs stay, because {done.kept}.")

    out.emit(values, text)


@click.command("run-policy")
@NODE
@TARGET
@click.option("--policy", "file", type=PATH, help="The backup policy, TOML.  [default: as `snapshot policy show`]")
@with_kms
@with_output
@click.pass_context
def run_policy(
    context: click.Context, out: Output, node: Path, target: "Place", file: Path | None, kms_endpoint: str | None
) -> None:
    """Take the snapshot of NODE that is due now, if one is, and delete those in TARGET that have expired.

    For a timer: as often as the reference time is to be met, such as every five minutes. The KMS is asked only where a
    snapshot is due. Where it refuses the key, the snapshot is passed over, and that is recorded.
    """
    from keystore.node.policy_run import run_policy as run

    chosen = load_policy(file)
    with out.progress("Copying pages") as progress:
        done = run(target, node, lambda: open_node(node, kms_endpoint), chosen, progress=progress)
    out.emit(_run_values(done), lambda: _print_run(done))
    context.exit(exits.code_of_all([*done.problems, *([done.refusal] if done.refusal else [])]))


@click.command()
@TARGET
@click.argument("snapshot_ids", metavar="[SNAPSHOT]...", nargs=-1)
@click.option("--restore", "opening", is_flag=True, required=True, help="Open every page, as a restore would.")
@with_trust
@with_kms
@with_output
@click.pass_context
def verify(
    context: click.Context,
    out: Output,
    target: "Place",
    snapshot_ids: tuple[str, ...],
    opening: bool,
    trust: "Trust",
    kms_endpoint: str | None,
) -> None:
    """Prove that snapshots can be restored: all in TARGET, or those named. Nothing is written.

    Each is opened with the key of its day, and every page in it is opened. The keys that were needed are named.
    """
    from keystore.node.drill import drill
    from keystore.snapshots.ids import find_id
    from keystore.snapshots.names import snapshot_ids as ids_of

    complete = ids_of(target) if snapshot_ids else []
    chosen = [find_id(text, complete, str(target)) for text in snapshot_ids] or None
    with out.progress("Opening pages") as progress:
        done = list(drill(target, connector(kms_endpoint), trust=trust, snapshot_ids=chosen, progress=progress))
    out.emit(_drill_values(done), lambda: _print_drill(done))
    context.exit(exits.code_of_all([one.error for one in done if one.error is not None]))


def _run_values(done: "PolicyRun") -> dict[str, Any]:
    return {
        "ok": not done.problems and done.refusal is None,
        "node_id": done.node_id.hex(),
        "due": [_occurrence_values(one) for one in done.due.occurrences] if done.due else [],
        "taken": None
        if done.taken is None or done.due is None
        else {
            "snapshot_id": done.taken.snapshot_id.hex(),
            "kind": done.due.kind.label,
            "expires": format_time(done.due.expires_ns),
            "encryption_key_id": done.taken.key_id,
            "stored_bytes": done.taken.stored_bytes,
        },
        "passed_over": None if done.refusal is None else {"state": "disabled", "reason": str(done.refusal)},
        "log_segments_removed": 0 if done.pruned is None else done.pruned.removed,
        "deleted": [_head_values(head) for head in done.deleted],
        "kept": [{**_head_values(head), "reason": str(why)} for head, why in done.kept],
        "next": _occurrence_values(done.next),
        "problems": [str(problem) for problem in done.problems],
    }


def _occurrence_values(occurrence: "Occurrence") -> dict[str, str]:
    return {"kind": occurrence.kind.label, "at": format_time(occurrence.at_ns)}


def _head_values(head: "ManifestHead") -> dict[str, str]:
    return {
        "snapshot_id": head.snapshot_id.hex(),
        "kind": head.kind.label,
        "expired": format_time(head.expires_ns),
        "encryption_key_id": head.wrapped.key_id,
    }


def _print_run(done: "PolicyRun") -> None:
    pairs: list[tuple[str, str]] = []
    if done.due is not None:
        dues = ", ".join(f"{one.kind.label} ({format_time(one.at_ns)})" for one in done.due.occurrences)
        pairs.append(("due", dues))
        if done.taken is not None:
            until = format_time(done.due.expires_ns)
            pairs.append(("taken", f"{done.taken.snapshot_id.hex()}, {done.due.kind.label}, kept until {until}"))
        elif done.refusal is None and not done.problems:
            pairs.append(("taken", "by another run"))
    names = short_ids([head.snapshot_id for head in done.deleted])
    pairs += [
        ("deleted", f"{names[head.snapshot_id]}, {head.kind.label}, expired {format_time(head.expires_ns)}")
        for head in done.deleted
    ]
    pairs.append(("next", f"{format_time(done.next.at_ns)} ({done.next.kind.label})"))
    print_pairs(pairs)
    for _, why in done.kept:
        print_problem("not deleted:", "yellow", str(why))
    if done.refusal is not None:
        print_problem("passed over, the node is disabled:", "red", str(done.refusal))
    for problem in done.problems:
        print_problem("problem:", "red", str(problem))


def _drill_values(done: "Sequence[Drilled]") -> dict[str, Any]:
    return {
        "ok": all(one.error is None for one in done),
        "snapshots": [
            {
                "snapshot_id": one.snapshot_id.hex(),
                "encryption_key_id": one.head.wrapped.key_id if one.head else None,
                "key_version": one.head.wrapped.key_version if one.head else None,
                "pages": one.pages,
                "problem": None if one.error is None else str(one.error),
            }
            for one in done
        ],
        "keys_needed": [
            {"key_version": version, "encryption_key_ids": ids, "snapshots": count}
            for version, ids, count in _keys_needed(done)
        ],
    }


def _keys_needed(done: "Sequence[Drilled]") -> list[tuple[str, list[str], int]]:
    """Return each key that was needed, what it is configured as, and for how many snapshots."""
    found: dict[str, list[str]] = {}
    for one in done:
        if one.head is not None:
            wrapped = one.head.wrapped
            found.setdefault(wrapped.key_version or wrapped.key_id, []).append(wrapped.key_id)
    return [(version, sorted(set(ids)), len(ids)) for version, ids in sorted(found.items())]


def _print_drill(done: "Sequence[Drilled]") -> None:
    names = short_ids([one.snapshot_id for one in done])
    rows = [
        (
            names[one.snapshot_id],
            "restorable" if one.error is None else "not restorable",
            f"{one.pages:,}",
            key_label(one.head.wrapped) if one.head else "-",
        )
        for one in done
    ]
    print_table(("SNAPSHOT", "", "PAGES", "KEY"), rows, right=(2,), flexible=3)
    for same in _by_reason(done):
        more = f" and {len(same) - 1} more" if len(same) > 1 else ""
        print_problem(f"{names[same[0].snapshot_id]}{more}:", "red", str(same[0].error), err=False)
    good = sum(one.error is None for one in done)
    click.echo(f"{good} of {plural(len(done), 'snapshot')} can be restored. Keys needed:")
    for version, _, count in _keys_needed(done):
        click.echo(f"  {version} ({plural(count, 'snapshot')})")


def _by_reason(done: "Sequence[Drilled]") -> "list[list[Drilled]]":
    """Return those that cannot be restored, together where nothing but the id differs in what is said."""
    found: dict[str, list[Drilled]] = {}
    for one in done:
        if one.error is not None:
            found.setdefault(str(one.error).replace(one.snapshot_id.hex(), ""), []).append(one)
    return list(found.values())
