"""Every operation in every key state does in each cloud's wire what the table says, and the document says the same."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from kms_emulator.core import Core
from kms_emulator.wire.gcp.adapter import GCP, GCP_IAM
from tests.emulator.running import Running
from tests.emulator.states import on_aws
from tests.emulator.states.on_azure import OnAzure
from tests.emulator.states.on_google import OnGoogle
from tests.emulator.states.table import ROWS, STATES, Side

OF_NO_VERSION = {
    *("CreateKeyRing", "GetKeyRing", "ListKeyRings"),
    *("CreateCryptoKey", "GetCryptoKey", "ListCryptoKeys"),
    *("CreateImportJob", "GetImportJob", "ListImportJobs"),
    *("GenerateRandomBytes", "TestIamPermissions"),
}


def sides(cloud: str) -> list[Side]:
    found = {getattr(row, cloud) for row in ROWS} - {None}
    return sorted(found, key=lambda side: side.operation)


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    found = Running(Core(), http=True, https=True)
    yield found
    found.stop()


@pytest.fixture(scope="module")
def google(running: Running) -> OnGoogle:
    return OnGoogle(running)


@pytest.fixture(scope="module")
def azure(running: Running) -> OnAzure:
    return OnAzure(running)


@pytest.mark.parametrize("side", sides("gcp"), ids=lambda side: side.operation)
def test_google(google: OnGoogle, side: Side) -> None:
    assert tuple(google.outcome(side.operation, state) for state in STATES) == side.outcomes


@pytest.mark.parametrize("side", sides("azure"), ids=lambda side: side.operation)
def test_azure(azure: OnAzure, side: Side) -> None:
    assert tuple(azure.outcome(side.operation, state) for state in STATES) == side.outcomes


@pytest.mark.parametrize("side", sides("aws"), ids=lambda side: side.operation)
def test_aws(side: Side) -> None:
    """The other states are tested where their table is."""
    assert on_aws.outcome(side.operation, "gone") == side.outcomes[-1]


def test_all_of_googles_operations_on_versions_are_in_the_table() -> None:
    named = {side.operation.partition(" ")[0] for side in sides("gcp")}
    assert named | OF_NO_VERSION == set(GCP.operations) | set(GCP_IAM.operations)


def test_document_is_what_the_table_says() -> None:
    command = [sys.executable, "-m", "tests.emulator.states.table", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
