"""Azure's side of the table: a key with what an operation needs, put into a state, and the operation's outcome."""

import base64
import itertools
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from tests.emulator.azure_http.raw import ask
from tests.emulator.running import Running

API = "?api-version=7.6"
DIGEST = base64.urlsafe_b64encode(bytes(32)).rstrip(b"=").decode()
ON_RSA = ("encrypt", "decrypt", "wrapKey", "unwrapKey")
OAEP, ECDSA = "RSA-OAEP-256", "ES256"
Request = tuple[str, str, Any]


class OnAzure:
    """One emulator with a vault, and a key of its own for each cell."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._names = (f"k{number}" for number in itertools.count())

    def outcome(self, operation: str, state: str) -> str:
        """Return OK, or the code of the refusal, and the inner one, if it has one."""
        name = next(self._names)
        described = {"kty": "RSA", "key_size": 2048} if operation in ON_RSA else {"kty": "EC", "crv": "P-256"}
        made = self._send("POST", f"/keys/{name}/create", described)
        version = made["key"]["kid"].rpartition("/")[2]
        request = self._prepared(operation, name, version)
        self._put(name, version, state)
        status, answer, _ = ask(self._running, request[0], request[1] + API, request[2])
        if status < 400:
            return "OK"
        error = answer["error"]
        inner = error.get("innererror", {}).get("code")
        return error["code"] if inner is None else f"{error['code']} {inner}"

    def _send(self, method: str, path: str, body: Any = None) -> Any:
        status, answer, _ = ask(self._running, method, path + API, body)
        assert status < 400, answer
        return answer

    def _put(self, name: str, version: str, state: str) -> None:
        if state == "disabled":
            self._send("PATCH", f"/keys/{name}/{version}", {"attributes": {"enabled": False}})
        elif state != "enabled":
            self._send("DELETE", f"/keys/{name}")
        if state == "gone":
            self._send("DELETE", f"/deletedkeys/{name}")

    def _prepared(self, operation: str, name: str, version: str) -> Request:
        """Return the request, with what had to be made while the key was enabled."""
        this = f"/keys/{name}/{version}"
        match operation:
            case "encrypt" | "wrapKey":
                return "POST", f"{this}/{operation}", {"alg": OAEP, "value": DIGEST}
            case "decrypt" | "unwrapKey":
                forward = {"decrypt": "encrypt", "unwrapKey": "wrapKey"}[operation]
                sealed = self._send("POST", f"{this}/{forward}", {"alg": OAEP, "value": DIGEST})["value"]
                return "POST", f"{this}/{operation}", {"alg": OAEP, "value": sealed}
            case "sign":
                return "POST", f"{this}/sign", {"alg": ECDSA, "value": DIGEST}
            case "verify":
                signature = self._send("POST", f"{this}/sign", {"alg": ECDSA, "value": DIGEST})["value"]
                return "POST", f"{this}/verify", {"alg": ECDSA, "digest": DIGEST, "value": signature}
            case "restore":
                return "POST", "/keys/restore", self._send("POST", f"/keys/{name}/backup")
            case _:
                return self._simple(operation, name, this)

    def _simple(self, operation: str, name: str, this: str) -> Request:
        requests: dict[str, Request] = {
            "get": ("GET", this, None),
            "get versions": ("GET", f"/keys/{name}/versions", None),
            "update tags": ("PATCH", this, {"tags": {"a": "b"}}),
            "update enabled": ("PATCH", this, {"attributes": {"enabled": True}}),
            "update disabled": ("PATCH", this, {"attributes": {"enabled": False}}),
            "rotate": ("POST", f"/keys/{name}/rotate", None),
            "import": ("PUT", f"/keys/{name}", {"key": _jwk()}),
            "delete": ("DELETE", f"/keys/{name}", None),
            "recover": ("POST", f"/deletedkeys/{name}/recover", None),
            "purge": ("DELETE", f"/deletedkeys/{name}", None),
            "get deleted": ("GET", f"/deletedkeys/{name}", None),
            "backup": ("POST", f"/keys/{name}/backup", None),
        }
        return requests[operation]


def _jwk() -> dict[str, str]:
    numbers = ec.derive_private_key(1, ec.SECP256R1()).private_numbers()
    public = numbers.public_numbers
    values = {"x": public.x, "y": public.y, "d": numbers.private_value}
    encoded = {
        name: base64.urlsafe_b64encode(value.to_bytes(32, "big")).rstrip(b"=").decode()
        for name, value in values.items()
    }
    return {"kty": "EC", "crv": "P-256", **encoded}
