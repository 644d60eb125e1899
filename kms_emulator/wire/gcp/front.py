"""Google's REST form: the methods of gRPC under URLs, JSON in and out, errors as Google's HTTP front words them."""

import urllib.parse

from kms_emulator.core import Core
from kms_emulator.wire.call import Call, Caller, CloudError
from kms_emulator.wire.gcp import names
from kms_emulator.wire.gcp.authenticate import authenticate
from kms_emulator.wire.gcp.errors import not_emulated
from kms_emulator.wire.gcp.rules import PREFIX as PREFIX
from kms_emulator.wire.gcp.rules import find_rule
from kms_emulator.wire.gcp.transcoding import read_request, write_answer, write_error
from kms_emulator.wire.http.message import HttpRequest, HttpResponse, json_response
from kms_emulator.wire.perform import note, perform

CHALLENGE = ("www-authenticate", 'Bearer realm="https://accounts.google.com/"')
"""The header of every answer 401."""


class GcpFront:
    """Answers requests to Google's REST endpoint of one core."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def handle(self, request: HttpRequest) -> HttpResponse:
        """Answer one request."""
        try:
            return json_response(await self._answer(request))
        except CloudError as error:
            status, body = write_error(error)
            found = json_response(body, status)
            headers = (CHALLENGE,) if status == 401 else ()
            return HttpResponse(found.status, found.body, found.content_type, headers)

    async def _answer(self, request: HttpRequest) -> dict[str, object]:
        caller, operation = Caller(address=request.address), ""
        try:
            found = find_rule(request.method, urllib.parse.unquote(request.path))
            if found is None:
                raise not_emulated(f"{request.method} {request.path}")
            rule, name = found
            operation = rule.operation
            caller = authenticate(self._core, request.headers.get("authorization", ""), request.address)
            message = read_request(rule, name, request.query, request.body)
        except CloudError as error:
            note(Call(self._core, names.REALM, operation, caller), error.code)
            raise
        answer = await perform(self._core, rule.adapter, operation, message, caller)
        return write_answer(answer, request.query)
