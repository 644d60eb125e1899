"""Every operation in every key state does what AWS's documentation says, with AWS's words."""

from collections.abc import Iterator

import pytest

from kms_emulator.wire.aws.adapter import SERVED
from kms_emulator.wire.call import CloudError
from tests.emulator.aws_crypto.direct import Direct
from tests.emulator.aws_crypto.state_table import DOCUMENT, ROWS, STATES, Row, key_in, render

OF_NO_KEY = {"CreateKey", "ListKeys", "GenerateRandom", "ListRetirableGrants"}

WORDS = {
    "Disabled": "is disabled.",
    "PendingImport": "is pending import.",
    "PendingDeletion": "is pending deletion.",
    "PendingReplicaDeletion": "is pending replica deletion.",
}


@pytest.fixture
def direct() -> Iterator[Direct]:
    found = Direct()
    yield found
    found.close()


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("row", ROWS, ids=[row.title for row in ROWS])
def test_outcome(direct: Direct, row: Row, state: str) -> None:
    members = key_in(direct, row, state)
    assert direct.outcome(row.operation, **members) == row.outcomes[STATES.index(state)]


@pytest.mark.parametrize("state", WORDS)
def test_refusal_names_the_key_and_its_state(direct: Direct, state: str) -> None:
    members = key_in(direct, ROWS[0], state)
    with pytest.raises(CloudError) as caught:
        direct.run("Encrypt", **members)
    assert caught.value.message == f"{members['key_id']} {WORDS[state]}"


def test_table_is_complete_and_the_document_is_written_from_it() -> None:
    assert {row.operation for row in ROWS} | OF_NO_KEY == set(SERVED)
    assert DOCUMENT.read_text() == render(), "run python -m tests.emulator.aws_crypto.state_table"
