"""Seed files: what the example makes, that a reset goes back to it, that nothing is overwritten, and each complaint."""

import base64
import json
import secrets
import signal
from pathlib import Path

import grpc
import pytest
from keystore_api.admin.v1 import admin_pb2
from keystore_api.admin.v1.admin_pb2_grpc import AdminStub
from keystore_api.aws_kms.v1 import aws_kms_pb2 as pb
from keystore_api.aws_kms.v1.aws_kms_pb2_grpc import AwsKmsStub

from kms_emulator.core import Core
from kms_emulator.model.keys import KeyKind, KeyState
from kms_emulator.model.store import StoredState
from kms_emulator.seeding.errors import SeedError
from kms_emulator.seeding.sowing import read_seed
from kms_emulator.storage.directory import DataDir
from tests.emulator.running import process, run_cli

EXAMPLE = Path(__file__).parents[3] / "docs" / "seed-example.yaml"
REGION, KEY_ID = "eu-west-1", "1234abcd-12ab-34cd-56ef-1234567890ab"
DAY_NS = 86_400 * 10**9
NOW_NS = 1_800_000_000 * 10**9


def seed_of(folder: Path, text: str, name: str = "seed.yaml") -> StoredState:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return read_seed(path, NOW_NS, secrets.token_bytes)


def test_example_makes_what_it_says() -> None:
    core = Core(host_ns=lambda: NOW_NS, seed=read_seed(EXAMPLE, NOW_NS, secrets.token_bytes))
    key = core.registry.key("aws", f"{REGION}/{KEY_ID}")
    assert (len(key.versions), key.primary, key.attributes["tag:team"]) == (2, 2, "storage")
    assert core.registry._materials[key.uid, 1].to_stored() == bytes(32)
    assert core.registry._materials[key.uid, 2].to_stored() == b"\x01" * 32
    assert key.schedule is not None
    assert key.schedule.next_ns == NOW_NS + 365 * DAY_NS
    alias = core.registry.alias("aws", f"{REGION}/alias/app")
    assert alias is not None
    assert alias.target == key.uid
    states = {found.kind: found.state for found in core.registry.keys("aws")}
    assert states[KeyKind.HMAC_256] is KeyState.DISABLED
    assert [identity.name.rpartition(":")[2] for identity in core.identities.all()] == [
        "app@p.iam.gserviceaccount.com",
        "role/backup",
        "user/alice",
        "user/bob",
    ]
    credential = core.identities.credential("AKIAIOSFODNN7EXAMPLE")
    assert credential is not None
    assert credential.principal.endswith("user/alice")


def test_reset_goes_back_to_the_seed() -> None:
    core = Core(host_ns=lambda: NOW_NS, seed=read_seed(EXAMPLE, NOW_NS, secrets.token_bytes))
    before = core.registry.keys("aws")
    sealed = core.registry.seal(before[0], 2, b"secret", b"")
    core.registry.remove(before[0])
    core.registry.create("aws", "us-east-1/other", KeyKind.AES_256, 1)
    core.identities.remove("arn:aws:iam::111122223333:user/alice")
    core.reset()
    assert core.registry.keys("aws") == before
    assert core.registry.open(before[0], 2, sealed, b"") == b"secret"
    assert core.identities.credential("AKIAIOSFODNN7EXAMPLE") is not None


def test_what_is_there_is_not_overwritten(tmp_path: Path) -> None:
    text = f"keys:\n  - id: {KEY_ID}\n    description: {{}}\n    aliases: [alias/a]\n"
    with DataDir(tmp_path / "data") as data:
        core = Core(data.store, seed=seed_of(tmp_path, text.format("first")))
        key = core.registry.key("aws", f"us-east-1/{KEY_ID}")
        sealed = core.registry.seal(key, 1, b"secret", b"")
    with DataDir(tmp_path / "data") as data:
        core = Core(data.store, seed=seed_of(tmp_path, text.format("second")))
        key = core.registry.key("aws", f"us-east-1/{KEY_ID}")
        assert key.attributes["description"] == "first"
        assert core.registry.open(key, 1, sealed, b"") == b"secret"


def test_json_is_read_too(tmp_path: Path) -> None:
    text = json.dumps({"keys": [{"id": KEY_ID, "material": base64.b64encode(b"m" * 32).decode()}]}, indent="\t")
    state = seed_of(tmp_path, text, "seed.json")
    assert [material.to_stored() for material in state.materials.values()] == [b"m" * 32]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "line 1: the file is empty"),
        ("[]", "line 1: must be a mapping"),
        ("version: 2", "line 1: version: must be a number from 1 to 1"),
        ("keys: [\n", "line 2: not YAML"),
        ("keys:\n  - {}", "line 2: keys[0]: id is missing"),
        ("keys:\n  - id: x", "line 2: keys[0].id: must match"),
        ("keys:\n  - id: ID\n    colour: red", "line 3: keys[0].colour: there is no such field"),
        ("keys:\n  - id: ID\n  - id: ID", "line 3: keys[1].id: key ID stands in line 2 already"),
        ("keys:\n  - id: ID\n    id: ID", "line 3: keys[0].id: a name must be text, and stand once"),
        ("keys:\n  - id: ID\n    spec: AES", "line 3: keys[0].spec: must be one of SYMMETRIC_DEFAULT"),
        ("keys:\n  - id: ID\n    spec: RSA_2048", "line 2: keys[0]: usage is missing"),
        ("keys:\n  - id: ID\n    usage: SIGN_VERIFY", "line 3: keys[0].usage: must be, for SYMMETRIC_DEFAULT, one of"),
        ("keys:\n  - id: ID\n    enabled: maybe", "line 3: keys[0].enabled: must be true or false"),
        ("keys:\n  - id: ID\n    rotation_days: 3", "line 3: keys[0].rotation_days: must be a number from 90 to 2560"),
        ("keys:\n  - id: ID\n    spec: HMAC_256\n    rotation_days: 90", "line 4: keys[0].rotation_days: only keys"),
        ("keys:\n  - id: ID\n    material: AAAA", "line 3: keys[0].material: aes-256 key material has 32 bytes, not 3"),
        ("keys:\n  - id: ID\n    material: '!'", "line 3: keys[0].material: must be base64"),
        ("keys:\n  - id: ID\n    spec: HMAC_256\n    material: [AAAA, AAAA]", "line 4: keys[0].material: must be one"),
        ("keys:\n  - id: ID\n    spec: ED\n    material: -----BEGIN", "line 3: keys[0].spec"),
        ("keys:\n  - id: ID\n    aliases: [app]", "line 3: keys[0].aliases[0]: must match alias/"),
        ("keys:\n  - id: ID\n    aliases: [alias/aws/s3]", "line 3: keys[0].aliases[0]: alias/aws/ is for"),
        ("keys:\n  - id: ID\n    tags: [a]", "line 3: keys[0].tags: must be a mapping"),
        ("keys:\n  - id: ID\n    policy: {Version: 1}", "line 3: keys[0].policy: "),
        ("keys:\n  - id: ID\n    policy: {Version: 2012-10-17}", "line 3: keys[0].policy: must be what JSON can hold"),
        ("keys:\n  - id: ID\n    policy: '{'", "line 3: keys[0].policy: the policy is not valid JSON"),
        ("users: [{name: a b}]", "line 1: users[0].name: must match"),
        ("users: [{name: null}]", "line 1: users[0].name: must be text"),
        ("users: [{name: a, access_key_id: AKIAIOSFODNN7EXAMPLE}]", "belong together"),
        ("users: [{name: a, access_key_id: short, secret_access_key: s}]", "users[0].access_key_id: must match"),
        ("roles: [{name: a}]", "line 1: roles[0]: trust is missing"),
    ],
)
def test_complaints_name_the_line(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(SeedError) as caught:
        seed_of(tmp_path, text.replace("ID", KEY_ID))
    assert complaint.replace("ID ", f"{KEY_ID} ") in str(caught.value)
    assert "nothing was changed" in str(caught.value)


def test_all_complaints_are_listed_and_none_shows_material(tmp_path: Path) -> None:
    material = base64.b64encode(b"hidden material").decode()
    text = f"keys:\n  - id: x\n  - id: {KEY_ID}\n    material: {material}\nusers:\n  - {{}}"
    with pytest.raises(SeedError) as caught:
        seed_of(tmp_path, text)
    assert [line.split(":")[0].strip() for line in str(caught.value).splitlines()[1:]] == ["line 2", "line 4", "line 6"]
    assert material not in str(caught.value)


def test_broken_json_names_the_line(tmp_path: Path) -> None:
    with pytest.raises(SeedError, match="line 2: not JSON"):
        seed_of(tmp_path, '{"keys":\n ]}', "seed.json")


def test_unreadable_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SeedError, match="cannot be read"):
        read_seed(tmp_path / "none.yaml", 0, secrets.token_bytes)
    (tmp_path / "bytes.yaml").write_bytes(b"keys: \xff")
    with pytest.raises(SeedError, match="not UTF-8 at byte 6"):
        read_seed(tmp_path / "bytes.yaml", 0, secrets.token_bytes)


def test_program_begins_with_the_seed_and_resets_to_it(tmp_path: Path) -> None:
    with (
        process(tmp_path, "--seed-file", str(EXAMPLE)) as emulator,
        grpc.insecure_channel(emulator.endpoint) as channel,
    ):
        aws = AwsKmsStub(channel)
        request = pb.EncryptRequest(region=REGION, key_id="alias/app", plaintext=b"secret")
        sealed = aws.Encrypt(request).ciphertext_blob
        aws.ScheduleKeyDeletion(pb.ScheduleKeyDeletionRequest(region=REGION, key_id=KEY_ID))
        aws.CreateKey(pb.CreateKeyRequest())
        AdminStub(channel).Reset(admin_pb2.ResetRequest())
        assert AdminStub(channel).GetServerInfo(admin_pb2.GetServerInfoRequest()).key_count == 6
        assert aws.Decrypt(pb.DecryptRequest(region=REGION, ciphertext_blob=sealed)).plaintext == b"secret"


def test_program_refuses_a_wrong_seed(tmp_path: Path) -> None:
    (tmp_path / "seed.yaml").write_text("keys: 5")
    done = run_cli("serve", "--port", "0", "--seed-file", str(tmp_path / "seed.yaml"))
    assert (done.returncode, "line 1: keys: must be a list" in done.stderr) == (7, True)


def test_seed_number_repeats_across_processes_and_is_warned_of(tmp_path: Path) -> None:
    answers = []
    for _ in range(2):
        with process(tmp_path, "--seed", "42") as emulator, grpc.insecure_channel(emulator.endpoint) as channel:
            aws = AwsKmsStub(channel)
            key_id = aws.CreateKey(pb.CreateKeyRequest()).key_metadata.key_id
            answers.append((key_id, aws.Encrypt(pb.EncryptRequest(key_id=key_id, plaintext=b"p")).ciphertext_blob))
            AdminStub(channel).Reset(admin_pb2.ResetRequest())
            assert aws.CreateKey(pb.CreateKeyRequest()).key_metadata.key_id == key_id
            assert emulator.end(signal.SIGTERM)[2].startswith("WARNING: --seed 42: every key")
    assert answers[0] == answers[1]


def test_seed_number_and_data_directory_exclude_each_other(tmp_path: Path) -> None:
    other_program = tmp_path / "other"
    other_program.mkdir()
    (other_program / "keys.sqlite").write_text("no database")
    for folder in (tmp_path / "data", other_program):
        done = run_cli("serve", "--port", "0", "--seed", "1", "--data-dir", str(folder))
        assert (done.returncode, "exclude each other" in done.stderr) == (2, True)
    assert not (tmp_path / "data").exists()
