"""Load on a server, cheap enough that the server is what is measured: bytes made beforehand, on connections kept alive.

A round sends one request on each connection and then reads one answer from each, so as many calls are under way as
there are connections, and nothing is pipelined.
"""

import base64
import json
import socket
import ssl
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
    """One HTTP connection, over TLS if there is a context; made anew where the server said that it closes it."""

    def __init__(self, port: int, context: ssl.SSLContext | None = None) -> None:
        self._port, self._context = port, context
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
        if self._context is not None:
            self._socket = self._context.wrap_socket(self._socket, server_hostname="127.0.0.1")
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


class RequestLoad:
    """One request, over and over, on connections that it closes."""

    def __init__(self, connections: Sequence[Connection], data: bytes) -> None:
        self._connections, self._data = connections, data

    def per_second(self, seconds: float) -> float:
        """Return calls answered per second, every one of them with success."""
        count = 0
        start = time.perf_counter()
        while (now := time.perf_counter()) - start < seconds:
            for connection in self._connections:
                connection.send(self._data)
            for connection in self._connections:
                answer = connection.receive()
                if answer.status != 200:
                    raise RuntimeError(f"answered {answer}")
            count += len(self._connections)
        return count / (now - start)

    def close(self) -> None:
        for connection in self._connections:
            connection.close()


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
        return RequestLoad(self._connections, self.requests[operation]).per_second(seconds)

    def close(self) -> None:
        for connection in self._connections:
            connection.close()


class GrpcCalls:
    """Calls of one service over gRPC, such as ``/package.Service/``: messages encoded before, answers not decoded."""

    def __init__(self, channel: grpc.Channel, calls_at_once: int, service: str, requests: Mapping[str, bytes]) -> None:
        self._channel, self._at_once, self._service, self._requests = channel, calls_at_once, service, requests

    def per_second(self, operation: str, seconds: float) -> float:
        """Return calls answered per second; gRPC's Python client takes a good part of the time itself."""
        method: Any = self._channel.unary_unary(self._service + operation)
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


class GrpcLoad(GrpcCalls):
    """Encrypt and Decrypt under one key, in AWS's shape over gRPC."""

    def __init__(self, endpoint: str, calls_at_once: int) -> None:
        channel = grpc.insecure_channel(endpoint)
        created = pb.CreateKeyResponse.FromString(_ask(channel, "CreateKey", pb.CreateKeyRequest(region=REGION)))
        key_id = created.key_metadata.key_id
        encrypt = pb.EncryptRequest(region=REGION, key_id=key_id, plaintext=SECRET, encryption_context=CONTEXT)
        reply = pb.EncryptResponse.FromString(_ask(channel, "Encrypt", encrypt))
        decrypt = pb.DecryptRequest(region=REGION, ciphertext_blob=reply.ciphertext_blob, encryption_context=CONTEXT)
        assert pb.DecryptResponse.FromString(_ask(channel, "Decrypt", decrypt)).plaintext == SECRET
        requests = {"Encrypt": encrypt.SerializeToString(), "Decrypt": decrypt.SerializeToString()}
        super().__init__(channel, calls_at_once, METHOD, requests)


def _ask(channel: grpc.Channel, operation: str, message: Any) -> bytes:
    method: Any = channel.unary_unary(METHOD + operation)
    answer: bytes = method(message.SerializeToString(), timeout=TIMEOUT_S)
    return answer
