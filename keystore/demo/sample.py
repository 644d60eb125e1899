"""The default input of the demo: a tar of the running interpreter's standard library. Same library, same bytes."""

import sysconfig
import tarfile
from collections.abc import Iterator
from pathlib import Path

LEFT_OUT = frozenset({"site-packages", "dist-packages", "__pycache__", "test", "tests", "idle_test"})


def write_sample(path: Path) -> None:
    """Write the tar to `path`: names in order, no owner, no time."""
    root = Path(sysconfig.get_paths()["stdlib"])
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for file in _files_below(root):
            archive.add(file, arcname=str(file.relative_to(root)), filter=_anonymous)


def _files_below(directory: Path) -> Iterator[Path]:
    for entry in sorted(directory.iterdir()):
        if entry.is_dir() and not entry.is_symlink() and entry.name not in LEFT_OUT:
            yield from _files_below(entry)
        elif entry.is_file() and not entry.is_symlink() and entry.suffix != ".pyc":
            yield entry


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    return member
