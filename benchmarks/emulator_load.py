"""Load on a server, cheap enough that the server is what is measured: bytes made beforehand, on connections kept alive.

A round sends one request on each connection and then reads one answer from each, so as many calls are under way as
there are connections, and nothing is pipelined.
"""

import base64
import json
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from keystore_api.aws_kms.v1 import aws_kms_pb2 as pb

TIMEOUT_S = 30.0
REGION = "us-east-1"
SECRET = bytes(range(32))
CONTEXT = {"purpose": "benchmark"}
METHOD = "/keystore_api.aws_kms.v1.AwsKms/"


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Connection:
    """One HTTP connection, kept alive; made anew where the server said that it closes it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._open()

    def ask(self, request: bytes) -> Answer:
        self.send(request)
        return self.receive()

    def send(self, request: bytes) -> None:
        if self._ended:
            self._socket.close()
            self._open()
        self._socket.sendall(request)

    def receive(self) -> Answer:
        """Read one answer that tells its length."""
        data = self._read()
        while (head_end := data.find(b"\r\n\r\n")) < 0:
            data += self._read()
        head, body = data[:head_end].lower(), data[head_end + 4 :]
        at = head.index(b"content-length:") + 15
        length = int(head[at:].split(b"\r\n", 1)[0])
        while len(body) < length:
            body += self._read()
        self._ended = b"\r\nconnection: close" in head
        return Answer(int(head[9:12]), body)

    def close(self) -> None:
        self._socket.close()

    def _open(self) -> None:
        self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._ended = False

    def _read(self) -> bytes:
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionError("the server closed the connection")
        return data


def request(port: int, operation: str, parameters: Mapping[str, Any]) -> bytes:
    """Return a whole request, signed as AWS's SDKs sign."""
    body = json.dumps(parameters).encode()
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"TrentService.{operation}"}
    made = AWSRequest("POST", f"http://127.0.0.1:{port}/", headers=headers, data=body)
    SigV4Auth(Credentials("AKIAIOSFODNN7EXAMPLE", "secret"), "kms", REGION).add_auth(made)
    lines = [f"Host: 127.0.0.1:{port}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in made.headers.items()]
    return "\r\n".join(["POST / HTTP/1.1", *lines, "", ""]).encode() + body


class HttpLoad:
    """Encrypt and Decrypt under one key, over HTTP."""

    def __init__(self, port: int, connections: int) -> None:
        self._connections = [Connection(port) for _ in range(connections)]
        first = self._connections[0]
        key_id = first.ask(request(port, "CreateKey", {})).json["KeyMetadata"]["KeyId"]
        plain = base64.b64encode(SECRET).decode()
        encrypt = {"KeyId": key_id, "Plaintext": plain, "EncryptionContext": CONTEXT}
        self.requests = {"Encrypt": request(port, "Encrypt", encrypt)}
        blob = first.ask(self.requests["Encrypt"]).json["CiphertextBlob"]
        decrypt = {"CiphertextBlob": blob, "EncryptionContext": CONTEXT}
        self.requests["Decrypt"] = request(port, "Decrypt", decrypt)
        assert first.ask(self.requests["Decrypt"]).json["Plaintext"] == plain

    def per_second(self, operation: str, seconds: float) -> float:
        """Return calls answered per second, every one of them with success."""
        data, connections, count = self.requests[operation], self._connections, 0
        start = time.perf_counter()
        while (now := time.perf_counter()) - start < seconds:
            for connection in connections:
                connection.send(data)
            for connection in connections:
                answer = connection.receive()
                if answer.status != 200:
                    raise RuntimeError(f"{operation} answered {answer}")
            count += len(connections)
        return count / (now - start)

    def close(self) -> None:
        for connection in self._connections:
            connection.close()


class GrpcLoad:
    """The same over gRPC: messages encoded beforehand, answers not decoded."""

    def __init__(self, endpoint: str, calls_at_once: int) -> None:
        self._channel = grpc.insecure_channel(endpoint)
        self._at_once = calls_at_once
        created = pb.CreateKeyResponse.FromString(self._ask("CreateKey", pb.CreateKeyRequest(region=REGION)))
        key_id = created.key_metadata.key_id
        encrypt = pb.EncryptRequest(region=REGION, key_id=key_id, plaintext=SECRET, encryption_context=CONTEXT)
        reply = pb.EncryptResponse.FromString(self._ask("Encrypt", encrypt))
        decrypt = pb.DecryptRequest(region=REGION, ciphertext_blob=reply.ciphertext_blob, encryption_context=CONTEXT)
        assert pb.DecryptResponse.FromString(self._ask("Decrypt", decrypt)).plaintext == SECRET
        self._requests = {"Encrypt": encrypt.SerializeToString(), "Decrypt": decrypt.SerializeToString()}

    def per_second(self, operation: str, seconds: float) -> float:
        """Return calls answered per second; gRPC's Python client takes a good part of the time itself."""
        method: Any = self._channel.unary_unary(METHOD + operation)
        data, count = self._requests[operation], 0
        start = time.perf_counter()
        while (now := time.perf_counter()) - start < seconds:
            calls: Sequence[Any] = [method.future(data, timeout=TIMEOUT_S) for _ in range(self._at_once)]
            for call in calls:
                call.result()
            count += self._at_once
        return count / (now - start)

    def close(self) -> None:
        self._channel.close()

    def _ask(self, operation: str, message: Any) -> bytes:
        method: Any = self._channel.unary_unary(METHOD + operation)
        answer: bytes = method(message.SerializeToString(), timeout=TIMEOUT_S)
        return answer
