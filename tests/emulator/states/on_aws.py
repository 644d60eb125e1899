"""AWS's side of the table: rows of the table of AWS's key states, with one state more, for keys that are gone."""

from tests.emulator.aws_crypto.direct import Direct
from tests.emulator.aws_crypto.state_table import ROWS, STATES, Row, key_in

AS_AWS_HAS_IT = {"enabled": "Enabled", "disabled": "Disabled", "deletion scheduled": "PendingDeletion"}
DAYS_UNTIL_GONE = 31


def row_of(title: str) -> Row:
    """Return a row of the table of AWS's key states."""
    return next(row for row in ROWS if row.title == title)


def known_outcomes(title: str) -> list[str]:
    """Return what that table says for the states that the clouds have in common."""
    return [row_of(title).outcomes[STATES.index(state)] for state in AS_AWS_HAS_IT.values()]


def outcome(title: str, state: str) -> str:
    """Return OK, or the code of the refusal."""
    direct = Direct()
    try:
        row = row_of(title)
        members = key_in(direct, row, AS_AWS_HAS_IT.get(state, "PendingDeletion"))
        if state == "gone":
            direct.advance(DAYS_UNTIL_GONE * 86_400 * 10**9)
        return direct.outcome(row.operation, **members)
    finally:
        direct.close()
