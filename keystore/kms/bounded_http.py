"""HTTP answers that end: the connections under the clouds' SDKs, which read whatever a server sends, for as long as it
sends.

Leaves to the SDKs: TLS, proxies, the time for a connection and for one read.

Invariants:
1. An answer, its head included, has at most `ANSWER_BYTES_MAX` bytes on the wire, and those are all that it is: what is
   compressed is not taken.
2. It is there `ANSWER_TIMEOUT_S` after the request, or the call fails as one without an answer. A server that says a
   byte from time to time holds up nobody.
"""

import http.client
import io
import socket
import time
from functools import cache
from typing import TYPE_CHECKING, Any

from keystore.errors import KmsSetupError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from requests import Session

ANSWER_TIMEOUT_S = 10.0
"""LIMIT: seconds from a request to the last byte of its answer; a KMS answers in milliseconds."""

ANSWER_BYTES_MAX = 1 << 20
"""LIMIT: bytes of an answer; the largest of a KMS or of who gives out tokens has some thousand."""


class _Bounded(io.RawIOBase):
    """What a socket brings, as long as it is within the limits."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection, self._raw = connection, connection.makefile("rb", buffering=0)
        self._ends_s, self._left = time.monotonic() + ANSWER_TIMEOUT_S, ANSWER_BYTES_MAX

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int | None:
        left_s = self._ends_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError(f"the answer was not there after {ANSWER_TIMEOUT_S:.0f} s")
        if not self._left:
            raise OSError(f"the answer is longer than {ANSWER_BYTES_MAX} bytes")
        usual_s = self._connection.gettimeout()
        self._connection.settimeout(left_s if usual_s is None else min(usual_s, left_s))
        try:
            count = self._raw.readinto(memoryview(buffer)[: self._left])
        finally:
            self._connection.settimeout(usual_s)
        self._left -= count or 0
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class BoundedResponse(http.client.HTTPResponse):
    """An answer that is read through `_Bounded`, from its first byte."""

    def __init__(self, sock: socket.socket, *arguments: Any, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        self.fp.close()
        self.fp = io.BufferedReader(_Bounded(sock))


def bound_boto3(client: Any) -> None:
    """Have the answers to a boto3 client be bounded; before its first call.

    Raises:
        KmsSetupError: this boto3 is not made as the ones that are known.
    """
    from botocore.awsrequest import AWSHTTPConnectionPool, AWSHTTPSConnectionPool

    try:
        # boto3 has no setting for that. Its session shares this table with every manager of connections.
        pools = client._endpoint.http_session._pool_classes_by_scheme
    except AttributeError:
        raise KmsSetupError("this version of boto3 is not known. Nothing was sent; install another one.") from None
    pools.update(http=_pool_of(AWSHTTPConnectionPool), https=_pool_of(AWSHTTPSConnectionPool))


def bounded_session(source: str | None = None) -> "Session":
    """Return a session of `requests` whose answers over HTTPS are bounded; it follows no redirection by itself.

    Args:
        source: the address of this machine that connections come from; without, any.
    """
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3 import HTTPConnectionPool, HTTPSConnectionPool

    pools = {"http": _pool_of(HTTPConnectionPool), "https": _pool_of(HTTPSConnectionPool)}
    from_source: Any = {} if source is None else {"source_address": (source, 0)}

    class Bounded(HTTPAdapter):
        def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
            super().init_poolmanager(*arguments, **{**options, **from_source})
            self.poolmanager.pool_classes_by_scheme = pools

        def proxy_manager_for(self, *arguments: Any, **options: Any) -> Any:
            manager = super().proxy_manager_for(*arguments, **options)
            manager.pool_classes_by_scheme = pools
            return manager

        def send(self, request: requests.PreparedRequest, *arguments: Any, **options: Any) -> requests.Response:
            request.headers["Accept-Encoding"] = "identity"
            response = super().send(request, *arguments, **options)
            if response.headers.get("Content-Encoding", "identity") != "identity":
                response.close()
                raise requests.exceptions.ContentDecodingError("the answer is compressed, which nobody asked for")
            return response

    session = requests.Session()
    session.mount("https://", Bounded())
    return session


@cache
def _pool_of(kind: Any) -> Any:
    """Return a kind of pool whose connections read bounded answers."""
    connection = type("BoundedConnection", (kind.ConnectionCls,), {"response_class": BoundedResponse})
    return type("BoundedPool", (kind,), {"ConnectionCls": connection})
