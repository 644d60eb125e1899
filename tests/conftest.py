"""What all tests share: fixtures, and a way to tell figures that a run shows at its end."""

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import astuple
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.buckets import azure_container as azure_container
from tests.buckets import azure_endpoint as azure_endpoint
from tests.buckets import gcs_bucket as gcs_bucket
from tests.buckets import gcs_buckets as gcs_buckets
from tests.buckets import gcs_endpoint as gcs_endpoint
from tests.buckets import place_url as place_url
from tests.buckets import s3_bucket as s3_bucket
from tests.buckets import s3_endpoint as s3_endpoint
from tests.crashes import Crashes
from tests.emulator_process import emulator as emulator

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts background jobs with SIGINT ignored, and children inherit that: tests that interrupt one need it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# gRPC's own handlers of fork() abort the child now and then while another thread is in a call (1 of 30); no child of a
# test uses gRPC. It asks for this when it is first used, which is after this.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "false"

# No test depends on how fast a machine is, or on chance: always the same examples, also those of the fuzzed decoders.
# `pytest --hypothesis-profile=default` looks at others.
settings.register_profile(
    "project",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("project")


@pytest.fixture(autouse=True, scope="session")
def known_nodes_of_the_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nodes of tests are recorded apart from those of who runs them, and before any fixture makes one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KEYSTORE_KNOWN_NODES", str(tmp_path_factory.mktemp("known") / "known_nodes"))
        yield


_FIGURE = "figure"
_CRASHES = "crashes"


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Print a line in the summary at the end of the run, also when tests run in several processes."""
    return lambda line: record_property(_FIGURE, line)


@pytest.fixture
def crashes(record_property: Callable[[str, object], None]) -> Iterator[Crashes]:
    """Count the states that crashes left, whether the test passes or not."""
    found = Crashes()
    yield found
    record_property(_CRASHES, astuple(found))


def _told(terminalreporter: pytest.TerminalReporter, what: str) -> list[Any]:
    # A passing teardown is filed under no outcome; its report has what the whole test told.
    teardowns = [report for report in terminalreporter.stats.get("", []) if report.when == "teardown"]
    return [value for report in teardowns for name, value in report.user_properties if name == what]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    lines = _told(terminalreporter, _FIGURE)
    if lines:
        terminalreporter.section("figures")
    for line in lines:
        terminalreporter.write_line(line)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Say how many crash states there were, in all and of each kind: the last lines of a run that had any."""
    terminalreporter = config.pluginmanager.get_plugin("terminalreporter")
    if terminalreporter is None:
        return  # a worker of a run in several processes
    found, kinds = Crashes(), dict[str, int]()
    for values in _told(terminalreporter, _CRASHES):
        part = Crashes(*values)
        found.add(part)
        kinds[part.kind] = kinds.get(part.kind, 0) + part.states
    if kinds:
        terminalreporter.write_line(", ".join(f"{kind}: {states}" for kind, states in sorted(kinds.items())))
        terminalreporter.write_line(found.told())
