"""Google Cloud Storage's XML API, as far as places use it, by its documentation; not compared with the live service.

Objects (PUT with `x-goog-if-generation-match`, GET with ranges, HEAD, DELETE), lists in pages, multipart uploads, and
bearer tokens: https://cloud.google.com/storage/docs/xml-api/reference-methods
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

TOKEN = "ya29.a-token"
PAGE = 3
"""Objects in one page of a list: few, so that lists have pages."""
_WHEN = "2026-01-01T00:00:00.000Z"
_WHEN_HTTP = "Thu, 01 Jan 2026 00:00:00 GMT"


@dataclass
class Bucket:
    objects: dict[str, bytes] = field(default_factory=dict)
    uploads: dict[str, dict[int, bytes]] = field(default_factory=dict)
    begun: int = 0
    lock: Lock = field(default_factory=Lock)


@dataclass
class Request:
    key: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


@dataclass
class Answer:
    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def refusal(status: int, code: str) -> Answer:
    return Answer(status, f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>-</Message></Error>".encode())


def described(data: bytes) -> dict[str, str]:
    return {"etag": etag(data), "x-goog-generation": "1", "last-modified": _WHEN_HTTP}


def etag(data: bytes) -> str:
    return f'"{sha256(data).hexdigest()[:32]}"'


def put(bucket: Bucket, request: Request) -> Answer:
    if "uploadId" in request.query:
        parts = bucket.uploads.get(request.query["uploadId"])
        if parts is None:
            return refusal(404, "NoSuchUpload")
        parts[int(request.query["partNumber"])] = request.body
        return Answer(200, headers=described(request.body))
    if request.headers.get("x-goog-if-generation-match") == "0" and request.key in bucket.objects:
        return refusal(412, "PreconditionFailed")
    bucket.objects[request.key] = request.body
    return Answer(200, headers=described(request.body))


def post(bucket: Bucket, request: Request) -> Answer:
    if "uploads" in request.query:
        bucket.begun += 1
        upload = f"upload-{bucket.begun}"
        bucket.uploads[upload] = {}
        return Answer(200, xml("InitiateMultipartUploadResult", f"<UploadId>{upload}</UploadId>"))
    parts = bucket.uploads.get(request.query["uploadId"])
    if parts is None:
        return refusal(404, "NoSuchUpload")
    named = ElementTree.fromstring(request.body)
    wanted = [(int(part.findtext("{*}PartNumber", "0")), part.findtext("{*}ETag", "")) for part in named]
    if wanted != [(number, etag(data)) for number, data in sorted(parts.items())]:
        return refusal(400, "InvalidPart")
    if any(len(parts[number]) < 5 << 20 for number, _ in wanted[:-1]):
        return refusal(400, "EntityTooSmall")
    bucket.objects[request.key] = b"".join(parts[number] for number, _ in wanted)
    del bucket.uploads[request.query["uploadId"]]
    return Answer(200, xml("CompleteMultipartUploadResult", f"<ETag>{etag(bucket.objects[request.key])}</ETag>"))


def get(bucket: Bucket, request: Request) -> Answer:
    if not request.key:
        return listed(bucket, request)
    data = bucket.objects.get(request.key)
    if data is None:
        return refusal(404, "NoSuchKey")
    asked = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers.get("range", ""))
    if asked is None:
        return Answer(200, data, described(data))
    first, last = int(asked[1]), min(int(asked[2]), len(data) - 1)
    if first >= len(data):
        return refusal(416, "InvalidRange")
    span = {"content-range": f"bytes {first}-{last}/{len(data)}"}
    return Answer(206, data[first : last + 1], described(data) | span)


def listed(bucket: Bucket, request: Request) -> Answer:
    after = request.query.get("continuation-token", "")
    names = sorted(name for name in bucket.objects if name.startswith(request.query.get("prefix", "")) and name > after)
    page, more = names[:PAGE], len(names) > PAGE
    rows = "".join(
        f"<Contents><Key>{escape(name)}</Key><Size>{len(bucket.objects[name])}</Size><LastModified>{_WHEN}"
        f"</LastModified><ETag>{etag(bucket.objects[name])}</ETag></Contents>"
        for name in page
    )
    token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
    return Answer(200, xml("ListBucketResult", f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}{rows}"))


def delete(bucket: Bucket, request: Request) -> Answer:
    if "uploadId" in request.query:
        return Answer(204) if bucket.uploads.pop(request.query["uploadId"], None) is not None else refusal(404, "-")
    return Answer(204) if bucket.objects.pop(request.key, None) is not None else refusal(404, "NoSuchKey")


def xml(name: str, content: str) -> bytes:
    return f"<?xml version='1.0' encoding='UTF-8'?><{name}>{content}</{name}>".encode()


METHODS = {"PUT": put, "POST": post, "GET": get, "HEAD": get, "DELETE": delete}


@contextmanager
def gcs_server(buckets: dict[str, Bucket]) -> Iterator[str]:
    """Serve `buckets`, and yield the address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30.0

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            answer = self._answer(body)
            self.send_response_only(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(answer.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_any  # noqa: N815

        def _answer(self, body: bytes) -> Answer:
            if self.headers.get("authorization") != f"Bearer {TOKEN}":
                return refusal(401, "AuthenticationRequired")
            parts = urlsplit(self.path)
            name, _, key = parts.path.removeprefix("/").partition("/")
            if (name := unquote(name)) not in buckets:
                return refusal(404, "NoSuchBucket")
            query = {each: values[0] for each, values in parse_qs(parts.query, keep_blank_values=True).items()}
            headers = {each.lower(): value for each, value in self.headers.items()}
            with buckets[name].lock:
                return METHODS[self.command](buckets[name], Request(unquote(key), query, headers, body))

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
