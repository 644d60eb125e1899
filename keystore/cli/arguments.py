"""Arguments that several commands take."""

from pathlib import Path
from typing import Any

import rich_click as click


class PathType(click.ParamType[Path]):
    """A path; not the empty string, which would be the current directory: an unset variable in a script."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        if isinstance(value, Path):
            return value
        if not value or "\0" in value:
            self.fail("an empty path" if not value else "a path with a null byte", param, ctx)
        return Path(value)


class FileNameType(click.ParamType[tuple[str, str]]):
    """DATABASE/NAME; NAME may have further slashes."""

    name = "DATABASE/NAME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        database, slash, name = str(value).partition("/")
        if not slash or not database or not name:
            self.fail(f"{value!r} is not DATABASE/NAME, such as orders/2024.csv", param, ctx)
        return database, name


PATH = PathType()
NODE = click.argument("node", type=PATH)
TARGET = click.argument("target", type=PATH)
FILE_NAME = click.argument("file_name", metavar="DATABASE/NAME", type=FileNameType())

STANDARD_STREAM = Path("-")
"""A file argument that means standard input or output."""
