"""The one ASGI application: reads a request to its end, gives it to a handler, sends what that returns.

A handler is found by the request's path. Whatever a handler raises, the client gets an answer without a traceback, and
the process goes on.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, MutableMapping
from dataclasses import replace
from typing import Any

from kms_emulator.wire.call import NoAnswerError
from kms_emulator.wire.http.message import Handler, HttpRequest, HttpResponse, json_response
from kms_emulator.wire.perform import internal_error

BODY_BYTES_MAX = 1 << 20
"""LIMIT: bytes of a request's body, as for gRPC; the largest legal one is a key policy of 128 KiB and some."""

BODY_READ_S_MAX = 60
"""LIMIT: seconds for a body to come; a connection that stalls is answered 408 and closed."""

LINGER_S_MAX = 5
"""LIMIT: seconds for which the rest of a refused body is taken before the connection is closed."""

REQUESTS_AT_ONCE_MAX = 1000
"""LIMIT: requests under way at once, each of which may make a key in a thread; more are told to come again."""

ABORT_KEY = "kms_emulator.abort"
"""Where the server puts the function that drops a connection into a request's scope."""

BODY_KEY = "kms_emulator.body"
"""Where the server puts the body of a request that came as a whole into its scope: there is nothing to wait for."""

JOIN_KEY = "kms_emulator.join"
"""Where the server puts what makes one write of several, for as long as it is entered, into a request's scope."""

CLOSING = (("connection", "close"),)
"""The headers of an answer to a request that was not read to its end."""

_APART = contextlib.nullcontext()

Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
Refuse = Callable[[int, str, str], HttpResponse]
"""Makes the error of a status, of AWS's code and a text."""


class GoneError(Exception):
    """The client went away before its request was complete."""


class TooLongError(Exception):
    """The body is longer than BODY_BYTES_MAX."""


class TooSlowError(Exception):
    """The body did not come within BODY_READ_S_MAX."""


class App:
    """Handlers by path: an exact path first, then the longest prefix that ends with a slash, then the default.

    `refuse` is how the default's cloud words what no handler gets to see.
    """

    def __init__(
        self,
        default: Handler,
        exact: Mapping[str, Handler],
        prefixes: Mapping[str, Handler],
        refuse: Refuse | None = None,
    ) -> None:
        self._default, self._exact, self._refuse = default, dict(exact), refuse or refuse_as_aws
        self._under_way = 0
        self._idle: set[Callable[[], None]] = set()
        self._stopping = False
        self._prefixes = sorted(prefixes.items(), key=lambda item: -len(item[0]))

    async def __call__(self, scope: Event, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        self._under_way += 1
        try:
            await self._serve(scope, receive, send)
        except asyncio.CancelledError:  # the server stops, and the request took too long to end by itself
            await _drop(scope, receive)
        finally:
            self._under_way -= 1

    def stop(self) -> None:
        """Drop the connections of requests that nothing is done for: half sent, or told to hang. They would not end."""
        self._stopping = True
        for abort in list(self._idle):
            abort()

    @contextlib.contextmanager
    def _idling(self, scope: Event) -> Iterator[None]:
        """Let `stop` drop the connection for as long as the block lasts."""
        abort = scope[ABORT_KEY]
        self._idle.add(abort)
        if self._stopping:
            abort()
        try:
            yield
        finally:
            self._idle.discard(abort)

    async def _serve(self, scope: Event, receive: Receive, send: Send) -> None:
        try:
            response = await self._respond(scope, receive)
        except GoneError:
            return
        except NoAnswerError as error:
            if error.wait is not None:
                with self._idling(scope):
                    await _until_gone(error.wait, receive)
            await _drop(scope, receive)
            return
        with scope.get(JOIN_KEY, _APART):
            await _send(response, send)
        if response.headers == CLOSING:
            with self._idling(scope):
                await _linger(receive)
            await send({"type": "http.response.body", "body": b""})

    async def _respond(self, scope: Event, receive: Receive) -> HttpResponse:
        try:
            whole = scope.get(BODY_KEY)
            body = await self._read(scope, receive) if whole is None else _within_limit(whole)
            request = _request(scope, body)
            if self._under_way > REQUESTS_AT_ONCE_MAX:
                text = f"more than {REQUESTS_AT_ONCE_MAX} requests are under way; try again"
                return self._refuse(503, "ServiceUnavailable", text)
            return await self._handler(request.path)(request)
        except (GoneError, NoAnswerError):
            raise
        except TooLongError:
            text = f"the body is longer than {BODY_BYTES_MAX} bytes"
            return _last(self._refuse(413, "RequestEntityTooLargeException", text))
        except TooSlowError:
            text = f"the body did not come within {BODY_READ_S_MAX} s"
            return _last(self._refuse(408, "RequestTimeoutException", text))
        except Exception as error:
            failed = internal_error(f"{scope['method']} request", error)
            return self._refuse(500, failed.code, failed.message)

    async def _read(self, scope: Event, receive: Receive) -> bytes:
        """Return the body of a request that is still coming."""
        with self._idling(scope):
            _refuse_announced(scope)
            try:
                async with asyncio.timeout(BODY_READ_S_MAX):
                    return await _read_body(receive)
            except TimeoutError:
                raise TooSlowError from None

    def _handler(self, path: str) -> Handler:
        found = self._exact.get(path)
        if found is not None:
            return found
        return next((handler for prefix, handler in self._prefixes if path.startswith(prefix)), self._default)


async def _drop(scope: Event, receive: Receive) -> None:
    """End the connection without an answer."""
    scope[ABORT_KEY]()
    await _gone(receive)  # before that uvicorn would answer in our place


async def _gone(receive: Receive) -> None:
    """Wait until the connection ends; what still comes of the request, also one that came as a whole, is not it."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _until_gone(wait: Callable[[], Awaitable[None]], receive: Receive) -> None:
    """Wait as asked, but not longer than the client does."""
    waiting, leaving = asyncio.ensure_future(wait()), asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait({waiting, leaving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
        leaving.cancel()


async def _linger(receive: Receive) -> None:
    """Take what the client is still sending, and keep none: closed at once, it would be reset and miss the answer."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LINGER_S_MAX):
            while (event := await receive())["type"] == "http.request" and event.get("more_body"):
                pass


async def _read_body(receive: Receive) -> bytes:
    body = b""
    while (event := await receive())["type"] == "http.request":  # every turn adds bytes, up to the limit, or waits
        body = _within_limit(body + event["body"])
        if not event.get("more_body"):
            return body
    raise GoneError


def _refuse_announced(scope: Event) -> None:
    """TooLongError for a body that says so itself, before any of it is read or asked for with 100-continue."""
    for name, value in scope["headers"]:
        if name == b"content-length" and int(value) > BODY_BYTES_MAX:  # the parser refuses what is not a number
            raise TooLongError


def refuse_as_aws(status: int, code: str, text: str) -> HttpResponse:
    """Return an error as AWS words it."""
    return json_response({"__type": code, "message": text}, status)


def _last(response: HttpResponse) -> HttpResponse:
    """Return an error that closes the connection: the rest of the body is not read, so it is of no more use."""
    return replace(response, headers=CLOSING)


def _within_limit(body: bytes) -> bytes:
    if len(body) > BODY_BYTES_MAX:
        raise TooLongError
    return body


def _request(scope: Event, body: bytes) -> HttpRequest:
    raw = scope["headers"]
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in raw}
    client = scope.get("client")
    return HttpRequest(
        method=scope["method"],
        path=scope["raw_path"].decode("latin-1"),
        query=scope["query_string"].decode("latin-1"),
        headers=headers if len(headers) == len(raw) else _joined(raw),
        body=body,
        address=client[0] if client else "",
    )


def _joined(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return headers of which some were sent more than once."""
    values: dict[str, list[str]] = {}
    for name, value in raw:
        values.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
    return {name: ",".join(several) for name, several in values.items()}


async def _send(response: HttpResponse, send: Send) -> None:
    headers = [
        (b"content-type", response.content_type.encode("latin-1")),
        (b"content-length", str(len(response.body)).encode()),
        *((name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers),
    ]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body, "more_body": response.headers == CLOSING})
