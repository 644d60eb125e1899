"""A signal ends the program also where Python loses what its handler raises: inside a destructor."""

import signal
import subprocess
import sys

import pytest

from tests.cli.running import TIMEOUT_S, environment

PROGRAM = """
import signal, sys, time
import click
from keystore.cli import main

class Dies:
    def __del__(self):
        signal.raise_signal(int(sys.argv[2]))
        print("not reached: the handler raises")

@main.cli.command()
@click.argument("number")
def dying(number):
    Dies()
    print("went on", flush=True)
    time.sleep(240)

main.main()
"""


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [
        (signal.SIGINT, 130, "\nerror: interrupted; nothing is half done.\n"),
        (signal.SIGTERM, 143, "error: ended by SIGTERM; nothing is half done.\n"),
    ],
)
def test_a_signal_inside_a_destructor_comes_again(number: signal.Signals, code: int, said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "dying", str(int(number))],
        check=False,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        env=environment(),
    )
    assert (done.stdout, done.stderr, done.returncode) == ("went on\n", said, code)


def test_other_errors_of_destructors_are_shown_as_ever() -> None:
    program = PROGRAM.replace("signal.raise_signal(int(sys.argv[2]))", "raise ValueError").replace(
        "time.sleep(240)", ""
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "dying", "0"],
        check=False,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        env=environment(),
    )
    assert (done.stdout, done.returncode) == ("went on\n", 0)
    assert done.stderr.endswith("ValueError: \n")
