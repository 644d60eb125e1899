"""kill -9 in the middle of changes at Google's surface: every acknowledged one is there afterwards, import jobs too."""

import signal
import threading
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.api_core.exceptions import GoogleAPICallError
from google.cloud import kms

from tests.emulator.gcp.importing import import_material, make_importable, make_job, wrap
from tests.emulator.gcp.keys import LOCATION, RING, Client, Purpose, State
from tests.emulator.running import WAIT_MAX_S, process, wait_until

ROUNDS_MAX, KILLED_AFTER = 500, 40
MATERIAL = bytes(range(32))


def client_at(channel: grpc.Channel) -> Client:
    over_grpc = kms.KeyManagementServiceClient.get_transport_class("grpc")
    return kms.KeyManagementServiceClient(transport=over_grpc(channel=channel))


class Writer(threading.Thread):
    """Makes a key after another go through its life until the server is gone.

    `known` is what was acknowledged of each key: the states of its versions. `pending` is what the change under way
    would make of the last one.
    """

    def __init__(self, client: Client) -> None:
        super().__init__(daemon=True)
        self.client = client
        self.known: dict[str, list[int]] = {}
        self.pending: tuple[str, list[int]] = ("", [])
        self.sealed: dict[str, bytes] = {}
        self.acknowledged = 0
        self.ended = ""

    def run(self) -> None:
        try:
            for number in range(ROUNDS_MAX):
                self.one_key(f"k{number}")
        except GoogleAPICallError as error:
            self.ended = str(error)

    def one_key(self, key_id: str) -> None:
        name = f"{RING}/cryptoKeys/{key_id}"
        first, second = ({"name": f"{name}/cryptoKeyVersions/{number}"} for number in (1, 2))
        created = {"parent": RING, "crypto_key_id": key_id, "crypto_key": {"purpose": Purpose.ENCRYPT_DECRYPT}}
        off, on = ({**first, "state": state} for state in (State.DISABLED, State.ENABLED))
        steps: list[tuple[str, dict[str, Any], list[int]]] = [
            ("create_crypto_key", created, [State.ENABLED]),
            ("create_crypto_key_version", {"parent": name}, [State.ENABLED, State.ENABLED]),
            ("update_crypto_key_version", switched(off), [State.DISABLED, State.ENABLED]),
            ("update_crypto_key_version", switched(on), [State.ENABLED, State.ENABLED]),
            ("destroy_crypto_key_version", second, [State.ENABLED, State.DESTROY_SCHEDULED]),
            ("restore_crypto_key_version", second, [State.ENABLED, State.DISABLED]),
        ]
        for method, request, states in steps:
            self.pending = (name, states)
            self.call(method, request)
            if name not in self.known:
                self.sealed[name] = self.call("encrypt", {"name": name, "plaintext": b"secret"}).ciphertext
            self.known[name] = states
            self.acknowledged += 1

    def call(self, method: str, request: dict[str, Any]) -> Any:
        """Make one attempt: the client's own would go on for a minute after the server is gone."""
        return getattr(self.client, method)(request=request, retry=None, timeout=WAIT_MAX_S)


def switched(version: dict[str, Any]) -> dict[str, Any]:
    return {"crypto_key_version": version, "update_mask": {"paths": ["state"]}}


@pytest.mark.parametrize("passphrase", ["", "correct horse battery staple"])
def test_every_acknowledged_change_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, passphrase: str) -> None:
    monkeypatch.setenv("KMS_EMULATOR_PASSPHRASE", passphrase)
    data = ["--data-dir", str(tmp_path / "data")]
    with process(tmp_path, *data) as emulator, grpc.insecure_channel(emulator.endpoint) as channel:
        client = client_at(channel)
        client.create_key_ring(parent=LOCATION, key_ring_id="r", key_ring={})
        imported, job, sealed = import_one(client)
        writer = Writer(client)
        writer.start()
        wait_until(lambda: writer.acknowledged >= KILLED_AFTER or not writer.is_alive())
        assert emulator.end(signal.SIGKILL)[0] == -signal.SIGKILL
        writer.join(WAIT_MAX_S)
        assert (writer.ended != "", writer.is_alive()) == (True, False)
    emulator.ready_file.unlink()
    with process(tmp_path, *data) as emulator, grpc.insecure_channel(emulator.endpoint) as channel:
        client = client_at(channel)
        check(writer, client)
        assert client.decrypt(name=imported, ciphertext=sealed).plaintext == b"x"
        # The job is as good as before: its private half came back with it.
        assert client.get_import_job(name=job.name) == job
        again = import_material(client, imported, job, wrap(job, bytes(32)))
        assert (again.name, again.state) == (f"{imported}/cryptoKeyVersions/2", State.ENABLED)


def import_one(client: Client) -> tuple[str, Any, bytes]:
    """Import a key; return its name, the job, and what it encrypted."""
    imported, job = make_importable(client), make_job(client)
    version = import_material(client, imported, job, wrap(job, MATERIAL))
    return imported, job, client.encrypt(name=version.name, plaintext=b"x").ciphertext


def check(writer: Writer, client: Client) -> None:
    for name, states in writer.known.items():
        found = [version.state for version in client.list_crypto_key_versions(parent=name)]
        assert found == states or (name, found) == writer.pending
        if found[0] == State.ENABLED:
            assert client.decrypt(name=name, ciphertext=writer.sealed[name]).plaintext == b"secret"
    assert len(writer.known) >= KILLED_AFTER // 6
