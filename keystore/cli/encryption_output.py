"""What the commands on a project's keys print."""

from __future__ import annotations

from typing import Any

import rich_click as click

from keystore.cli.output import Output, print_pairs, print_problem, print_table

BLOCKS = {"aws": "awsKms", "azure": "azureKeyVault", "gcp": "googleCloudKms"}
"""The API's name of each provider's part."""

COLOURS = {"VALID": "green", "INVALID": "red", "UNREACHABLE": "yellow"}
TOLD_ELSEWHERE = (
    *("enabled", "valid", "state", "stateSince", "reason", "errorCode"),
    *("banner", "movingClusters", "warnings"),
)


def emit_all(out: Output, found: dict[str, Any]) -> None:
    """Tell of every provider; one that is not enabled takes one line."""

    def text() -> None:
        enabled = [provider for provider, block in BLOCKS.items() if found[block]["enabled"]]
        for provider in enabled:
            _print_block(provider, found[BLOCKS[provider]])
        if missing := [provider for provider in BLOCKS if provider not in enabled]:
            click.echo(f"not enabled: {', '.join(missing)}")

    out.emit({"encryptionAtRest": found}, text)


def emit_block(out: Output, found: dict[str, Any], provider: str) -> None:
    """Tell of one provider."""
    block = found[BLOCKS[provider]]

    def text() -> None:
        if block["enabled"]:
            _print_block(provider, block)
        else:
            click.echo(f"not enabled: {provider}")

    out.emit({"provider": provider, "encryptionAtRest": block}, text)


def emit_checks(out: Output, found: dict[str, Any]) -> None:
    """List checks."""
    rows = [
        (
            each["checked"],
            each["cause"],
            click.style(each["outcome"], fg=COLOURS[each["outcome"]]),
            each.get("reason") or each.get("errorCode") or "",
        )
        for each in found["results"]
    ]
    heads = ("WHEN", "CAUSE", "FOUND", "WHY")
    out.emit({"checks": found["results"], "total": found["totalCount"]}, lambda: print_table(heads, rows, flexible=3))


def _print_block(provider: str, block: dict[str, Any]) -> None:
    state = click.style(block["state"], fg=COLOURS[block["state"]])
    pairs = [("provider", provider), ("state", f"{state} since {block['stateSince']}")]
    pairs += [(name, str(value)) for name, value in block.items() if name not in TOLD_ELSEWHERE and value is not None]
    if block.get("movingClusters"):
        pairs.append(("movingClusters", ", ".join(block["movingClusters"])))
    print_pairs(pairs)
    if block.get("reason"):
        print_problem(f"{block.get('errorCode') or 'problem'}:", COLOURS[block["state"]], block["reason"], err=False)
    for warning in (block.get("banner"), *(block.get("warnings") or [])):
        if warning:
            print_problem("notice:", "yellow", warning, err=False)
