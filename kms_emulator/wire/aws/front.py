"""AWS's HTTP side: one POST for every operation, named by X-Amz-Target; JSON 1.1 in and out; errors in AWS's form.

In this order: is there such an operation, who asks, is the body JSON of the right types. What follows is the same for
every wire (`perform`).
"""

import json
from random import getrandbits

from kms_emulator.core import Core
from kms_emulator.wire.aws import documents, names, sts
from kms_emulator.wire.aws.adapter import AWS
from kms_emulator.wire.aws.authenticate import authenticate
from kms_emulator.wire.aws.errors import aws_error
from kms_emulator.wire.aws.shapes import Described, api
from kms_emulator.wire.aws.sigv4 import signed_for
from kms_emulator.wire.call import Call, Caller, CloudError, NoAnswerError
from kms_emulator.wire.http.message import HttpRequest, HttpResponse
from kms_emulator.wire.perform import note, perform

CONTENT_TYPE = "application/x-amz-json-1.1"
_STATUS = {"UnknownOperationException": 404, "InternalFailure": 500, "InternalError": 500, "ServiceUnavailable": 503}
"""HTTP statuses of errors outside the model; every other is 400."""


class AwsFront:
    """Answers requests to the AWS endpoint of one core."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def handle(self, request: HttpRequest) -> HttpResponse:
        """Answer one request, of KMS or of STS."""
        if sts.is_meant(request):
            return await sts.handle(self._core, request)
        request_id = names.identifier(names.uuid4(getrandbits(128).to_bytes(16, "big")))
        try:
            return _response(request_id, 200, await self._answer(request, request_id))
        except CloudError as error:
            return _error_response(request_id, error)

    async def _answer(self, request: HttpRequest, request_id: str) -> bytes:
        caller = Caller(address=request.address)
        target = request.headers.get("x-amz-target", "")
        try:
            operation = _operation(request, target)
            caller = authenticate(request, self._core)
            message = documents.decode(operation.input, request.body)
        except (CloudError, NoAnswerError) as error:
            code = error.code if isinstance(error, CloudError) else error.outcome
            name = target.rpartition(".")[2] if target.rpartition(".")[2] in api().operations else ""
            note(Call(self._core, AWS.provider, name, caller), code)
            raise
        message.region = signed_for(request)[0]  # type: ignore[attr-defined] # every request has it
        answer = await perform(self._core, AWS, operation.name, message, caller, request_id)
        return documents.encode(operation.output, answer) if operation.output else b""


def _operation(request: HttpRequest, target: str) -> Described:
    prefix, _, name = target.rpartition(".")
    found = api().operations.get(name)
    if request.method != "POST" or request.path != "/" or prefix != api().target_prefix or found is None:
        raise aws_error("UnknownOperationException")
    return found


def _response(request_id: str, status: int, body: bytes) -> HttpResponse:
    return HttpResponse(status, body, CONTENT_TYPE, (("x-amzn-requestid", request_id),))


def _error_response(request_id: str, error: CloudError) -> HttpResponse:
    status = error.http_status or _STATUS.get(error.code) or api().errors.get(error.code, 400)
    described = {"__type": error.code}
    if error.message:
        described["message"] = error.message
    return _response(request_id, status, json.dumps(described).encode())
