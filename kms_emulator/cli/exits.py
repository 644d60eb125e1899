"""Exit codes, and the one error type that ends a command with them."""

from dataclasses import dataclass

OK, FAILED, USAGE, NOT_FOUND, UNREACHABLE, WRONG_STATE, EXISTS, UNUSABLE = range(8)

MEANINGS = {
    OK: "done",
    FAILED: "the emulator refused for a reason without a number of its own",
    USAGE: "the command line is wrong; nothing was asked of a server",
    NOT_FOUND: "no such key or version",
    UNREACHABLE: "no emulator answers at the endpoint",
    WRONG_STATE: "the key's state does not allow it",
    EXISTS: "the name is in use",
    UNUSABLE: "serve: the port, the data directory or the ready file cannot be used",
}


@dataclass
class CommandError(Exception):
    """Ends a command: `message` for people, `code` for the shell, `cloud_code` as the cloud calls it, if it does."""

    message: str
    code: int
    cloud_code: str = ""

    def __str__(self) -> str:
        return self.message


def exit_code_help() -> str:
    """Return the table of exit codes for the help text."""
    return "\n\n".join(["Exit codes:", *(f"{code}  {meaning}" for code, meaning in MEANINGS.items())])
