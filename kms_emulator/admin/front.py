"""Admin over HTTP: JSON under `/_emulator/`, on the port of AWS's wire."""

import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any

from google.protobuf.message import Message
from keystore_api.admin.v1 import admin_pb2 as pb

from kms_emulator.admin.controls import Controls
from kms_emulator.admin.errors import MissingError, RefusedError
from kms_emulator.admin.forms import form_of, read_form, to_form
from kms_emulator.admin.metrics import CONTENT_TYPE
from kms_emulator.wire.http.message import HttpRequest, HttpResponse, json_response

PREFIX = "/_emulator/"
Page = Callable[[HttpRequest, str], HttpResponse]


class AdminFront:
    """Finds what a path and a method mean, and answers in JSON; errors as ``{"error": {"message": …}}``."""

    def __init__(self, controls: Controls) -> None:
        self._pages = dict(_pages(controls))

    async def handle(self, request: HttpRequest) -> HttpResponse:
        """Answer one request below the prefix."""
        if "origin" in request.headers:
            # SAFETY: a page in a browser of this machine can send requests here, without being able to read answers.
            return _error(403, "admin takes no requests of web pages")
        name, _, rest = request.path.removeprefix(PREFIX).strip("/").partition("/")
        methods = self._pages.get(name, {}) if not rest else self._pages.get(f"{name}/{rest}")
        if methods is None:
            methods = self._pages.get(f"{name}/*")
        if not methods:
            return _error(404, f"there is no {request.path}; there are {', '.join(sorted(self._pages))}")
        page = methods.get(request.method)
        if page is None:
            return _error(405, f"{request.path} takes {', '.join(sorted(methods))}", ("allow", ", ".join(methods)))
        try:
            return page(request, urllib.parse.unquote(rest))
        except MissingError as error:
            return _error(404, str(error))
        except RefusedError as error:
            return _error(400, str(error))


def _pages(controls: Controls) -> Iterator[tuple[str, dict[str, Page]]]:
    """Yield each path below the prefix, with what its methods do; ``*`` stands for a name."""
    yield "health", {"GET": lambda request, _: _health(controls)}
    yield "info", {"GET": _asked(pb.GetServerInfoRequest, controls.server_info)}
    yield (
        "clock",
        {"GET": _asked(pb.GetClockRequest, controls.get_clock), "PUT": _told(pb.SetClockRequest, controls.set_clock)},
    )
    yield "clock/advance", {"POST": _told(pb.AdvanceClockRequest, controls.advance_clock)}
    yield "calls", {"GET": _asked(pb.ListCallsRequest, controls.list_calls)}
    yield "metrics", {"GET": lambda request, _: _metrics(controls)}
    yield (
        "faults",
        {
            "GET": _asked(pb.ListFaultsRequest, controls.list_faults),
            "POST": _told(pb.Fault, controls.add_fault, 201),
            "DELETE": lambda request, _: _answer(controls.remove_faults(pb.RemoveFaultsRequest())),
        },
    )
    yield "faults/*", {"DELETE": lambda request, rest: _answer(controls.remove_faults(_numbered(rest)))}
    yield (
        "users",
        {
            "GET": _asked(pb.ListUsersRequest, controls.list_users),
            "POST": _told(pb.PutUserRequest, controls.put_user, 201),
        },
    )
    yield "users/*", {"DELETE": lambda request, rest: _answer(controls.remove_user(pb.RemoveUserRequest(name=rest)))}
    yield (
        "service-accounts",
        {
            "GET": _asked(pb.ListServiceAccountsRequest, controls.list_service_accounts),
            "POST": _told(pb.PutServiceAccountRequest, controls.put_service_account, 201),
        },
    )
    yield (
        "service-accounts/*",
        {
            "DELETE": lambda request, rest: _answer(
                controls.remove_service_account(pb.RemoveServiceAccountRequest(email=rest))
            )
        },
    )
    yield (
        "applications",
        {
            "GET": _asked(pb.ListApplicationsRequest, controls.list_applications),
            "POST": _told(pb.PutApplicationRequest, controls.put_application, 201),
        },
    )
    yield "applications/*", {"DELETE": lambda request, rest: _answer(controls.remove_application(_client(rest)))}
    yield (
        "vaults",
        {
            "GET": _asked(pb.ListVaultsRequest, controls.list_vaults),
            "POST": _told(pb.PutVaultRequest, controls.put_vault),
        },
    )
    yield (
        "guard",
        {"GET": _asked(pb.GetGuardRequest, controls.get_guard), "PUT": _told(pb.SetGuardRequest, controls.set_guard)},
    )
    yield (
        "key-uses",
        {
            "POST": _told(pb.KeyUse, controls.add_key_use, 201),
            "DELETE": _asked(pb.RemoveKeyUsesRequest, controls.remove_key_uses),
        },
    )
    yield "key-uses/*", {"DELETE": lambda request, rest: _answer(controls.remove_key_uses(_use(rest)))}
    yield "state", {"GET": _asked(pb.GetStateRequest, controls.get_state)}
    yield "reset", {"POST": _told(pb.ResetRequest, controls.reset)}


def _asked(form: type[Any], run: Callable[[Any], Message]) -> Page:
    """Return a page whose request is in the query; a number may be written as text there."""

    def page(request: HttpRequest, _: str) -> HttpResponse:
        pairs = urllib.parse.parse_qsl(request.query, keep_blank_values=True)
        return _answer(run(form_of(form, dict(pairs))))

    return page


def _told(form: type[Any], run: Callable[[Any], Message], status: int = 200) -> Page:
    """Return a page whose request is in the body."""

    def page(request: HttpRequest, _: str) -> HttpResponse:
        return _answer(run(read_form(form, request.body)), status)

    return page


def _numbered(text: str) -> pb.RemoveFaultsRequest:
    if not text.isascii() or not text.isdecimal() or not 0 < int(text[:19]) < 1 << 63:
        raise MissingError(f"there is no fault {text}")
    return pb.RemoveFaultsRequest(number=int(text[:19]))


def _use(text: str) -> pb.RemoveKeyUsesRequest:
    if not text.isascii() or not text.isdecimal() or not 0 < int(text[:19]) < 1 << 63:
        raise MissingError(f"there is no use of a key with the number {text}")
    return pb.RemoveKeyUsesRequest(number=int(text[:19]))


def _client(text: str) -> pb.RemoveApplicationRequest:
    return pb.RemoveApplicationRequest(client_id=text)


def _health(controls: Controls) -> HttpResponse:
    info = controls.server_info(pb.GetServerInfoRequest())
    return json_response({"status": "ok", "version": info.version, "services": ["aws", "azure", "gcp"]})


def _metrics(controls: Controls) -> HttpResponse:
    return HttpResponse(200, controls.get_metrics(pb.GetMetricsRequest()).text.encode(), CONTENT_TYPE)


def _answer(message: Message, status: int = 200) -> HttpResponse:
    return json_response(to_form(message), status)


def _error(status: int, message: str, *headers: tuple[str, str]) -> HttpResponse:
    found = json_response({"error": {"message": message}}, status)
    return HttpResponse(found.status, found.body, found.content_type, headers)
