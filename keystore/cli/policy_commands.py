"""Commands on backup policies: print the default one, and say what another would do."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from keystore.cli.arguments import PATH
from keystore.cli.output import Output, format_time, print_table, with_output
from keystore.errors import PathMissingError, PolicyError

if TYPE_CHECKING:
    from keystore.snapshots.policy import Policy


@click.group()
def policy() -> None:
    """Show the default backup policy; check another one."""


@policy.command()
@click.argument("file", type=PATH, required=False)
@with_output
def show(out: Output, file: Path | None) -> None:
    """Print a policy as a file has it: the default one, or that of FILE.

    A file made from it, and changed, is for `keystore snapshot run-policy --policy`.
    """
    from keystore.snapshots.policy_file import encode_policy

    chosen = load_policy(file)
    out.emit(_values(chosen), lambda: click.echo(encode_policy(chosen), nl=False))


@policy.command()
@click.argument("file", type=PATH)
@with_output
def check(out: Output, file: Path) -> None:
    """Say whether FILE is a policy, what it asks for, and when next."""
    chosen = load_policy(file)
    values = _values(chosen)

    def text() -> None:
        rows = [(item["kind"], item["schedule"], item["keep"], item["next"]) for item in values["schedules"]]
        print_table(("KIND", "TAKEN", "KEPT", "NEXT"), rows, flexible=1)
        click.echo(f"All at {values['reference_time']} UTC; hourly ones count from there.")
        if chosen.restore_window_days is not None:
            click.echo(f"The point-in-time log is kept for {chosen.restore_window_days} days.")

    out.emit(values, text)


def load_policy(file: Path | None) -> "Policy":
    """Return the policy of a file, or the default one.

    Raises:
        PolicyError: the file cannot be read, or is no policy.
    """
    from keystore.snapshots.policy import DEFAULT_POLICY
    from keystore.snapshots.policy_file import POLICY_BYTES_MAX, decode_policy

    if file is None:
        return DEFAULT_POLICY
    try:
        with file.open("rb") as opened:
            data = opened.read(POLICY_BYTES_MAX + 1)
        text = data.decode()
    except FileNotFoundError:
        raise PathMissingError(f"there is no file {file}. Nothing was changed; name a backup policy.") from None
    except OSError as error:
        raise PolicyError(f"{file} cannot be read: {error.strerror}. Nothing was changed.") from None
    except UnicodeDecodeError:
        raise PolicyError(f"{file} is no backup policy: it is not text. Nothing was changed.") from None
    if len(data) > POLICY_BYTES_MAX:
        raise PolicyError(
            f"{file} is no backup policy: it has more than {POLICY_BYTES_MAX} bytes. Nothing was changed."
        )
    return decode_policy(text, str(file))


def _values(chosen: "Policy") -> dict[str, Any]:
    from keystore.snapshots.policy import Policy
    from keystore.snapshots.policy_file import schedule_text
    from keystore.snapshots.retention import next_occurrence

    now_ns = time.time_ns()
    return {
        "reference_time": f"{chosen.reference:%H:%M}",
        "restore_window_days": chosen.restore_window_days,
        "schedules": [
            {
                "kind": item.kind.label,
                "schedule": schedule_text(item),
                "keep": str(item.keep),
                "next": format_time(next_occurrence(Policy(chosen.reference, (item,)), now_ns).at_ns),
            }
            for item in chosen.items
        ],
    }
