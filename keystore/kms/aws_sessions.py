"""boto3's sessions, which clients are made from: they are slow to make, and keep what the environment said.

Invariants:
1. The session that is shared has no credentials. Those that are given are held by the client that is made for them, and
   go with it.
2. Who changes a file or variable of AWS's settings has the next client made by them.
"""

import os
import threading
from collections.abc import Callable
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from keystore.kms.credentials import AwsCredentials

FILES = (("AWS_CONFIG_FILE", "~/.aws/config"), ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"))
"""Files that a session reads once: the variable that names each, and where it is without."""

NAMES = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_DATA_PATH")
"""Variables that a session reads once, besides; it looks at the others for each client."""

_making = threading.Lock()


def client_maker(region: str, given: AwsCredentials | None) -> Callable[..., Any]:
    """Return what makes KMS clients of a region, from the arguments of `boto3.session.Session.client`.

    With credentials they are of the shared session; without, of one that finds out anew who calls.
    """
    if given is None:
        session = _session()
        return lambda **settings: session.client("kms", region, **settings)
    identity = {
        "aws_access_key_id": given.access_key_id,
        "aws_secret_access_key": given.secret_access_key,
        "aws_session_token": given.session_token,
    }

    def make(**settings: Any) -> Any:
        with _making:  # a session is not for several threads at once; the clients that it made are
            return _shared(_settings()).client("kms", region, **identity, **settings)

    return make


def _settings() -> tuple[object, ...]:
    """Return what a session keeps of the environment, as it is now."""
    files = (Path(os.environ.get(name) or usual) for name, usual in FILES)
    return (*map(os.environ.get, NAMES), *map(_state_of, files))


def _state_of(file: Path) -> tuple[Path, int, int, int] | None:
    try:
        path = file.expanduser()
        found = path.stat()
    except (OSError, RuntimeError):  # it is missing, or nobody knows where home is
        return None
    return path, found.st_ino, found.st_mtime_ns, found.st_size


@lru_cache(maxsize=1)
def _shared(_: tuple[object, ...]) -> Any:
    """Return the session for clients that are given credentials, as long as the settings are the same."""
    return _session()


def _session() -> Any:
    """Return a session that shares only AWS's descriptions of its services, which take longest to read."""
    import boto3.session
    import botocore.session

    core = botocore.session.get_session()
    core.register_component("data_loader", _descriptions(core.get_config_variable("data_path")))
    return boto3.session.Session(botocore_session=core)


@cache
def _descriptions(path: str | None) -> Any:
    import botocore.loaders

    return botocore.loaders.create_loader(path)
