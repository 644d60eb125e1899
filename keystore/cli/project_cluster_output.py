"""What the commands on a project's clusters print."""

from __future__ import annotations

from typing import Any

import rich_click as click

from keystore.cli.output import Output, print_pairs, print_problem, print_table


def emit_clusters(out: Output, found: list[dict[str, Any]]) -> None:
    """List clusters."""
    rows = [
        (
            each["name"],
            each["stateName"],
            each["encryptionAtRestProvider"],
            _specs(each)["instanceSize"],
            str(_specs(each)["nodeCount"]),
            _place(each),
        )
        for each in found
    ]
    heads = ("CLUSTER", "STATE", "ENCRYPTION", "TIER", "NODES", "PLACE")
    out.emit({"clusters": found}, lambda: print_table(heads, rows, right=(4,)))


def emit_cluster(out: Output, found: dict[str, Any]) -> None:
    """Show one cluster, and what is being changed."""

    def text() -> None:
        print_pairs(_pairs(found))
        for change in found["pendingChanges"]:
            click.echo()
            _print_change(change)
        if found.get("banner"):
            print_problem("notice:", "yellow", found["banner"], err=False)

    out.emit({"cluster": found}, text)


def emit_draft(out: Output, draft: dict[str, Any], project: str) -> None:
    """Show what a draft would change, and how it is applied."""

    def text() -> None:
        rows = [(name, _word(change["from"]), _word(change["to"])) for name, change in draft["changes"].items()]
        print_table(("WHAT", "FROM", "TO"), rows)
        where = f"{project} {draft['clusterName']} {draft['id']}"
        click.echo(f"nothing was changed; `keystore project cluster apply {where}` submits it")

    out.emit({"draft": draft}, text)


def emit_changes(out: Output, found: list[dict[str, Any]]) -> None:
    """List changes."""
    rows = [(str(each["id"]), each["kind"], each["state"], each["submitted"], _what(each)) for each in found]
    heads = ("CHANGE", "KIND", "STATE", "SUBMITTED", "WHAT")
    out.emit({"changes": found}, lambda: print_table(heads, rows, right=(0,), flexible=4))


def change_text(change: dict[str, Any]) -> str:
    """Return one line on a change."""
    what = f" ({told})" if (told := _what(change)) else ""
    reason = f": {change['reason']}" if change.get("reason") else ""
    return f"change {change['id']}, {change['kind']}{what}  {change['state']}{reason}"


def step_text(step: dict[str, Any]) -> str:
    """Return one line on what is done to a node."""
    if step["act"] == "step_down":
        return f"{step['node']}  steps down: {step['state']}"
    text = f"{step['node']}  {step['state']}"
    if step["state"] == "open" and step.get("bytesTotal"):
        return f"{text}, {100 * step.get('bytesDone', 0) // step['bytesTotal']} %"
    if step.get("generationAfter") is not None:
        return f"{text}, master key {step['generationBefore']} -> {step['generationAfter']}"
    return text


def _print_change(change: dict[str, Any]) -> None:
    click.echo(change_text(change))
    for step in change.get("operation", {}).get("steps", []):
        click.echo(f"  {step_text(step)}")


def _pairs(found: dict[str, Any]) -> list[tuple[str, str]]:
    specs = _specs(found)
    backups = f"{found['backupType'].lower()}{', any second' if found['pitEnabled'] else ''}"
    pairs = [
        ("cluster", found["name"]),
        ("state", found["stateName"]),
        ("encryption", found["encryptionAtRestProvider"]),
        ("nodes", f"{specs['nodeCount']} x {specs['instanceSize']}, {found['diskSizeGB']} GB"),
        ("place", _place(found)),
        ("version", found["mongoDBVersion"]),
        ("backups", backups if found["backupEnabled"] else "off"),
        ("nodes call from", ", ".join(found["outboundIpAddresses"])),
        ("id", found["id"]),
        ("created", found["createDate"]),
    ]
    if found.get("stateReason"):
        pairs.insert(2, ("because", f"{found['stateReason']}, since {found['disabledSince']}"))
    return pairs


def _specs(cluster: dict[str, Any]) -> dict[str, Any]:
    specs: dict[str, Any] = _region(cluster)["electableSpecs"]
    return specs


def _place(cluster: dict[str, Any]) -> str:
    region = _region(cluster)
    return f"{region['providerName']} {region['regionName']}"


def _region(cluster: dict[str, Any]) -> dict[str, Any]:
    region: dict[str, Any] = cluster["replicationSpecs"][0]["regionConfigs"][0]
    return region


def _what(change: dict[str, Any]) -> str:
    return ", ".join(f"{name} {_word(value)}" for name, value in change["change"].items())


def _word(value: object) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
