"""Google's part of a seed: what the example makes, as Google's own client sees it; resets, restarts, and complaints."""

import json
import secrets
from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import kms

from kms_emulator.cli.service_account import key_pair
from kms_emulator.core import Core
from kms_emulator.embedded import KmsEmulator
from kms_emulator.seeding.errors import SeedError
from kms_emulator.seeding.sowing import read_seed
from tests.emulator.gcp.keys import State

EXAMPLE = Path(__file__).parents[3] / "docs" / "seed-example.yaml"
RING = "projects/p/locations/global/keyRings/r"
KEY = f"{RING}/cryptoKeys/k"
SIGNER = "projects/p/locations/global/keyRings/signing/cryptoKeys/s/cryptoKeyVersions/1"
ACCOUNT = "app@p.iam.gserviceaccount.com"
ENTRY = "gcp:\n  keys:\n    - name: NAME\n      "


def test_example_makes_what_it_says() -> None:
    with KmsEmulator(seed_file=EXAMPLE) as emulator:
        client: Any = emulator.gcp.kms_client()
        key = client.get_crypto_key(name=KEY)
        assert (key.primary.name, dict(key.labels)) == (f"{KEY}/cryptoKeyVersions/2", {"team": "storage"})
        assert (key.rotation_period.days, key.destroy_scheduled_duration.days) == (90, 7)
        first, second = client.list_crypto_key_versions(parent=KEY)
        assert (first.state, second.state) == (State.DISABLED, State.ENABLED)
        [binding] = client.get_iam_policy(request={"resource": RING}).bindings
        assert binding.members == [f"serviceAccount:{ACCOUNT}"]
        signer = client.get_crypto_key_version(name=SIGNER)
        assert signer.protection_level == kms.ProtectionLevel.HSM
        assert client.asymmetric_sign(name=SIGNER, digest={"sha256": bytes(32)}).signature
        client.transport.close()


def test_fixed_material_opens_in_the_next_start_and_after_a_reset() -> None:
    with KmsEmulator(seed_file=EXAMPLE) as one:
        client: Any = one.gcp.kms_client()
        sealed = client.encrypt(name=KEY, plaintext=b"secret").ciphertext
        client.transport.close()
    with KmsEmulator(seed_file=EXAMPLE) as other:
        client = other.gcp.kms_client()
        assert client.decrypt(name=KEY, ciphertext=sealed).plaintext == b"secret"
        client.destroy_crypto_key_version(name=f"{KEY}/cryptoKeyVersions/2")
        client.create_key_ring(parent="projects/p/locations/global", key_ring_id="other", key_ring={})
        with pytest.raises(exceptions.FailedPrecondition):
            client.decrypt(name=KEY, ciphertext=sealed)
        other.reset()
        assert client.decrypt(name=KEY, ciphertext=sealed).plaintext == b"secret"
        rings = [ring.name for ring in client.list_key_rings(parent="projects/p/locations/global")]
        assert rings == [RING, SIGNER.partition("/cryptoKeys/")[0]]
        client.transport.close()


def test_state_shows_googles_side_without_material() -> None:
    with KmsEmulator(seed_file=EXAMPLE) as emulator:
        client: Any = emulator.gcp.kms_client()
        described = {"import_method": "RSA_OAEP_3072_SHA256", "protection_level": "HSM"}
        job = client.create_import_job(parent=RING, import_job_id="job", import_job=described)
        state = emulator.state()
        key = next(key for key in state["keys"] if key["name"] == KEY)
        assert (key["primary"], [version["state"] for version in key["versions"]]) == (2, ["disabled", "enabled"])
        assert '"team": "storage"' in key["attributes"]["settings"]
        assert [(found["name"], found["kind"], found["state"]) for found in state["import_jobs"]] == [
            (job.name, "rsa-3072", "enabled")
        ]
        assert "PRIVATE" not in str(state)
        assert [account["email"] for account in state["service_accounts"]] == [ACCOUNT]
        emulator.clock.advance("3d")
        assert emulator.state()["import_jobs"][0]["state"] == "missing"
        emulator.reset()
        assert emulator.state()["import_jobs"] == []
        client.transport.close()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("gcp: []", "line 1: gcp: must be a mapping"),
        ("gcp:\n  vaults: []", "line 2: gcp.vaults: there is no such field"),
        ("gcp:\n  keys:\n    - {}", "line 3: gcp.keys[0]: name is missing"),
        ("gcp:\n  keys:\n    - name: k", "line 3: gcp.keys[0].name: must match projects/"),
        (ENTRY + "colour: red", "line 4: gcp.keys[0].colour: there is no such field"),
        (ENTRY + "purpose: FLYING", "line 4: gcp.keys[0].purpose: there is no 'FLYING' here"),
        (ENTRY + "purpose: KEY_ENCAPSULATION", "line 3: gcp.keys[0]: The purpose KEY_ENCAPSULATION is not emulated"),
        (ENTRY + "purpose: MAC", "line 3: gcp.keys[0]: The algorithm"),
        (ENTRY + "algorithm: HMAC_SHA256", "line 3: gcp.keys[0]: The algorithm HMAC_SHA256 is not supported"),
        (ENTRY + "protection_level: EXTERNAL", "line 3: gcp.keys[0]: The protection level EXTERNAL is not emulated"),
        (ENTRY + "purpose: MAC\n      algorithm: HMAC_SHA256\n      rotation_days: 90", "line 6: gcp.keys[0].rotation"),
        (ENTRY + "purpose: MAC\n      algorithm: HMAC_SHA256\n      primary: 1", "line 6: gcp.keys[0].primary: only"),
        (ENTRY + "primary: 2", "line 4: gcp.keys[0].primary: must be a number from 1 to 1"),
        (
            ENTRY + "primary: 1\n      versions: [{enabled: false}]",
            "line 4: gcp.keys[0].primary: version 1 is disabled",
        ),
        (ENTRY + "destroy_days: 121", "line 4: gcp.keys[0].destroy_days: must be a number from 1 to 120"),
        (
            ENTRY + "versions: [{material: AAAA}]",
            "line 4: gcp.keys[0].versions[0].material: aes-256 key material has 32",
        ),
        (ENTRY + "versions: []\n      primary: 1", "line 5: gcp.keys[0].primary: there are no versions"),
        (
            ENTRY + "bindings: [{role: roles/flyer, members: []}]",
            "gcp.keys[0].bindings[0].role: there is no 'roles/flyer'",
        ),
        (ENTRY + "bindings: [{role: roles/owner, members: [app]}]", "gcp.keys[0].bindings: Invalid member 'app'"),
        (
            "gcp:\n  key_rings:\n    - name: RING\n    - name: RING",
            "line 4: gcp.key_rings[1].name: key ring RING stands in",
        ),
        (ENTRY + 'labels: {a: "\\ud800"}', "line 4: gcp.keys[0].labels.a: must be whole characters"),
        (ENTRY + 'labels: {"\\ud800": a}', "must be whole characters"),
        (ENTRY + 'bindings: [{role: roles/owner, members: ["\\ud800"]}]', "members[0]: must be whole characters"),
        ("gcp:\n  service_accounts: [{email: app}]", "gcp.service_accounts[0].email: must match"),
        ("gcp:\n  service_accounts: [{email: a@b, public_key: PEM}]", "public_key: must be an RSA public key in PEM"),
    ],
)
def test_complaints_name_the_line(tmp_path: Path, text: str, complaint: str) -> None:
    def filled(template: str) -> str:
        return template.replace("NAME", KEY).replace("RING", RING)

    path = tmp_path / "seed.yaml"
    path.write_text(filled(text))
    with pytest.raises(SeedError) as caught:
        read_seed(path, 0, secrets.token_bytes)
    assert filled(complaint) in str(caught.value)


def test_a_public_key_is_of_one_account(tmp_path: Path) -> None:
    public = json.dumps(key_pair()[1])
    accounts = [f"{{email: {email}, public_key: {public}}}" for email in ("a@b.c", "d@b.c")]
    path = tmp_path / "seed.yaml"
    path.write_text(f"gcp:\n  service_accounts: [{', '.join(accounts)}]")
    with pytest.raises(SeedError, match=r"service_accounts\[1\].public_key: public key [0-9a-f]{40} stands in line 2"):
        read_seed(path, 0, secrets.token_bytes)


def test_keys_without_versions_are_empty(tmp_path: Path) -> None:
    path = tmp_path / "seed.yaml"
    path.write_text(f"gcp:\n  keys: [{{name: {KEY}, versions: []}}]")
    core = Core(seed=read_seed(path, 1, secrets.token_bytes))
    key = core.registry.key("gcp", KEY)
    assert (key.versions, key.primary) == ((), None)


def test_googles_side_repeats_under_a_seed_number() -> None:
    def some_work() -> tuple[bytes, str, bytes]:
        client: Any = emulator.gcp.kms_client()
        parent = client.create_key_ring(parent="projects/p/locations/global", key_ring_id="r", key_ring={}).name
        key = {"purpose": "ENCRYPT_DECRYPT"}
        name = client.create_crypto_key(parent=parent, crypto_key_id="k", crypto_key=key).name
        pair = {"purpose": "ASYMMETRIC_SIGN", "version_template": {"algorithm": "EC_SIGN_P256_SHA256"}}
        signer = client.create_crypto_key(parent=parent, crypto_key_id="s", crypto_key=pair).name
        public = client.get_public_key(name=f"{signer}/cryptoKeyVersions/1").pem
        etag = client.set_iam_policy(request={"resource": name, "policy": {"version": 1}}).etag
        sealed = client.encrypt(name=name, plaintext=b"secret").ciphertext
        client.transport.close()
        return sealed, public, etag

    with KmsEmulator(seed=42) as emulator:
        first = some_work()
        emulator.reset()
        assert some_work() == first
    with KmsEmulator(seed=42) as emulator:
        assert some_work() == first
    with KmsEmulator(seed=43) as emulator:
        assert [one == other for one, other in zip(some_work(), first, strict=True)] == [False] * 3
