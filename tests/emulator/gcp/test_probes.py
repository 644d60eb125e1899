"""The emulator answers as Google's documentation says, and the document of these questions is written from them."""

from collections.abc import Iterator

import pytest

from kms_emulator.embedded import KmsEmulator
from tests.emulator.gcp.probes import DOCUMENT, PROBES, Probe, World, outcome, render


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with KmsEmulator() as emulator:
        found = World(emulator)
        yield found
        found.close()


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.question)
def test_answer(world: World, probe: Probe) -> None:
    assert outcome(world, probe) == probe.answer


def test_document_is_written_from_them() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == render(), "run python -m tests.emulator.gcp.probes"
