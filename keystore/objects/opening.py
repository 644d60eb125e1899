"""Opens a place by what a person typed: a path, or the URL of a bucket.

A bucket's endpoint and credentials come from the environment, by the names that `obstore` documents: `AWS_…`,
`AZURE_…`, `GOOGLE_…`. None is ever part of a URL, because a URL is shown and kept.
"""

import os
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from urllib.parse import urlsplit

from keystore.errors import InputError
from keystore.keys.files import Files
from keystore.objects.bucket import BucketPlace, require_obstore
from keystore.objects.directory import DirectoryPlace
from keystore.objects.place import Place

SCHEMES = {"s3": "AWS", "az": "AZURE", "gs": "GOOGLE"}
"""Object stores that put if absent, each with the beginning of its variables. obstore knows others, such as HTTP."""


@dataclass(frozen=True)
class Patience:
    """How long to wait for an object store.

    Attributes:
        timeout_s: seconds for one request, its body included.
        retries_max: further tries of a request that got no answer, or one that says to try again.
        retries_s: seconds since the first try after which there is no other.
    """

    timeout_s: float
    retries_max: int
    retries_s: float


PATIENT = Patience(60.0, 6, 180.0)
"""LIMIT: for what runs by itself. A part of 8 MiB passes in time where a connection has 1.2 Mbit/s."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 10.0


def open_place(text: str, files: Files | None = None, patience: Patience = PATIENT) -> Place:
    """Return the place that `text` names; nothing is asked of it yet.

    Args:
        files: does what has to be durable in a directory.

    Raises:
        InputError: it names none, or the package that it needs is missing.
    """
    if "://" not in text or text.startswith("file://"):
        return DirectoryPlace(text.removeprefix("file://"), files, text=text)
    return _open_bucket(text, patience)


def as_place(place: str | os.PathLike[str] | Place) -> Place:
    """Return the place itself, or the one that a path or a URL names; errors as in `open_place`."""
    return open_place(os.fspath(place)) if isinstance(place, str | os.PathLike) else place


def _open_bucket(url: str, patience: Patience) -> BucketPlace:
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES:
        known = ", ".join(f"{scheme}://" for scheme in SCHEMES)
        raise InputError(
            f"{parts.scheme}:// names no place of objects. Nothing was changed; name a path, or a URL that begins "
            f"with {known}."
        )
    if parts.query or parts.fragment or "@" in parts.netloc or ":" in parts.netloc:
        raise InputError(
            f"the URL of a place is {parts.scheme}://BUCKET/PREFIX and no more. Nothing was changed; endpoint and "
            f"credentials come from the environment ({SCHEMES[parts.scheme]}_…)."
        )
    if not parts.netloc:
        raise InputError(f"{url!r} names no bucket. Nothing was changed; write {parts.scheme}://BUCKET/PREFIX.")
    require_obstore()
    timeout = timedelta(seconds=patience.timeout_s)
    # obstore reads this one from the environment only where no other option of the client is given.
    allow_http = os.environ.get(f"{SCHEMES[parts.scheme]}_ALLOW_HTTP", "").lower() == "true"
    try:
        store = import_module("obstore.store").from_url(
            url,
            client_options={"timeout": timeout, "connect_timeout": timeout, "allow_http": allow_http},
            retry_config={
                "max_retries": patience.retries_max,
                "retry_timeout": timedelta(seconds=patience.retries_s),
                "backoff": {
                    "init_backoff": timedelta(seconds=FIRST_PAUSE_S),
                    "max_backoff": timedelta(seconds=LONGEST_PAUSE_S),
                },
            },
        )
    except Exception as error:
        cause = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise InputError(f"{url} cannot be opened: {cause}. Nothing was changed; look at the environment.") from None
    return BucketPlace(store, url)
