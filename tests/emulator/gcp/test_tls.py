"""gRPC over TLS is for those who trust the emulator's authority."""

import grpc
import pytest
from keystore_api.admin.v1 import admin_pb2
from keystore_api.admin.v1.admin_pb2_grpc import AdminStub

from kms_emulator.core import Core
from tests.emulator.running import WAIT_MAX_S, Running


def test_who_does_not_trust_the_authority_is_not_connected() -> None:
    emulator = Running(Core(), https=True)
    endpoint = str(emulator.server.grpc_tls_endpoint)
    try:
        with grpc.secure_channel(endpoint, grpc.ssl_channel_credentials()) as channel:
            with pytest.raises(grpc.RpcError) as caught:
                AdminStub(channel).GetClock(admin_pb2.GetClockRequest(), timeout=WAIT_MAX_S)
            assert isinstance(caught.value, grpc.Call)
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    finally:
        emulator.stop()
