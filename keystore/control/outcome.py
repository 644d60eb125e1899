"""How a step or workflow ended, as JSON: a value or an error.

Engines keep results in the database. Pickled ones would run whatever code somebody wrote there, so errors go by name.
"""

import json
import logging
from collections.abc import Mapping
from typing import Any

from keystore import errors
from keystore.errors import ControlError, KeystoreError

LOG = logging.getLogger("keystore.control")


def of_value(value: Any) -> dict[str, Any]:
    """Return the outcome of a function that returned, with the value as it will be read back.

    Raises:
        TypeError, ValueError: the value is not JSON.
    """
    return {"value": json.loads(json.dumps(value, allow_nan=False))}


def of_error(error: Exception, what: str) -> dict[str, Any]:
    """Return the outcome of a function that raised; `what` names it. An error of another package is a fault of ours."""
    if isinstance(error, KeystoreError):
        return {"error": type(error).__name__, "message": str(error)}
    LOG.error("%s failed: %s", what, type(error).__name__, exc_info=error)
    return {"error": ControlError.__name__, "message": f"{what} failed: {type(error).__name__}."}


def error_of(outcome: Mapping[str, Any]) -> KeystoreError | None:
    """Return the error of an outcome as its type, or None."""
    if "error" not in outcome:
        return None
    found = getattr(errors, str(outcome["error"]), ControlError)
    known = found if isinstance(found, type) and issubclass(found, KeystoreError) else ControlError
    # Some are made from more than their message; here the message is all there is.
    error: KeystoreError = known.__new__(known, str(outcome["message"]))
    return error


def value_of(outcome: Mapping[str, Any]) -> Any:
    """Return the value of an outcome.

    Raises:
        KeystoreError: it was an error.
    """
    if error := error_of(outcome):
        raise error
    return outcome["value"]
