"""Shows how the changes of a project's cluster get on, node by node, until they are applied or somebody must act."""

from __future__ import annotations

import time
from typing import Any

import rich_click as click

from keystore.cli import exits
from keystore.cli.api_client import ApiClient
from keystore.cli.output import Output, print_problem
from keystore.cli.project_cluster_output import change_text, step_text
from keystore.errors import ApiError

LOOK_EVERY_S = 0.5
SETTLE_S = 120.0
"""LIMIT: seconds that are waited for processes; they take a few, unless their KMS does not answer."""
ENDED = ("applied", "failed")
RESTING = ("DISABLED", "PAUSED")
"""States in which a cluster takes no change until somebody did something."""


def follow(
    out: Output, api: ApiClient, where: str, submitted: dict[str, Any], label: str = ""
) -> tuple[dict[str, Any], int]:
    """Watch a cluster until none of the changes is open that it had when they were submitted.

    Args:
        label: the cluster's name, before each line, where several are watched.

    Returns:
        The cluster as it is then, and the exit code: an error where a change failed, was halted, or has to wait for
        somebody.
    """
    waited = {change["id"] for change in submitted["pendingChanges"]}
    shown, found = _Shown(out, label), submitted
    while True:
        shown.show(found)
        pending = [change for change in found["pendingChanges"] if change["id"] in waited]
        if not pending:
            ended = [change for change in api.all(f"{where}/changes") if change["id"] in waited]
            shown.show_changes(ended)
            failed = any(change["state"] == "failed" for change in ended)
            return found, exits.ERROR if failed else exits.OK
        if found["stateName"] in RESTING:
            shown.tell(f"the cluster is {found['stateName']}; the change is done when it runs again")
            return found, exits.ERROR
        if any(change.get("operation", {}).get("state") == "halted" for change in pending):
            shown.tell("halted: it is tried again every 15 minutes")
            return found, exits.ERROR
        time.sleep(LOOK_EVERY_S)
        found = api.call("GET", where)


def settle(api: ApiClient, where: str, found: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """Wait until every process of a cluster is as was ordered, at most `SETTLE_S`.

    Returns:
        The cluster as it is then, and the exit code: an error where its processes are not up that are to be.
    """
    end_s = time.monotonic() + SETTLE_S
    while not found["processesSettled"] and time.monotonic() < end_s:
        time.sleep(LOOK_EVERY_S)
        found = api.call("GET", where)
    settled = found["processesSettled"] and found["stateName"] != "DISABLED"
    return found, exits.OK if settled else exits.ERROR


def follow_to_the_end(out: Output, api: ApiClient, where: str) -> int:
    """Watch a cluster that is being deleted until it is gone."""
    shown = _Shown(out)
    while True:
        try:
            shown.show(api.call("GET", where))
        except ApiError as error:
            if error.code == "CLUSTER_NOT_FOUND":
                return exits.OK
            raise
        time.sleep(LOOK_EVERY_S)


class _Shown:
    """What was printed already, on standard error."""

    def __init__(self, out: Output, label: str = "") -> None:
        self._silent, self._label = out.as_json, f"{label}: " if label else ""
        self._lines: dict[tuple[int, int], str] = {}
        self._banner = ""

    def show(self, cluster: dict[str, Any]) -> None:
        banner = cluster.get("banner") or ""
        if banner and banner != self._banner and not self._silent:
            print_problem("notice:", "yellow", banner)
        self._banner = banner or self._banner
        self.show_changes(cluster["pendingChanges"])

    def show_changes(self, changes: list[dict[str, Any]]) -> None:
        for change in changes:
            steps = enumerate(change.get("operation", {}).get("steps", []))
            lines = [(number, f"  {step_text(step)}") for number, step in steps if step["state"] != "pending"]
            # Its end comes after its last step, also where one look found both.
            at = len(lines) if change["state"] in ENDED else 0
            lines.insert(at, (-1, change_text(change)))
            for number, text in lines:
                self._line((change["id"], number), text)

    def tell(self, text: str) -> None:
        if not self._silent:
            click.echo(f"{self._label}{text}", err=True)

    def _line(self, place: tuple[int, int], text: str) -> None:
        if self._lines.get(place) != text:
            self._lines[place] = text
            self.tell(text)
