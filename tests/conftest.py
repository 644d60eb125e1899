"""What all tests share: fixtures, and a way to tell figures that a run shows at its end."""

import signal
from collections.abc import Callable

import pytest
from hypothesis import settings

from tests.emulator_process import emulator as emulator

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts background jobs with SIGINT ignored, and children inherit that: tests that interrupt one need it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# No test depends on how fast a machine is.
settings.register_profile("project", deadline=None)
settings.load_profile("project")

_FIGURE = "figure"


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Print a line in the summary at the end of the run, also when tests run in several processes."""
    return lambda line: record_property(_FIGURE, line)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    # A passing teardown is filed under no outcome; its report has what the whole test told.
    teardowns = [report for report in terminalreporter.stats.get("", []) if report.when == "teardown"]
    lines = [str(value) for report in teardowns for name, value in report.user_properties if name == _FIGURE]
    if lines:
        terminalreporter.section("figures")
    for line in lines:
        terminalreporter.write_line(line)
