"""The coverage of docs/REQUIREMENTS.md says what is so."""

from tests.rows import COVERAGE, UNPROVEN, coverage, proofs, requirements


def test_every_requirement_has_a_test_or_a_reason() -> None:
    assert sorted(requirements()) == sorted(f"R{number}" for number in range(1, 140))
    proven = {row for row in proofs() if not row.startswith("N")}  # readings of what the sources leave open
    assert sorted({*proven, *UNPROVEN}) == sorted(requirements())
    assert not proven & {*UNPROVEN}, "a reason stands where there is a test"


def test_the_document_is_the_present_one() -> None:
    assert COVERAGE.read_text(encoding="utf-8") == coverage(), "run: python -m tests.rows"
