"""One target under atheris: `python -m tests.fuzz.guided TARGET [libFuzzer's options] CORPUS`."""

import sys

import atheris

with atheris.instrument_imports(include=["keystore", "kms_emulator"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    target = TARGETS[sys.argv.pop(1)]
    atheris.Setup(sys.argv, lambda data: target.try_out(bytes(data)))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
