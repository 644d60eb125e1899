"""Times as the API shows them: ISO 8601 in UTC."""

from datetime import UTC, datetime


def shown(ns: int) -> str:
    """Return a time to the second, as `2023-01-01T00:00:00Z`."""
    return datetime.fromtimestamp(ns // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def shown_or_none(ns: int | None) -> str | None:
    """Return a time to the second, or None where there is none."""
    return None if ns is None else shown(ns)
