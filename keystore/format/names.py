"""Which names a node, a database and a file may have."""

NAME_BYTES_MAX = 1024
"""LIMIT: bytes of a name in UTF-8; the most that object stores take for a key, four times a file name."""


def name_problem(name: str, *, path: bool = False) -> str | None:
    """Say what is wrong with `name`, or None.

    Args:
        path: whether it may have parts, separated by single slashes.
    """
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        return "it is not valid Unicode"
    if not 0 < length <= NAME_BYTES_MAX:
        return f"it has {length} bytes; 1 to {NAME_BYTES_MAX} are allowed"
    if not name.isprintable():
        return "it has characters that cannot be printed"
    if "/" in name and not path:
        return "it has a slash"
    if any(part in ("", ".", "..") for part in name.split("/")):
        return "it has an empty part, or one that is '.' or '..'"
    return None
