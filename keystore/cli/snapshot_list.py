"""`keystore snapshot list`: which snapshots there are, how large, until when, and in which state their keys are."""

from itertools import groupby
from typing import TYPE_CHECKING, Any

import rich_click as click

from keystore.cli import exits
from keystore.cli.arguments import TARGET
from keystore.cli.connecting import connector, with_kms
from keystore.cli.output import Output, format_minute, format_time, print_problem, print_table, with_output
from keystore.format.manifest import NEVER, NO_PARENT
from keystore.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from keystore.format.wrapped import WrappedKey
    from keystore.kms.protocol import KmsConnector
    from keystore.kms.states import KeyNow
    from keystore.objects.place import Place
    from keystore.snapshots.listing import SnapshotListing
    from keystore.snapshots.policy_records import PolicyRecords

    KeyStates = dict[tuple[str, str], KeyNow]

SHORT_ID = 12
"""Characters of an id in lists: its time in milliseconds; more where that is not enough to tell them apart."""
NOT_ENABLED = "Not enabled"
"""The Encryption Key ID of a snapshot without a customer-managed key: under a platform key, key file or passphrase."""
PASSED_OVER_MAX = 5
"""LIMIT: occurrences that the text names; --json has all."""


@click.command("list")
@TARGET
@click.option("--no-kms", is_flag=True, help="Ask no KMS for the state of the keys.")
@with_kms
@with_output
@click.pass_context
def list_(context: click.Context, out: Output, target: "Place", no_kms: bool, kms_endpoint: str | None) -> None:
    """List the snapshots in TARGET, a directory or the URL of a bucket.

    Needs no key; asks the KMS in which state each key is right now.

    LOGICAL is what the files of the snapshot hold, UNIQUE what deleting it gives back. Ids are shortened to what a
    restore needs; --json has them whole.
    """
    from keystore.node.usage import snapshots_at
    from keystore.snapshots.policy_records import read_all_records

    found = snapshots_at(target)
    records = read_all_records(target)
    states = {} if no_kms else _key_states(found, connector(kms_endpoint))
    errors = [item.error for item in found if item.error is not None]
    values = {
        "ok": not errors,
        "target": str(target),
        "snapshots": [_values(item, states) for item in found],
        "passed_over": [
            {"node_id": node_id.hex(), "kind": occurrence.kind.label, "due": format_time(occurrence.at_ns)}
            for node_id, record in sorted(records.items())
            for occurrence in record.passed_over
        ],
    }
    out.emit(values, lambda: _print(found, states, records))
    context.exit(exits.code_of_all(errors))


def short_ids(ids: "Iterable[bytes]") -> dict[bytes, str]:
    """Return what each id is called in a list: its beginning, as long as needed to tell them apart."""
    names = {snapshot_id: snapshot_id.hex() for snapshot_id in ids}
    count = len(names)
    length = next(n for n in range(SHORT_ID, 33) if len({name[:n] for name in names.values()}) == count)
    return {snapshot_id: name[:length] for snapshot_id, name in names.items()}


def key_label(wrapped: "WrappedKey") -> str:
    """Return the Encryption Key ID as a list shows it."""
    return f"{NOT_ENABLED} ({wrapped.key_id})" if wrapped.provider == "local" else wrapped.key_id


def _key_states(found: "Sequence[SnapshotListing]", connect: "KmsConnector") -> "KeyStates":
    """Ask for the state of each key once."""
    from keystore.kms.states import key_now

    keys = {_key(item.head.wrapped): item.head.wrapped for item in found if item.head is not None}
    return {key: key_now(wrapped, connect) for key, wrapped in keys.items()}


def _key(wrapped: "WrappedKey") -> tuple[str, str]:
    return wrapped.key_id, wrapped.key_version


def _print(found: "Sequence[SnapshotListing]", states: "KeyStates", records: "dict[bytes, PolicyRecords]") -> None:
    names = short_ids(item.snapshot_id for item in found)
    for number, (label, group) in enumerate(groupby(found, lambda item: _heading(item, states))):
        click.echo(f"\n{label}" if number else label)
        rows = [_row(item, names[item.snapshot_id]) for item in group]
        print_table(("SNAPSHOT", "CREATED (UTC)", "KIND", "LOGICAL", "UNIQUE", "EXPIRES (UTC)"), rows, right=(3, 4))
    for item in found:
        if item.problem:
            colour = "red" if item.error else "yellow"
            print_problem(f"{names[item.snapshot_id]}:", colour, item.problem, err=False)
    _print_passed_over(records)


def _heading(item: "SnapshotListing", states: "KeyStates") -> str:
    if item.head is None:
        return click.style("Encryption Key ID unknown", bold=True)
    state = states.get(_key(item.head.wrapped))
    text = click.style(f"Encryption Key ID: {key_label(item.head.wrapped)}", bold=True)
    if state is None:
        return text
    return f"{text}\n  The key is now: {state.state}{f' ({state.problem})' if state.problem else ''}"


def _row(item: "SnapshotListing", name: str) -> tuple[str, ...]:
    head = item.head
    if head is None:
        return name, format_minute(item.created_ns), item.state, "-", "-", "-"
    return (
        name,
        format_minute(item.created_ns),
        head.kind.label if item.state == "complete" else item.state,
        format_bytes(head.logical_bytes),
        format_bytes(item.unique_bytes),
        "never" if head.expires_ns == NEVER else format_minute(head.expires_ns),
    )


def _print_passed_over(records: "dict[bytes, PolicyRecords]") -> None:
    passed = sorted(occurrence for record in records.values() for occurrence in record.passed_over)
    if not passed:
        return
    names = [f"{format_time(one.at_ns)} ({one.kind.label})" for one in passed[-PASSED_OVER_MAX:]]
    more = f", and {len(passed) - len(names)} before" if len(passed) > len(names) else ""
    print_problem("passed over:", "yellow", f"the key was disabled at {', '.join(names)}{more}.", err=False)


def _values(item: "SnapshotListing", states: "KeyStates") -> dict[str, Any]:
    values: dict[str, Any] = {
        "snapshot_id": item.snapshot_id.hex(),
        "state": item.state,
        "created": format_time(item.created_ns),
        "problem": item.problem or None,
    }
    head = item.head
    if head is None:
        return values
    now = states.get(_key(head.wrapped))
    return values | {
        "node_id": head.node_id.hex(),
        "kind": head.kind.label,
        "expires": None if head.expires_ns == NEVER else format_time(head.expires_ns),
        "provider": head.wrapped.provider,
        "customer_managed_key": head.wrapped.provider != "local",
        "encryption_key_id": head.wrapped.key_id,
        "key_version": head.wrapped.key_version,
        "key_state": None if now is None else now.state,
        "key_problem": None if now is None else now.problem or None,
        "master_key_generation": head.era,
        "parent": None if head.parent == NO_PARENT else head.parent.hex(),
        "logical_bytes": head.logical_bytes,
        "stored_bytes": item.stored_bytes,
        "unique_bytes": item.unique_bytes,
        "volume_encryption_key_id": head.volume.wrapped.key_id if head.volume else None,
    }
