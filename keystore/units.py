"""Sizes and counts for people: decimal units everywhere, as disks are sold and as progress bars count."""

UNITS = ("kB", "MB", "GB", "TB")


def format_bytes(count: int) -> str:
    """Return a size with one decimal, or whole bytes below 1 kB."""
    if count < 1000:
        return plural(count, "byte")
    size = count / 1000
    for unit in UNITS:
        if round(size, 1) < 1000 or unit == UNITS[-1]:
            break
        size /= 1000
    return f"{size:,.1f} {unit}"


def plural(count: int, noun: str) -> str:
    """Return a count with its noun, such as `1 file` and `2,000 files`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
