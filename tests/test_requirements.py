"""Every requirement has a test that says so."""

from tests import rows


def test_every_row_has_a_proof_or_a_reason() -> None:
    known, proven = rows.requirements(), rows.proofs()
    assert len(known) == 139
    assert [row for row in known if row not in proven and row not in rows.UNPROVEN] == []
    assert [row for row in proven if row.startswith("R") and row not in known] == []
