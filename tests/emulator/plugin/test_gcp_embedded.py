"""Google's side of an emulator inside the test's own process."""

from collections.abc import Callable
from typing import Any

import pytest
from google.api_core import exceptions

from kms_emulator.embedded import KmsEmulator

LOCATION = "projects/p/locations/global"


@pytest.mark.parametrize("gcp_kms_client", ["grpc", "grpc-tls", "rest"], indirect=True)
def test_the_fixture_is_a_client_over_each_transport(gcp_kms_client: Any, kms_emulator: KmsEmulator) -> None:
    ring = gcp_kms_client.create_key_ring(parent=LOCATION, key_ring_id="r", key_ring={})
    assert list(gcp_kms_client.list_key_rings(parent=LOCATION)) == [ring]
    assert [(call.provider, call.outcome) for call in kms_emulator.calls()] == [("gcp", "OK")] * 2


def test_the_fixture_speaks_grpc_unless_told_otherwise(gcp_kms_client: Any) -> None:
    assert gcp_kms_client.transport.kind == "grpc"


@pytest.mark.parametrize("transport", ["grpc", "rest"])
def test_accounts_are_held_to_their_roles(kms_emulator: KmsEmulator, transport: str) -> None:
    gcp = kms_emulator.gcp
    account = gcp.put_account("app", "roles/cloudkms.viewer")
    assert account.key_file["private_key"] not in repr(account)
    client: Any = gcp.kms_client(transport, account=account)
    assert list(client.list_key_rings(parent=LOCATION)) == []
    with pytest.raises(exceptions.Forbidden, match=r"cloudkms\.keyRings\.create"):
        client.create_key_ring(parent=LOCATION, key_ring_id="r", key_ring={})
    gcp.remove_account(account)
    with pytest.raises(exceptions.Unauthorized):
        client.list_key_rings(parent=LOCATION)
    client.transport.close()
    # Over REST the library signs anew when a token is refused, and tries again.
    callers = list(dict.fromkeys((call.caller, call.outcome) for call in kms_emulator.calls(provider="gcp")))
    assert callers == [(account.email, "OK"), (account.email, "PERMISSION_DENIED"), ("", "UNAUTHENTICATED")]


def test_what_is_refused_is_a_value_error(kms_emulator: KmsEmulator) -> None:
    gcp = kms_emulator.gcp
    refusals: list[tuple[Callable[[], object], str]] = [
        (lambda: gcp.kms_client("carrier pigeon"), "transport must be one of grpc, grpc-tls, rest"),
        (lambda: gcp.put_account("app", "roles/flyer"), "there is no role roles/flyer"),
        (lambda: gcp.remove_account("nobody@x"), "there is no service account nobody@x"),
    ]
    for act, words in refusals:
        with pytest.raises(ValueError, match=words):
            act()
