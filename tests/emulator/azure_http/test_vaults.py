"""Vaults by address, by host name and by port: one process, keys apart."""

import json
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.keyvault.keys import KeyClient

from kms_emulator.cli.exits import CommandError
from kms_emulator.cli.serve import vault_ports
from kms_emulator.core import Core
from kms_emulator.wire.azure.hosts import Host
from tests.emulator.azure_http.conftest import AnyToken
from tests.emulator.azure_http.raw import ask
from tests.emulator.running import Running, process, run_cli

VERSION = "?api-version=7.4"


def test_addresses_are_vaults(connect: Callable[..., KeyClient]) -> None:
    one, two = connect("127.0.0.1"), connect("127.0.0.2")
    one.create_ec_key("cmk")
    with pytest.raises(ResourceNotFoundError):
        two.get_key("cmk")
    two.create_ec_key("cmk")
    assert one.get_key("cmk").id != two.get_key("cmk").id


def test_host_names_are_vaults(emulator: Running) -> None:
    """As they are where they resolve; here the name is only in the header."""
    bearer = {"authorization": "Bearer nobody"}
    for host in ("contoso.vault.azure.net", "contoso.vault.localhost:4712", "CONTOSO"):
        status, body, _ = ask(
            emulator, "POST", f"/keys/cmk/create{VERSION}", {"kty": "EC"}, headers={**bearer, "host": host}
        )
        assert status == 200
        assert body["key"]["kid"].startswith(f"https://{host}/keys/cmk/")
    versions = ask(emulator, "GET", f"/keys/cmk/versions{VERSION}", headers={**bearer, "host": "contoso"})[1]["value"]
    assert len(versions) == 3
    assert ask(emulator, "GET", f"/keys{VERSION}")[1]["value"] == []


@pytest.mark.parametrize(
    ("text", "vault"),
    [
        ("127.0.0.1:4720", "other-vault"),
        ("localhost:4720", "other-vault"),
        ("contoso.vault.localhost:4720", "other-vault"),
        ("[::1]:4720", "other-vault"),
        ("127.0.0.1:4712", "local-vault"),
        ("127.0.0.1", "local-vault"),
        ("127.0.0.3:4712", "local-vault-3"),
    ],
)
def test_a_port_of_its_own_decides_before_the_host(text: str, vault: str) -> None:
    assert Host(text, {"4720": "other-vault"}).vault == vault


def test_ports_are_vaults() -> None:
    served = Running(Core(), http=True, https=True, vault_ports={"other-vault": 0, "third-hsm": 0})
    try:
        server = served.server
        assert server.vault_ports.keys() == {"other-vault", "third-hsm"}
        ports = [server.https_port, *server.vault_ports.values()]
        assert len(set(ports)) == 3
        for port, key_type in zip(ports, ("EC", "EC", "oct-HSM"), strict=True):
            url = f"https://127.0.0.1:{port}"
            with KeyClient(url, AnyToken(), connection_verify=server.ca, retry_total=0) as keys:
                made = keys.create_key("cmk", key_type)
                assert made.id is not None
                assert made.id.startswith(f"{url}/keys/cmk/")
                assert len(list(keys.list_properties_of_keys())) == 1
    finally:
        served.stop()


def test_serve_opens_a_port_for_each_vault_that_is_named(tmp_path: Path) -> None:
    with process(tmp_path, "--vault", "Other-Vault=0", "--vault", "third=0") as running:
        assert {name for name in running.ready if name.startswith("azure")} == {
            "azure",
            "azure/other-vault",
            "azure/third",
        }
        request = urllib.request.Request(f"{running.ready['aws']}/_emulator/health")
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert json.load(answer)


@pytest.mark.parametrize("text", ["x", "a_b=1", "vault=", "vault=x", "vault=65536", "=4720", "vault=1²"])
def test_a_vault_that_cannot_be_served_is_told(text: str) -> None:
    with pytest.raises(CommandError, match="is not NAME=PORT"):
        vault_ports((text,))


def test_a_vault_has_one_port_and_a_port_one_vault() -> None:
    with pytest.raises(CommandError, match="has a port already"):
        vault_ports(("one-vault=0", "One-Vault=0"))
    served = Running(Core(), http=True)
    try:
        run = run_cli("serve", "--port", "0", "--vault", f"other-vault={served.server.http_port}")
        assert "Name another with --vault" in run.stderr
        assert run.returncode != 0
    finally:
        served.stop()
