"""The paths by which the tests of MongoDB's drivers make a KMS fail: `POST /set_failpoint/network`, `…/http`, `/reset`.

A failpoint is a fault that the next `count` calls meet, of any cloud: ``network`` ends the connection, ``http`` answers
503, which libmongocrypt tries again as it does the 429 of those tests' own server. A new one replaces the one before of
its type. Theirs alone go with `/reset`; keys stay.
"""

import json
from collections.abc import Mapping

from kms_emulator.core import Core
from kms_emulator.model.faults import Fault, FaultKind
from kms_emulator.wire.http.message import HttpRequest, HttpResponse, json_response

PREFIX, RESET_PATH = "/set_failpoint/", "/reset"
KINDS: Mapping[str, FaultKind] = {"network": FaultKind.CLOSE, "http": FaultKind.UNAVAILABLE}
COUNT_MAX = 1_000_000


class Failpoints:
    """The failpoints of one emulator."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._set: dict[str, Fault] = {}

    async def handle(self, request: HttpRequest) -> HttpResponse:
        """Answer one request."""
        if "origin" in request.headers:
            # SAFETY: a page in a browser of this machine can send requests here.
            return _answer("failpoints are not for web pages", 403)
        if request.method != "POST":
            return _answer("failpoints are set by POST", 405)
        if request.path == RESET_PATH:
            for name in KINDS:
                self._remove(name)
            return _answer("failpoints reset")
        name = request.path.removeprefix(PREFIX)
        if name not in KINDS:
            return _answer(f"there is no failpoint {name}; there are {', '.join(KINDS)}", 404)
        try:
            count = _count(request.body)
        except ValueError as error:
            return _answer(str(error), 400)
        self._remove(name)
        if count:
            self._set[name] = self._core.faults.add(Fault(KINDS[name], count=count))
        return _answer(f"failpoint set for type: '{name}'")

    def _remove(self, name: str) -> None:
        """Remove a failpoint, if it is there still; numbers begin again after a reset of the emulator."""
        fault = self._set.pop(name, None)
        if fault is not None and any(planned.fault is fault for planned in self._core.faults.planned()):
            self._core.faults.remove(fault.number)


def _count(body: bytes) -> int:
    try:
        count = json.loads(body)["count"]
    except (ValueError, TypeError, KeyError, RecursionError):
        count = None
    if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count <= COUNT_MAX:
        raise ValueError(f'the body must be {{"count": N}}, with N from 0 to {COUNT_MAX}')
    return count


def _answer(message: str, status: int = 200) -> HttpResponse:
    return json_response({"message": message}, status)
