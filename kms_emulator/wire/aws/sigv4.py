"""AWS Signature Version 4: what a request was signed with, and what its signature should be.

Works from the request as it came: header values, path and query are taken as sent, so a client that signs a Host
without its port, or headers in any order, is verified over what it signed. Leaves to others who the access key belongs
to (`authenticate`) and what time it is. Only HMAC-SHA256 over headers or query: no chunked bodies, no Signature
Version 4A.

Source: IAM user guide, "Create a signed AWS API request" and "Troubleshoot Signature Version 4 signing".
"""

import calendar
import hashlib
import hmac
import re
from dataclasses import dataclass
from functools import lru_cache
from time import gmtime
from urllib.parse import parse_qsl, quote, unquote

from kms_emulator.wire.http.message import HttpRequest

ALGORITHM = "AWS4-HMAC-SHA256"
TERMINATOR = "aws4_request"
SIGNED_QUERY = "X-Amz-Signature"
PRESIGNED_SECONDS_MAX = 604_800
"""LIMIT: seconds that a presigned request may be valid; a week."""

_TIME = re.compile(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z")
_CREDENTIAL = re.compile(r"Credential=[^,&]*?/[0-9]{8}/([^/,&]+)/([^/,&]+)/")
_ACCESS_KEY_ID = re.compile(r"Credential=([^/,&\s]+)")
_SPACES = re.compile(r" +")
_SAFE = "-_.~"


@dataclass(frozen=True, slots=True)
class Authorization:
    """What a request says about its signature.

    Attributes:
        access_key_id: whose secret signed it.
        date, region, service: the scope that the signing key was made for.
        time: when it was signed, in the form 20150830T123600Z.
        token: of temporary credentials.
        valid_s: of a presigned request, how long it is valid; None for a header.
    """

    access_key_id: str
    date: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    signature: str
    time: str
    token: str = ""
    valid_s: int | None = None

    @property
    def scope(self) -> str:
        """Return what the signing key is good for."""
        return f"{self.date}/{self.region}/{self.service}/{TERMINATOR}"


class IncompleteError(Exception):
    """The request says too little about its signature, or nothing that can be understood."""


def read_authorization(request: HttpRequest) -> Authorization | None:
    """Return what the request says about its signature; None if it is not signed at all.

    Raises:
        IncompleteError: with AWS's words for what is missing.
    """
    header = request.headers.get("authorization", "")
    if header:
        return _from_header(request, header)
    if f"{SIGNED_QUERY}=" not in request.query:
        return None
    query = dict(parse_qsl(request.query, keep_blank_values=True))
    return _from_query(query) if SIGNED_QUERY in query else None


def _from_header(request: HttpRequest, header: str) -> Authorization:
    algorithm, _, rest = header.strip().partition(" ")
    if algorithm != ALGORITHM:
        raise IncompleteError(f"Unsupported AWS 'algorithm': '{algorithm}'.")
    pairs = (part.strip().partition("=") for part in rest.split(","))
    fields = {name: value for name, _, value in pairs}
    missing = [
        f"Authorization header requires '{name}' parameter."
        for name in ("Credential", "Signature", "SignedHeaders")
        if not fields.get(name)
    ]
    time = request.headers.get("x-amz-date") or request.headers.get("date", "")
    if not time:
        missing.append("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
    if missing:
        # AWS repeats the header; the signature in it is worthless to anybody else after five minutes.
        raise IncompleteError(" ".join((*missing, f"Authorization={header}")))
    return _authorization(fields, time, request.headers.get("x-amz-security-token", ""), None)


def _from_query(query: dict[str, str]) -> Authorization:
    names = ("Algorithm", "Credential", "SignedHeaders", "Date", "Expires")
    missing = [f"X-Amz-{name}" for name in names if not query.get(f"X-Amz-{name}")]
    if missing:
        raise IncompleteError(f"AWS query-string parameters must include {', '.join(missing)}.")
    if query["X-Amz-Algorithm"] != ALGORITHM:
        raise IncompleteError(f"Unsupported AWS 'algorithm': '{query['X-Amz-Algorithm']}'.")
    valid = query["X-Amz-Expires"]
    if not re.fullmatch(r"[0-9]{1,6}", valid) or not 0 < int(valid) <= PRESIGNED_SECONDS_MAX:
        raise IncompleteError(f"X-Amz-Expires must be a number of seconds from 1 to {PRESIGNED_SECONDS_MAX}.")
    fields = {name: query[f"X-Amz-{name}"] for name in ("Credential", "SignedHeaders", "Signature")}
    return _authorization(fields, query["X-Amz-Date"], query.get("X-Amz-Security-Token", ""), int(valid))


def _authorization(fields: dict[str, str], time: str, token: str, valid_s: int | None) -> Authorization:
    parts = fields["Credential"].rsplit("/", 4)
    if len(parts) != 5 or not parts[0]:
        raise IncompleteError(
            f"Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, "
            f"got '{fields['Credential']}'."
        )
    return Authorization(
        access_key_id=parts[0],
        date=parts[1],
        region=parts[2],
        service=parts[3] if parts[4] == TERMINATOR else "",
        signed_headers=tuple(fields["SignedHeaders"].split(";")),
        signature=fields["Signature"],
        time=time,
        token=token,
        valid_s=valid_s,
    )


def signed_for(request: HttpRequest) -> tuple[str, str]:
    """Return the region and the service that a request was signed for, whatever else is wrong with it; or nothing."""
    found = _CREDENTIAL.search(request.headers.get("authorization") or unquote(request.query))
    return (found[1], found[2]) if found else ("", "")


def signed_with(request: HttpRequest) -> str:
    """Return the access key id that a request names, whatever else is wrong with it; or nothing."""
    found = _ACCESS_KEY_ID.search(request.headers.get("authorization") or unquote(request.query))
    return found[1] if found else ""


def canonical_request(request: HttpRequest, authorization: Authorization) -> str:
    """Return the request in the form that is signed."""
    signed = authorization.signed_headers
    headers = "".join(f"{name}:{_header_value(request, name)}\n" for name in signed)
    payload = hashlib.sha256(request.body).hexdigest()
    path, query = _canonical_path(request.path), _canonical_query(request.query)
    return "\n".join((request.method, path, query, headers, ";".join(signed), payload))


def string_to_sign(canonical: str, authorization: Authorization) -> str:
    """Return the text whose HMAC is the signature."""
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    return "\n".join((ALGORITHM, authorization.time, authorization.scope, digest))


def sign(secret: str, text: str, authorization: Authorization) -> str:
    """Return the signature of the text: 64 hexadecimal digits."""
    key = _signing_key(secret, authorization.date, authorization.region, authorization.service)
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


@lru_cache(maxsize=1024)
def _signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, TERMINATOR):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def seconds_of(time: str) -> int | None:
    """Return seconds since 1970 of a time in the form 20150830T123600Z; None if it is not one."""
    found = _TIME.fullmatch(time)
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in found.groups())
    if not (year and 1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second < 61):
        return None
    return calendar.timegm((year, month, day, hour, minute, second, 0, 0, 0))


def time_of(seconds: int) -> str:
    """Return the time in the form 20150830T123600Z."""
    year, month, day, hour, minute, second = gmtime(seconds)[:6]
    return f"{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z"


def _header_value(request: HttpRequest, name: str) -> str:
    return _SPACES.sub(" ", request.headers.get(name, "").strip())


def _canonical_path(path: str) -> str:
    """Return the path without ``.`` and ``..``, each part encoded once more, as every service but S3 wants it."""
    kept: list[str] = []
    for part in path.split("/"):
        if part == "..":
            kept[-1:] = []
        elif part not in ("", "."):
            kept.append(quote(part, safe=_SAFE))
    inner = "/".join(kept)
    return f"/{inner}/" if inner and path.endswith("/") else f"/{inner}"


def _canonical_query(query: str) -> str:
    """Return the parameters encoded and sorted, without the signature itself."""
    if not query:
        return ""
    pairs: list[tuple[str, str]] = []
    for item in query.split("&"):
        name, _, value = item.partition("=")
        if name and name != SIGNED_QUERY:
            pairs.append((quote(unquote(name), safe=_SAFE), quote(unquote(value), safe=_SAFE)))
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))
