"""Azure's HTTP side: Key Vault's REST API, on the operations that the gRPC shape has.

In this order: who asks, which api-version, is there such an operation, is the body JSON of the right types. What
follows is the same for every wire (`perform`).
"""

import urllib.parse
from random import getrandbits
from uuid import UUID

import grpc

from kms_emulator.core import Core
from kms_emulator.wire.azure import authenticate, documents, login, management, routes
from kms_emulator.wire.azure.adapter import AZURE
from kms_emulator.wire.azure.errors import bad_parameter
from kms_emulator.wire.azure.hosts import Host, host_of
from kms_emulator.wire.call import Call, Caller, CloudError, NoAnswerError
from kms_emulator.wire.http.message import HttpRequest, HttpResponse, json_response
from kms_emulator.wire.perform import INTERNAL_CODE, note, perform

API_VERSIONS = frozenset({"2016-10-01", *(f"7.{minor}" for minor in range(7)), "2025-07-01"})
API_VERSION_LATEST = "2025-07-01"
_STATUS = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.INTERNAL: 500,
    grpc.StatusCode.UNAVAILABLE: 503,
}
_CODES = {
    408: "RequestTimeout",
    413: "RequestEntityTooLarge",
    500: "InternalServerError",
    503: "ServiceUnavailable",
}
"""Azure's codes for what no operation answers."""


class AzureFront:
    """Answers requests to the vaults of one core."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def handle(self, request: HttpRequest) -> HttpResponse:
        """Answer one request: of the vault, of Entra, or of the management of vaults."""
        found_elsewhere = await login.answer(self._core, request)
        if found_elsewhere is not None:
            return found_elsewhere
        request_id = str(UUID(int=getrandbits(128), version=4))
        headers = [("x-ms-request-id", request_id), ("x-ms-keyvault-service-version", "1.9.0.0")]
        try:
            host = host_of(self._core, request)
            if management.is_meant(request):
                return management.answer(self._core, request)
            found = await self._answer(request, host, request_id)
        except CloudError as error:
            return _error_response(error, headers, authenticate.challenge(request, self._core))
        status = 204 if found is None else 200
        body = b"" if found is None else json_response(found).body
        return HttpResponse(status, body, "application/json; charset=utf-8", tuple(headers))

    def refuse(self, status: int, code: str, text: str) -> HttpResponse:
        """Return the error of a request that did not come this far."""
        return json_response({"error": {"code": _CODES.get(status, code), "message": text}}, status)

    async def _answer(self, request: HttpRequest, host: Host, request_id: str) -> dict[str, object] | None:
        caller = Caller(address=request.address)
        operation = ""
        try:
            route = routes.find(request.method, request.path)
            operation = route.operation if route is not None else ""
            caller = authenticate.authenticate(request, self._core)
            query = dict(urllib.parse.parse_qsl(request.query, keep_blank_values=True))
            _check_api_version(query)
            if route is None:
                raise routes.unknown(request.method, request.path)
            message = documents.decode(route, host.vault, query, request.body)
        except (CloudError, NoAnswerError) as error:
            code = error.code if isinstance(error, CloudError) else error.outcome
            note(Call(self._core, AZURE.provider, operation, caller, request_id), code)
            raise
        answer = await perform(self._core, AZURE, operation, message, caller, request_id)
        return documents.encode(answer, documents.Place(host, request.path, query))


def _check_api_version(query: dict[str, str]) -> None:
    version = query.get("api-version")
    if not version:
        raise bad_parameter("api-version must be specified")
    if version not in API_VERSIONS:
        raise bad_parameter(
            f"The specified version ({version}) is not recognized. Consider using the latest supported version "
            f"({API_VERSION_LATEST})."
        )


def _error_response(error: CloudError, headers: list[tuple[str, str]], challenge: str) -> HttpResponse:
    status = error.http_status or _STATUS.get(error.status, 400)
    code = _CODES[500] if error.code == INTERNAL_CODE else error.code
    described: dict[str, object] = {"code": code, "message": error.message}
    if error.inner_code:
        described["innererror"] = {"code": error.inner_code}
    if status == 401:
        headers.append(("www-authenticate", challenge))
    if error.retry_after_s:
        headers.append(("retry-after", str(error.retry_after_s)))
    found = json_response({"error": described}, status)
    return HttpResponse(status, found.body, "application/json; charset=utf-8", tuple(headers))
