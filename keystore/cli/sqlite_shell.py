"""SQLite's shell on an encrypted database: it puts nothing of it into the clear unasked.

Leaves to others: opening the database, and SQLite's own errors (`sqlite_commands`).
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apsw
from apsw.shell import Shell

from keystore.errors import InputError, KeystoreError


class EncryptedShell(Shell):
    """apsw's shell, for one encrypted database."""

    def __init__(self, connection: apsw.Connection) -> None:
        super().__init__(db=connection)
        self.history_file = os.devnull  # statements have values in them
        self.failed = False

    def command_backup(self, cmd: list[str]) -> None:
        """backup: Refused; see keystore sqlite export, and keystore snapshot"""
        raise self.Error(
            ".backup would write the database in clear. Nothing was written; `keystore snapshot create` keeps a sealed "
            "copy, `keystore sqlite export` writes a plain one."
        )

    def command_open(self, cmd: list[str]) -> None:
        """open: Refused; a shell has one database"""
        raise self.Error(
            ".open would go on with a database that is not encrypted. Nothing was opened; for another encrypted one "
            "start another `keystore sqlite shell`."
        )

    def command_restore(self, cmd: list[str]) -> None:
        """restore FILE: Replace the contents by those of a plain SQLite database"""
        if cmd and not Path(cmd[-1]).is_file():  # SQLite would make an empty one, and copy that
            raise self.Error(f"there is no file {cmd[-1]}. Nothing was changed; check the path.")
        super().command_restore(cmd)  # type: ignore[no-untyped-call]

    def handle_exception(self) -> None:
        self.failed = True
        super().handle_exception()  # type: ignore[no-untyped-call]


def run_shell(connection: apsw.Connection, statements: Sequence[str]) -> int:
    """Run statements, SQL or commands, up to the first that fails; without any those that come from standard input.

    Returns:
        The exit code that `.exit` asks for, else 0.

    Raises:
        InputError: a statement failed; at a terminal the shell has told that, and goes on.
        KeystoreError, apsw.Error, OSError: as the statement.
    """
    shell: Any = EncryptedShell(connection)
    try:
        for statement in statements:
            _run(shell, statement)
        if not statements:
            shell.cmdloop()
    except SystemExit as asked:
        if not isinstance(asked.code, int):
            raise
        return asked.code
    if not statements and shell.failed and not shell.interactive:
        raise InputError("not every statement succeeded; those that did count. The reasons stand above.")
    return 0


def _run(shell: Any, statement: str) -> None:
    try:
        shell.process_complete_line(statement)
    except (KeystoreError, apsw.Error, OSError):
        raise
    except Exception as error:  # whatever a command of the shell makes of what it cannot use
        raise InputError(f"{statement.split()[0]} failed: {str(error).rstrip('.')}.") from error
