"""Counts, sizes and times, as people read and write them."""

import re
from datetime import UTC, datetime, timedelta

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


_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:?\d\d)")
_AGO = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


def format_moment(ns: int) -> str:
    """Return a time (ns since 1970) as ISO 8601 in UTC, to the nanosecond, so that it names one commit."""
    seconds, fraction = divmod(ns, 10**9)
    text = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=min(seconds, 253402300799))).strftime(
        "%Y-%m-%dT%H:%M:%S"
    )
    return f"{text}.{fraction:09}Z" if fraction else f"{text}Z"


def parse_moment(text: str, now_ns: int) -> int | None:
    """Return the time that a person means: ISO 8601 with a zone, or so long before now, such as `1d2h`, `90m`, `30s`.

    None: it is neither.
    """
    found = _MOMENT.fullmatch(text)
    if found is not None:
        date, fraction, zone = found.groups()
        try:
            moment = datetime.fromisoformat(date + zone.replace("Z", "+00:00"))
        except ValueError:
            return None
        return int(moment.timestamp()) * 10**9 + int((fraction or "0").ljust(9, "0"))
    ago = _AGO.fullmatch(text.removeprefix("-").removesuffix("ago").strip())
    if ago is None or not any(ago.groups()):
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in ago.groups())
    return max(0, now_ns - (((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 10**9)
