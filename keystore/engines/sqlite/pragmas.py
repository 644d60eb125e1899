"""What a PRAGMA may not change in an encrypted database, and what it is told instead."""

from typing import Final

import apsw

JOURNAL_MODE: Final = "delete"


def answer(pragma: apsw.VFSFcntlPragma, page_size: int) -> bool:
    """Answer a pragma here, and return True; or leave it to SQLite.

    Raises:
        apsw.SQLError: it is refused; the text says why.
    """
    name, value = str(pragma.name).lower(), pragma.value
    if value is None:
        return False
    value = str(value).strip("'\"").lower()
    if name == "journal_mode":
        return _journal_mode(pragma, value)
    if name == "synchronous":
        return True  # a commit is durable, and stays so; as SQLite does where it cannot do what is asked
    if name == "page_size" and value.isdigit() and int(value) != page_size:
        raise apsw.SQLError(
            f"PRAGMA page_size: the pages of this database are those of its store, {page_size} bytes, and that stays "
            "so. Nothing was changed. Make a new database with the other size and copy into it"
        )
    return False


def _journal_mode(pragma: apsw.VFSFcntlPragma, value: str) -> bool:
    if value == "wal":
        raise apsw.SQLError(
            "PRAGMA journal_mode=WAL: an encrypted database has no WAL. Its store commits each transaction as a whole "
            "with one sync, and readers do not wait for a writer. Nothing was changed; leave the pragma out"
        )
    pragma.result = JOURNAL_MODE  # the mode that it stays in
    return True
