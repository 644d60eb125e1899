"""Without the extra the rest works, and the control plane says what to install."""

import subprocess
import sys


def _run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True).stdout


def test_the_missing_packages_and_the_command_are_named() -> None:
    told = _run(
        "import sys\n"
        "sys.modules['dbos'] = None\n"
        "from keystore.errors import ControlSetupError\n"
        "try:\n"
        "    import keystore.control\n"
        "except ControlSetupError as error:\n"
        "    print(error)\n"
    )
    assert "needs dbos," in told
    assert "pip install 'cmk-keystore[control]'" in told


def test_the_command_line_loads_nothing_of_it() -> None:
    told = _run("import sys, keystore.cli.main\nprint(sorted({'dbos', 'sqlalchemy'} & set(sys.modules)))")
    assert told == "[]\n"
