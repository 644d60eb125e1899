"""Arguments that several commands take."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

if TYPE_CHECKING:
    from keystore.objects.place import Place


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


class RateType(click.ParamType[float]):
    """Bytes a second, with a decimal unit or without."""

    name = "rate"
    _UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9}  # noqa: RUF012

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) *([kKMG]?B?)", str(value))
        rate = float(found[1]) * self._UNITS[found[2].upper()] if found and found[2].upper() in self._UNITS else 0.0
        if not rate:
            self.fail(f"{value!r} is no rate above zero, such as 500000, 800kB or 20MB", param, ctx)
        return rate


class HexType(click.ParamType[bytes]):
    """A number of bytes in hexadecimal."""

    name = "hexadecimal"

    def __init__(self, length: int) -> None:
        self._length = length

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> bytes:
        if isinstance(value, bytes):
            return value
        if not re.fullmatch(f"[0-9a-fA-F]{{{2 * self._length}}}", str(value)):
            self.fail(f"{value!r} is not {2 * self._length} hexadecimal digits", param, ctx)
        return bytes.fromhex(value)


class PlaceType(click.ParamType[str]):
    """A place of an outside anchor; not the empty string, which would be none: an unset variable in a script."""

    name = "place"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not value:
            self.fail("an empty place; leave the option out for none", param, ctx)
        return str(value)


class TargetType(click.ParamType["Place"]):
    """A place of snapshots: a path, or the URL of a bucket; not the empty string, as with `PathType`."""

    name = "target"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> "Place":
        from keystore.objects.opening import as_place

        return as_place(value if not isinstance(value, str) or "://" in value else PATH.convert(value, param, ctx))


PATH = PathType()
AT_TARGET = TargetType()
PLACE = PlaceType()
RATE = RateType()
NODE = click.argument("node", type=PATH)
TARGET = click.argument("target", type=AT_TARGET)
DATABASE = click.argument("database")
ONLY_DATABASE = click.option("--database", metavar="DATABASE", help="Only this database.  [default: all]")
AT_RATE = click.option("--rate", type=RATE, metavar="RATE", help="Bytes a second at most, such as 20MB.")
ONLY_DATABASES = click.option(
    "--database",
    "databases",
    metavar="DATABASE",
    multiple=True,
    help="Only this database; may be given several times.  [default: everything]",
)
ONLY_FILES = click.option(
    "--file",
    "files",
    metavar="DATABASE/NAME",
    multiple=True,
    type=FileNameType(),
    help="Only this file; may be given several times.",
)
OVERWRITE = click.option(
    "--overwrite", is_flag=True, help="Replace FILE if it exists and is a regular file; its mode stays."
)
FILE_NAME = click.argument("file_name", metavar="DATABASE/NAME", type=FileNameType())

STANDARD_STREAM = Path("-")
"""A file argument that means standard input or output."""
