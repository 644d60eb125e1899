"""What the commands on clusters print."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import rich_click as click

from keystore.cli.output import Output, format_time, print_pairs, print_problem, print_table

if TYPE_CHECKING:
    from keystore.control.operation_rows import Operation, StepRecord
    from keystore.control.reports import ClusterReport, MemberReport

HISTORY_SHOWN = 5
"""LIMIT: operations that have ended and that people are shown; --json has all."""
NEXT = {
    "pending": "`keystore control serve` on this database carries it out",
    "halted": "it is tried again every 15 minutes; `keystore cluster resume` tries at once",
}
"""What comes next, where an operation does not go on by itself."""
GCP_WORDS = ("projects", "locations", "keyRings", "cryptoKeys", "cryptoKeyVersions")


def emit_report(out: Output, found: ClusterReport, recovery: str = "") -> None:
    """Tell how a cluster is.

    Args:
        recovery: how members that are down come back; without, by `keystore cluster start`.
    """

    def text() -> None:
        print_pairs(_pairs(found))
        click.echo()
        rows = [_member_row(member) for member in found.members]
        print_table(("MEMBER", "ADDRESS", "STATE", "MASTER KEY", "KEY"), rows, flexible=4)
        for operation in (*found.history[-HISTORY_SHOWN:], *([found.operation] if found.operation else [])):
            click.echo()
            print_operation(operation)
        for member in found.members:
            if member.problem:
                print_problem("problem:", "red", f"{member.name}: {member.problem}")
        if any(member.problem for member in found.members):
            print_problem("next:", "yellow", recovery or _start_advice(found))

    out.emit(_values(found), text)


def print_operation(operation: Operation) -> None:
    """Print an operation and its steps."""
    ended = f", {format_time(operation.finished_ns)}" if operation.finished_ns else ""
    target = f" to {operation.key_uri}" if operation.key_uri else ""
    click.echo(f"{operation.kind}{target}: {operation.state}{ended}")
    for step in operation.steps:
        click.echo(f"  {step_text(step)}")
    if operation.reason:
        click.echo(f"  {click.style('because', dim=True)} {operation.reason}")
    if operation.state in NEXT:
        click.echo(f"  {click.style('next', dim=True)} {NEXT[operation.state]}")


def step_text(step: StepRecord) -> str:
    """Return one line on a step."""
    if step.act == "step_down":
        return f"{step.member}  steps down: {step.state}"
    keys = "" if step.generation_after is None else f", master key {step.generation_before} -> {step.generation_after}"
    if step.bytes_total and step.state == "open":
        keys = f", {100 * (step.bytes_done or 0) // step.bytes_total} %"
    spent = ""
    if step.started_ns is not None and step.finished_ns is not None:
        spent = f", {(step.finished_ns - step.started_ns) / 1e9:.1f} s"
    return f"{step.member}  {step.state}{keys}{spent}"


def operation_values(operation: Operation) -> dict[str, Any]:
    """Return an operation as --json prints it."""
    return {
        "operation": operation.id,
        "kind": operation.kind.value,
        "key": operation.key_uri,
        "state": operation.state.value,
        "reason": operation.reason,
        "requested_at": format_time(operation.requested_ns),
        "started_at": _time(operation.started_ns),
        "finished_at": _time(operation.finished_ns),
        "steps": [_step_values(step) for step in operation.steps],
    }


def _step_values(step: StepRecord) -> dict[str, Any]:
    return {
        "act": step.act.value,
        "member": step.member,
        "state": step.state.value,
        "attempts": step.attempts,
        "started_at": _time(step.started_ns),
        "finished_at": _time(step.finished_ns),
        "generation_before": step.generation_before,
        "generation_after": step.generation_after,
    }


def _values(found: ClusterReport) -> dict[str, Any]:
    cluster = found.cluster
    return {
        "cluster": cluster.name,
        "directory": cluster.directory,
        "customer_keys": cluster.customer_key is not None,
        "key": cluster.key_uri,
        "platform_key": cluster.platform_key,
        "primary": cluster.primary,
        "router": cluster.router.address if cluster.router else None,
        "banner": found.banner,
        "rotation_due_at": format_time(found.rotation_due_ns),
        "rotation_overdue": found.overdue,
        "members": [_member_values(member) for member in found.members],
        "operation": operation_values(found.operation) if found.operation else None,
        "history": [operation_values(operation) for operation in found.history],
    }


def _pairs(found: ClusterReport) -> list[tuple[str, str]]:
    cluster = found.cluster
    due = format_time(found.rotation_due_ns)
    pairs = [
        ("cluster", cluster.name),
        ("customer keys", "on" if cluster.customer_key else "off"),
        ("key", cluster.key_uri),
        *([("router", cluster.router.address)] if cluster.router else []),
        ("next rotation", click.style(f"overdue since {due}", fg="yellow") if found.overdue else due),
    ]
    if found.banner:
        pairs.append(("notice", click.style(found.banner, fg="yellow")))
    return pairs


def _member_row(member: MemberReport) -> tuple[str, ...]:
    name = f"{member.name} (primary)" if member.is_primary else member.name
    if member.status is None:
        return name, member.address, "down", "", ""
    return name, member.address, "serves", str(member.status.generation), key_column(member.status.key_uri)


def key_column(uri: str) -> str:
    """Return a key's URI for a narrow column: at Google without the words that are the same in every name.

    They fill the column, so that a key could not be told from the one that follows it.
    """
    if not uri.startswith("gcp://"):
        return uri
    parts = uri.removeprefix("gcp://").split("/")
    return "gcp://" + "/".join(part for i, part in enumerate(parts) if i % 2 or part not in GCP_WORDS)


def _start_advice(found: ClusterReport) -> str:
    cluster = found.cluster
    return (
        f"`keystore cluster start {cluster.name}` starts what does not run on this machine; why a node does not start "
        f"is in {cluster.directory}/hosts/MEMBER/MEMBER.log"
    )


def _member_values(member: MemberReport) -> dict[str, Any]:
    status = member.status
    return {
        "name": member.name,
        "address": member.address,
        "primary": member.is_primary,
        "serves": status is not None,
        "problem": member.problem,
        "generation": status.generation if status else None,
        "key": status.key_uri if status else None,
        "key_version": status.key_version if status else None,
    }


def _time(ns: int | None) -> str | None:
    return None if ns is None else format_time(ns)
