"""Turns what obstore raises into errors of places: no answer, or an answer and it is no.

obstore tells most causes apart in its text only, beside the request's address and the answer's body. Of that text our
messages carry the status, the store's own word for the error, and the system's for a connection: nothing that could be
a signed address or a credential.
"""

import re
from http import HTTPStatus

from keystore.errors import ObjectMissingError, PlaceError, PlaceMissingError, PlaceUnreachableError

_STATUS = re.compile(r"status code: (\d{3})|\bstatus: (\d{3})\b")
_CODE = re.compile(r"<Code>([A-Za-z0-9.]{1,64})</Code>")
_SYSTEM = re.compile(r'kind: [A-Za-z]+,\s+message: "([^"\n]{1,80})"')
_KIND = re.compile(r"\bkind: (Connect|Timeout|Interrupted|Decode)\b")
_IS_HTTP = re.compile(r"\bsource: BadScheme\b")
_RETRIES = re.compile(r"\bretries: [1-9]")
_RETRIED = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
_NO_PLACE = {"NoSuchBucket", "ContainerNotFound"}
_ALLOW_HTTP = {"s3": "AWS_ALLOW_HTTP", "az": "AZURE_ALLOW_HTTP", "gs": "GOOGLE_ALLOW_HTTP"}
_KINDS = {
    "Connect": "no connection",
    "Timeout": "no answer in time",
    "Interrupted": "the connection was cut",
    "Decode": "the answer was cut",
}
_WORDS = {
    "PermissionDeniedError": "permission denied",
    "UnauthenticatedError": "the credentials are not accepted",
    "NotSupportedError": "the store does not know how to",
}


def explain(error: Exception, place: object, action: str, what: str) -> PlaceError:
    """Return the error to raise for what obstore said when asked to `action` the object `what`."""
    status, code = _status(error), _code(error)
    if code in _NO_PLACE:
        return PlaceMissingError(f"{place} is not there ({code}). Nothing was changed; make it first, or name another.")
    if isinstance(error, FileNotFoundError) and action != "write":
        return ObjectMissingError(f"{place} has no object {what}. Nothing was changed.")
    if _IS_HTTP.search(str(error)):
        return PlaceError(
            f"cannot {action} {what} in {place}: its endpoint is no https:// URL. No object was changed; for http:// "
            f"set {_ALLOW_HTTP[str(place).partition(':')[0]]}=true."
        )
    said = f"cannot {action} {what} in {place}: {_cause(error, status, code)}"
    if not _is_answer(error, status):
        return PlaceUnreachableError(f"{said}. No object was changed that was there; try again.")
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return PlaceError(f"{said}. No object was changed; look at the credentials in the environment.")
    return PlaceError(f"{said}. No object was changed.")


def was_cut_off(error: Exception) -> bool:
    """Tell whether the answer was lost on the way and obstore, which asks again for some requests, did not."""
    text = str(error)
    return _status(error) is None and _KIND.search(text) is not None and _RETRIES.search(text) is None


def _is_answer(error: Exception, status: int | None) -> bool:
    """Tell whether it was a no; an answer that nobody listed is none."""
    if status is None:
        return type(error).__name__ in _WORDS or isinstance(error, ValueError)
    return status == HTTPStatus.NOT_IMPLEMENTED or (status < 500 and status not in _RETRIED)


def _status(error: Exception) -> int | None:
    found = _STATUS.search(str(error))
    return int(found[1] or found[2]) if found else None


def _code(error: Exception) -> str | None:
    found = _CODE.search(str(error))
    return found[1] if found else None


def _cause(error: Exception, status: int | None, code: str | None) -> str:
    if status is not None:
        known = status in HTTPStatus._value2member_map_
        phrase = f"{status} {HTTPStatus(status).phrase}" if known else str(status)
        return f"it answered {phrase} ({code})" if code else f"it answered {phrase}"
    text = str(error)
    if found := _SYSTEM.search(text):
        return found[1].lower()
    if found := _KIND.search(text):
        return _KINDS[found[1]]
    return _WORDS.get(type(error).__name__, "it gave no answer that is understood")
