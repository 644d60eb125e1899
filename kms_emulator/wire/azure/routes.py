"""Paths of Key Vault's REST API, and the operation that each means with a method. Case does not matter."""

import urllib.parse
from dataclasses import dataclass

import grpc

from kms_emulator.wire.call import CloudError

NAME, VERSION = "{name}", "{version}"
_TABLE = {
    "POST keys/restore": "RestoreKey",
    "POST rng": "GetRandomBytes",
    "GET keys": "ListKeys",
    "POST keys/{name}/create": "CreateKey",
    "GET keys/{name}": "GetKey",
    "GET keys/{name}/versions": "ListKeyVersions",
    "PATCH keys/{name}": "UpdateKey",
    "PATCH keys/{name}/{version}": "UpdateKey",
    "DELETE keys/{name}": "DeleteKey",
    "PUT keys/{name}": "ImportKey",
    "POST keys/{name}/rotate": "RotateKey",
    "POST keys/{name}/backup": "BackupKey",
    "GET keys/{name}/rotationpolicy": "GetRotationPolicy",
    "PUT keys/{name}/rotationpolicy": "UpdateRotationPolicy",
    "POST keys/{name}/{version}/sign": "Sign",
    "POST keys/{name}/{version}/verify": "Verify",
    "POST keys/{name}/{version}/encrypt": "Encrypt",
    "POST keys/{name}/{version}/decrypt": "Decrypt",
    "POST keys/{name}/{version}/wrapkey": "WrapKey",
    "POST keys/{name}/{version}/unwrapkey": "UnwrapKey",
    "GET keys/{name}/{version}": "GetKey",
    "GET deletedkeys": "ListDeletedKeys",
    "GET deletedkeys/{name}": "GetDeletedKey",
    "DELETE deletedkeys/{name}": "PurgeDeletedKey",
    "POST deletedkeys/{name}/recover": "RecoverDeletedKey",
}
_PATTERNS = [(line.partition(" ")[0], line.partition(" ")[2].split("/"), name) for line, name in _TABLE.items()]


@dataclass(frozen=True, slots=True)
class Route:
    """An operation, and the names in the path; the version is empty where the path leaves it out."""

    operation: str
    name: str = ""
    version: str = ""


def find(method: str, path: str) -> Route | None:
    """Return what a request means, or None. The first pattern that fits decides."""
    parts = [urllib.parse.unquote(part) for part in path.removeprefix("/").split("/")]
    if len(parts) > 1 and not parts[-1] and parts[-2]:
        parts.pop()  # a version left out: /keys/NAME/
    for wanted, pattern, operation in _PATTERNS:
        if wanted == method and len(pattern) == len(parts) and all(map(_fits, pattern, parts)):
            given = dict(zip(pattern, parts, strict=True))
            return Route(operation, given.get(NAME, ""), given.get(VERSION, ""))
    return None


def unknown(method: str, path: str) -> CloudError:
    """Return 405 for a path that other methods have, 404 for one that there is not."""
    if any(find(other, path) is not None for other in ("GET", "PUT", "POST", "PATCH", "DELETE")):
        text = f"The HTTP method {method} is not allowed on this path."
        return CloudError("MethodNotAllowed", text, grpc.StatusCode.UNIMPLEMENTED, http_status=405)
    return CloudError("NotFound", f"There is no resource {path}.", grpc.StatusCode.NOT_FOUND)


def _fits(wanted: str, part: str) -> bool:
    if wanted == VERSION:
        return True
    return bool(part) if wanted == NAME else wanted == part.lower()
