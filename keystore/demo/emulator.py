"""The KMS emulator as a process of its own, and the keys in it, over gRPC alone.

`keystore` and the emulator share the wire and nothing else, so it is started by its module's name.
"""

import contextlib
import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self, TypeVar

import grpc
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from keystore_api.admin.v1 import admin_pb2, admin_pb2_grpc
from keystore_api.aws_kms.v1 import aws_kms_pb2, aws_kms_pb2_grpc
from keystore_api.azure_keyvault.v1 import azure_keyvault_pb2, azure_keyvault_pb2_grpc
from keystore_api.google_kms.v1 import resources_pb2, service_pb2

from keystore.errors import KmsError, KmsUnreachableError
from keystore.kms.uri import KeyUri, parse

PROVIDERS = ("aws", "azure", "gcp")
START_TIMEOUT_S = 60.0
"""LIMIT: seconds until the emulator serves; a second on an idle machine."""
STOP_TIMEOUT_S = 10.0
CALL_TIMEOUT_S = 30.0
"""LIMIT: seconds for one call; making an RSA key takes some on a busy machine."""

REGION, VAULT, LOCATION, RING = "us-east-1", "demo-vault", "projects/demo/locations/global", "demo-ring"
_GOOGLE = "/google.cloud.kms.v1.KeyManagementService/"

Reply = TypeVar("Reply", bound=Message)


class EmulatorProcess:
    """A running emulator; a context manager that ends it.

    Attributes:
        endpoints: by name; without the extra `emulator` there is gRPC alone.
    """

    def __init__(self, log: Path, data_dir: Path | None = None) -> None:
        """Start it on a free port of this machine.

        Args:
            log: file for what it says on stderr.
            data_dir: where it keeps its keys; by default in memory.

        Raises:
            KmsUnreachableError: it ended, or did not serve in time.
        """
        command = [sys.executable, "-m", "kms_emulator.cli.main", "serve", "--port", "0", "--json"]
        if data_dir is not None:
            command += ["--data-dir", str(data_dir)]
        self._log = log
        with log.open("wb") as stderr:
            # A session of its own: Ctrl-C reaches this process alone, which then ends the emulator in order.
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, start_new_session=True
            )
        try:
            self.endpoints = self._read_endpoints()
        except BaseException:
            self.stop()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def endpoint(self) -> str:
        """HOST:PORT of its gRPC."""
        return self.endpoints["grpc"]

    def _read_endpoints(self) -> dict[str, str]:
        assert self._process.stdout is not None
        fd, banner, deadline = self._process.stdout.fileno(), b"", time.monotonic() + START_TIMEOUT_S
        while b"}" not in banner:
            ready, _, _ = select.select([fd], [], [], max(0.0, deadline - time.monotonic()))
            part = os.read(fd, 65536) if ready else b""
            if not part:
                tail = self._log.read_text(errors="replace")[-500:].strip()
                raise KmsUnreachableError(f"the emulator did not start: {tail or 'no word from it'}")
            banner += part
        found: dict[str, str] = json.loads(banner)
        return found

    def stop(self) -> None:
        """End it, within `STOP_TIMEOUT_S`; may be called twice."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class CloudKeys:
    """Makes, disables and enables keys as an operator would at each cloud; a context manager."""

    def __init__(self, endpoint: str) -> None:
        self._channel = grpc.insecure_channel(endpoint, options=[("grpc.enable_http_proxy", 0)])
        self._aws = aws_kms_pb2_grpc.AwsKmsStub(self._channel)
        self._azure = azure_keyvault_pb2_grpc.AzureKeyVaultStub(self._channel)
        self._admin = admin_pb2_grpc.AdminStub(self._channel)

    def create(self, provider: str, name: str) -> str:
        """Make a key; return its URI."""
        with _errors(f"making a key at {provider}"):
            if provider == "aws":
                made = self._aws.CreateKey(
                    aws_kms_pb2.CreateKeyRequest(region=REGION, description=name), timeout=CALL_TIMEOUT_S
                )
                return f"aws://{REGION}/{made.key_metadata.key_id}"
            if provider == "azure":
                bundle = self._azure.CreateKey(
                    azure_keyvault_pb2.CreateKeyRequest(vault=VAULT, name=name), timeout=CALL_TIMEOUT_S
                )
                return f"azure://{VAULT}/{name}/{bundle.key.kid.rpartition('/')[2]}"
            return self._create_google(name)

    def set_enabled(self, uri: str, *, enabled: bool) -> None:
        """Enable or disable the key, or the version, that `uri` names."""
        key = parse(uri)
        with _errors(f"{'enabling' if enabled else 'disabling'} {uri}"):
            if key.provider == "aws":
                self._set_aws(key, enabled=enabled)
            elif key.provider == "azure":
                attributes = azure_keyvault_pb2.KeyAttributes(enabled=enabled)
                request = azure_keyvault_pb2.UpdateKeyRequest(
                    vault=key.place.partition(".")[0], name=key.key, version=key.version, attributes=attributes
                )
                self._azure.UpdateKey(request, timeout=CALL_TIMEOUT_S)
            else:
                self._set_google(key, enabled=enabled)

    def calls(self) -> list[admin_pb2.Call]:
        """Return the emulator's call log."""
        with _errors("reading the call log"):
            reply = self._admin.ListCalls(admin_pb2.ListCallsRequest(limit=10_000), timeout=CALL_TIMEOUT_S)
        return list(reply.calls)

    def close(self) -> None:
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _set_aws(self, key: KeyUri, *, enabled: bool) -> None:
        if enabled:
            self._aws.EnableKey(aws_kms_pb2.EnableKeyRequest(region=key.place, key_id=key.key), timeout=CALL_TIMEOUT_S)
        else:
            self._aws.DisableKey(
                aws_kms_pb2.DisableKeyRequest(region=key.place, key_id=key.key), timeout=CALL_TIMEOUT_S
            )

    def _create_google(self, name: str) -> str:
        ring = service_pb2.CreateKeyRingRequest(parent=LOCATION, key_ring_id=RING)
        with contextlib.suppress(grpc.RpcError):  # it is there already
            self._google("CreateKeyRing", ring, resources_pb2.KeyRing)
        key = resources_pb2.CryptoKey(purpose=resources_pb2.CryptoKey.ENCRYPT_DECRYPT)
        request = service_pb2.CreateCryptoKeyRequest(
            parent=f"{LOCATION}/keyRings/{RING}", crypto_key_id=name, crypto_key=key
        )
        return f"gcp://{self._google('CreateCryptoKey', request, resources_pb2.CryptoKey).primary.name}"

    def _set_google(self, key: KeyUri, *, enabled: bool) -> None:
        states = resources_pb2.CryptoKeyVersion
        version = resources_pb2.CryptoKeyVersion(
            name=f"{key.key}/cryptoKeyVersions/{key.version}", state=states.ENABLED if enabled else states.DISABLED
        )
        request = service_pb2.UpdateCryptoKeyVersionRequest(
            crypto_key_version=version, update_mask=FieldMask(paths=["state"])
        )
        self._google("UpdateCryptoKeyVersion", request, resources_pb2.CryptoKeyVersion)

    def _google(self, method: str, request: Message, reply: type[Reply]) -> Reply:
        call: Any = self._channel.unary_unary(
            _GOOGLE + method,
            request_serializer=type(request).SerializeToString,
            response_deserializer=reply.FromString,
        )
        answer: Reply = call(request, timeout=CALL_TIMEOUT_S)
        return answer


@contextlib.contextmanager
def _errors(action: str) -> Any:
    try:
        yield
    except grpc.RpcError as error:
        said = error.details() if isinstance(error, grpc.Call) else str(error)
        raise KmsError(f"{action} failed: {said}") from error
