"""Azure's part of a seed file: what the example makes, as Azure's own client sees it; resets, and complaints."""

import secrets
from pathlib import Path

import pytest

from kms_emulator.embedded import KmsEmulator
from kms_emulator.seeding.errors import SeedError
from kms_emulator.seeding.sowing import read_seed

EXAMPLE = Path(__file__).parents[3] / "docs" / "seed-example.yaml"
FIRST = "0123456789abcdef0123456789abcdef"


def test_example_makes_what_it_says_in_every_start_and_after_a_reset() -> None:
    seen = set()
    for _ in range(2):
        with KmsEmulator(seed_file=EXAMPLE) as emulator, emulator.azure.key_client() as keys:
            for _ in range(2):
                key = keys.get_key("signer")
                assert (key.key_type, key.properties.tags) == ("EC", {"team": "storage"})
                versions = {item.version: item.enabled for item in keys.list_properties_of_key_versions("signer")}
                assert versions == {FIRST: False, key.properties.version: True}
                seen.add((key.properties.version, key.key.x))  # type: ignore[attr-defined]
                keys.begin_delete_key("signer").wait()
                emulator.reset()
    assert len(seen) == 1


def test_other_vaults_and_kinds(tmp_path: Path) -> None:
    seed = tmp_path / "seed.yaml"
    seed.write_text(
        "azure:\n  keys:\n    - {vault: local-hsm, name: AES, kty: oct-HSM, size: 128}\n"
        "    - {vault: local-vault-2, name: wrapper, size: 3072}\n"
    )
    with KmsEmulator(seed_file=seed) as emulator:
        with emulator.azure.key_client("127.0.0.8") as keys:
            assert (keys.get_key("aes").name, keys.get_key("aes").key_type) == ("AES", "oct-HSM")
        with emulator.azure.key_client("127.0.0.2") as keys:
            assert len(keys.get_key("wrapper").key.n) == 384  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ("{}", "name is missing"),
        ("{name: a_b}", "must match"),
        ("{name: k, vault: x}", "must match"),
        ("{name: k, kty: oct}", "Key type oct is not supported"),
        ("{name: k, size: 1024}", "Key size 1024 is not supported"),
        ("{name: k, kty: EC, crv: P-1}", "Curve P-1 is not supported"),
        ("{name: k, versions: []}", "must be 1 to 100"),
        ("{name: k, versions: [{id: short}]}", "must match"),
        ("{name: k, kty: EC, versions: [{material: AAAA}]}", "line 3"),
        ("{name: k, colour: red}", "there is no such field"),
        ("{name: k}\n    - {name: K}", "stands in line 3 already"),
        (f"{{name: k, versions: [{{id: {FIRST}}}, {{id: {FIRST}}}]}}", "stands in line 3 already"),
        ('{name: k, tags: {a: "\\uD800"}}', "must be whole characters"),
        ('{name: k, tags: {"\\uD800": a}}', "a name must be whole characters"),
    ],
)
def test_what_cannot_be_is_told_with_its_line(tmp_path: Path, entry: str, complaint: str) -> None:
    seed = tmp_path / "seed.yaml"
    seed.write_text(f"azure:\n  keys:\n    - {entry}\n")
    with pytest.raises(SeedError, match="nothing was changed") as caught:
        read_seed(seed, 0, secrets.token_bytes)
    assert complaint in str(caught.value)
