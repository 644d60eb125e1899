"""Forms of texts in bodies and queries, and what is said of a text that has another one."""

from typing import Final

from keystore.projects.ids import END, PATTERN

LINE: Final = rf"^[^\x00-\x1f\x7f]+{END}"
"""A text in one line."""

LINE_OR_NOTHING: Final = rf"^[^\x00-\x1f\x7f]*{END}"

ADDRESS: Final = rf"^[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~.-]+@[A-Za-z0-9.-]+{END}"
"""An address as RFC 5322 writes one without quotes: nothing in it has a meaning in a header, or in a list."""

TYPE: Final = f"^[A-Z_]+{END}"
"""The type of an event."""

_FORMS: Final = {
    PATTERN: "it has 24 hexadecimal digits",
    LINE: "it is a text in one line",
    LINE_OR_NOTHING: "it is a text in one line",
    ADDRESS: "it is an address such as name@example.org",
    TYPE: "it has letters A-Z and _, such as CLUSTER_CREATED",
}


def form_of(message: str) -> str | None:
    """Return what a text must look like for which a decoder's message names one of these patterns, else None."""
    return next((form for pattern, form in _FORMS.items() if message.endswith(f"matching regex {pattern!r}")), None)
