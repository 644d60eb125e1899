"""The end of a serving process, as signals ask for it."""

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from keystore.agents.process import Stopping

TIMEOUT_S = 60


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Put the handlers back that the test runner has."""
    former = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in former.items():
        signal.signal(number, handler)


@pytest.mark.timeout(TIMEOUT_S)
def test_a_signal_while_the_main_thread_has_the_lock_that_it_waits_with() -> None:
    stopping = Stopping()
    stopping.on_signals()
    with stopping._event._cond:  # type: ignore[attr-defined]  # as `Event.wait` has it when it begins and when it ends
        signal.raise_signal(signal.SIGTERM)
    assert stopping.wait(TIMEOUT_S)


@pytest.mark.parametrize("first", ["signal.raise_signal(signal.SIGINT)", "stopping.begin()"])
def test_a_second_signal_ends_the_process_at_once(first: str) -> None:
    program = (
        "import signal, time\nfrom keystore.agents.process import Stopping\nstopping = Stopping()\n"
        f"stopping.on_signals()\n{first}\nsignal.raise_signal(signal.SIGTERM)\nprint('goes on')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True, timeout=TIMEOUT_S
    )
    assert (done.returncode, done.stdout, done.stderr) == (143, "", "")
