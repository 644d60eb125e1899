"""The emulator's wires side by side: AWS, Azure and Google over HTTP, HTTPS, gRPC and gRPC over TLS, in one run.

`python -m benchmarks.clouds FOLDER` measures and keeps the figures there, as JSON and Markdown.

One server answers for all; the wires take turns under load, so that what else the machine does meets all of them.
Figures are the median of the turns. The client takes processor time too, on the same machine.
"""

import base64
import json
import ssl
import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message import Message
from keystore_api.google_kms.v1 import resources_pb2
from keystore_api.google_kms.v1 import service_pb2 as pb

from benchmarks.emulator import Figures, folder_parser, keep, machine, machine_line
from benchmarks.emulator_load import SECRET, Connection, GrpcCalls, GrpcLoad, HttpLoad, RequestLoad, request
from benchmarks.emulator_servers import Server, emulator

STARTS = 5
TURNS = 5
TURN_S = 1.0
AT_ONCE = 8
SERVICE = "/google.cloud.kms.v1.KeyManagementService/"
LOCATION = "projects/p/locations/global"
NAME = f"{LOCATION}/keyRings/r/cryptoKeys/k"
VERSIONS = ("cmk-keystore", "uvicorn", "uvloop", "httptools", "grpcio", "protobuf", "cryptography")


@dataclass(frozen=True)
class Wire:
    """One operation over one wire. `per_second` returns the calls answered in a turn of so many seconds."""

    cloud: str
    wire: str
    operation: str
    per_second: Callable[[float], float]


def measure(folder: Path) -> Figures:
    """Return all figures of one run."""
    starts = []
    for _ in range(STARTS):
        with emulator(folder, all_ready) as server:
            starts.append(server.ready_s)
    with emulator(folder, all_ready) as server, ExitStack() as closing_all:
        make_google_key(server.grpc)
        wires = list(all_wires(server, closing_all))
        turns: dict[Wire, list[float]] = {wire: [] for wire in wires}
        cpu_us: dict[Wire, list[float]] = {wire: [] for wire in wires}
        for _ in range(TURNS):
            for wire in wires:
                before = server.cpu_s()
                rate = wire.per_second(TURN_S)
                turns[wire].append(rate)
                cpu_us[wire].append((server.cpu_s() - before) / (rate * TURN_S) * 1e6)
    return {
        "machine": machine(VERSIONS),
        "ready_s": round(statistics.median(starts), 3),
        "calls_per_second": [
            {
                "cloud": wire.cloud,
                "wire": wire.wire,
                "operation": wire.operation,
                "calls": round(statistics.median(turns[wire])),
                "server_cpu_us_per_call": round(statistics.median(cpu_us[wire])),
            }
            for wire in wires
        ],
    }


def all_ready(where: dict[str, Any]) -> bool:
    """Tell whether every surface answers a call of its cloud."""
    try:
        with closing(Connection(_port(where["aws"]))) as aws:
            assert aws.ask(request(_port(where["aws"]), "ListKeys", {})).status == 200
        with closing(Connection(_port(where["azure"]), trust(where))) as azure:
            assert azure.ask(http("GET", "/keys?api-version=7.6")).status == 200
        for channel in (grpc.insecure_channel(where["gcp"]), secure_channel(where)):
            with closing(channel):
                ask(channel, "ListKeyRings", pb.ListKeyRingsRequest(parent=LOCATION))
    except (OSError, AssertionError, grpc.RpcError):
        return False
    return True


def all_wires(server: Server, stack: ExitStack) -> Iterator[Wire]:
    where = server.where
    plain = HttpLoad(_port(where["aws"]), AT_ONCE)
    stack.callback(plain.close)
    for operation in ("Encrypt", "Decrypt"):
        yield Wire("AWS", "HTTP", operation, _turn(plain, operation))
    for operation in ("Encrypt", "Decrypt"):
        over_tls = _load(stack, _port(where["azure"]), plain.requests[operation], trust(where))
        yield Wire("AWS", "HTTPS", operation, over_tls.per_second)
    for operation, data in azure_requests(where).items():
        yield Wire("Azure", "HTTPS", operation, _load(stack, _port(where["azure"]), data, trust(where)).per_second)
    for operation, data in google_requests(where).items():
        yield Wire("Google", "REST", operation, _load(stack, _port(where["aws"]), data).per_second)
    aws = stack.enter_context(closing(GrpcLoad(where["grpc"], AT_ONCE)))
    for operation in ("Encrypt", "Decrypt"):
        yield Wire("AWS's shape", "gRPC", operation, _turn(aws, operation))
    for name, channel in (("gRPC", grpc.insecure_channel(where["gcp"])), ("gRPC, TLS", secure_channel(where))):
        stack.callback(channel.close)
        loads = GrpcCalls(channel, AT_ONCE, SERVICE, google_messages(channel))
        for operation in ("Encrypt", "Decrypt"):
            yield Wire("Google", name, operation, _turn(loads, operation))


def _turn(load: HttpLoad | GrpcCalls, operation: str) -> Callable[[float], float]:
    return lambda seconds: load.per_second(operation, seconds)


def _load(stack: ExitStack, port: int, data: bytes, context: ssl.SSLContext | None = None) -> RequestLoad:
    return stack.enter_context(closing(RequestLoad([Connection(port, context) for _ in range(AT_ONCE)], data)))


def azure_requests(where: dict[str, Any]) -> dict[str, bytes]:
    """Make an RSA key; return the requests that wrap and unwrap under it."""
    version = "?api-version=7.6"
    with closing(Connection(_port(where["azure"]), trust(where))) as connection:
        made = connection.ask(http("POST", f"/keys/k/create{version}", {"kty": "RSA"})).json["key"]["kid"]
        path = made.partition("/keys/")[2]
        value = base64.urlsafe_b64encode(SECRET).rstrip(b"=").decode()
        wrap = http("POST", f"/keys/{path}/wrapKey{version}", {"alg": "RSA-OAEP-256", "value": value})
        wrapped = connection.ask(wrap).json["value"]
    unwrap = http("POST", f"/keys/{path}/unwrapKey{version}", {"alg": "RSA-OAEP-256", "value": wrapped})
    return {"wrapKey, RSA 2048": wrap, "unwrapKey, RSA 2048": unwrap}


def google_requests(where: dict[str, Any]) -> dict[str, bytes]:
    """Return the requests of the REST form."""
    encrypt = http("POST", f"/v1/{NAME}:encrypt", {"plaintext": base64.b64encode(SECRET).decode()})
    with closing(Connection(_port(where["aws"]))) as connection:
        sealed = connection.ask(encrypt).json["ciphertext"]
    return {"Encrypt": encrypt, "Decrypt": http("POST", f"/v1/{NAME}:decrypt", {"ciphertext": sealed})}


def google_messages(channel: grpc.Channel) -> dict[str, bytes]:
    """Return the requests of gRPC."""
    encrypt = pb.EncryptRequest(name=NAME, plaintext=SECRET)
    sealed = pb.EncryptResponse.FromString(ask(channel, "Encrypt", encrypt)).ciphertext
    decrypt = pb.DecryptRequest(name=NAME, ciphertext=sealed)
    return {"Encrypt": encrypt.SerializeToString(), "Decrypt": decrypt.SerializeToString()}


def make_google_key(endpoint: str) -> None:
    key = resources_pb2.CryptoKey(purpose=resources_pb2.CryptoKey.ENCRYPT_DECRYPT)
    with closing(grpc.insecure_channel(endpoint)) as channel:
        ask(channel, "CreateKeyRing", pb.CreateKeyRingRequest(parent=LOCATION, key_ring_id="r"))
        ring = f"{LOCATION}/keyRings/r"
        ask(channel, "CreateCryptoKey", pb.CreateCryptoKeyRequest(parent=ring, crypto_key_id="k", crypto_key=key))


def ask(channel: grpc.Channel, operation: str, message: Message) -> bytes:
    method: Any = channel.unary_unary(SERVICE + operation)
    answer: bytes = method(message.SerializeToString(), timeout=30)
    return answer


def http(method: str, path: str, body: dict[str, Any] | None = None) -> bytes:
    """Return a whole request of nobody."""
    content = json.dumps(body).encode() if body is not None else b""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Authorization: Bearer nobody"]
    lines += ["Content-Type: application/json", f"Content-Length: {len(content)}", "", ""]
    return "\r\n".join(lines).encode() + content


def trust(where: dict[str, Any]) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=where["ca"])


def secure_channel(where: dict[str, Any]) -> grpc.Channel:
    credentials = grpc.ssl_channel_credentials(Path(where["ca"]).read_bytes())
    return grpc.secure_channel(where["gcp_tls"], credentials)


def _port(place: str) -> int:
    return int(place.rpartition(":")[2])


def as_markdown(figures: Figures) -> str:
    """Return the figures as a page to read."""
    lines = [
        "# The emulator's wires",
        "",
        machine_line(figures["machine"]),
        "",
        f"Start to the first answered call of every cloud, over HTTP, HTTPS, gRPC and gRPC over TLS: "
        f"{figures['ready_s']} s, median of {STARTS}. Below medians of {TURNS} turns of {TURN_S} s, {AT_ONCE} calls at "
        "once. Client and server share the machine; gRPC's client in Python takes much of it.",
        "",
        "| cloud | wire | operation | per second | processor time of the server, µs a call |",
        "| --- | --- | --- | ---: | ---: |",
    ]
    for row in figures["calls_per_second"]:
        cells = (row["cloud"], row["wire"], row["operation"], f"{row['calls']:,}", str(row["server_cpu_us_per_call"]))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def main() -> None:
    folder: Path = folder_parser("clouds", __doc__).parse_args().folder
    with tempfile.TemporaryDirectory() as place:
        figures = measure(Path(place))
    keep(folder, "clouds", figures, as_markdown(figures))
    print(as_markdown(figures))


if __name__ == "__main__":
    main()
