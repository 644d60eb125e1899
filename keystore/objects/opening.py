"""Opens a place by what a person typed."""

from keystore.keys.files import Files
from keystore.objects.directory import DirectoryPlace
from keystore.objects.place import Place


def open_place(text: str, files: Files | None = None) -> Place:
    """Return the place that `text` names, a path or a URL; nothing is asked of it yet.

    Args:
        files: does what has to be durable in a directory.

    Raises:
        InputError: it names none, or the package that it needs is missing.
    """
    return DirectoryPlace(text.removeprefix("file://"), files)
