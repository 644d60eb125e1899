"""Which operation does what in which key state, as AWS's documentation has it; `docs/KEY_STATES.md` is written from it.

Source: AWS KMS developer guide, "Key states of AWS KMS keys", and the API reference for operations that are newer.
Run as a program, it writes the document.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from kms_emulator.model.keypairs import to_spki
from tests.emulator.aws_crypto.direct import Direct
from tests.emulator.aws_crypto.importing import wrap

STATES = ("Enabled", "Disabled", "PendingImport", "PendingDeletion", "PendingReplicaDeletion")
DISABLED, INVALID, UNSUPPORTED = "DisabledException", "KMSInvalidStateException", "UnsupportedOperationException"
DOCUMENT = Path(__file__).parents[3] / "docs" / "KEY_STATES.md"

CRYPTO = ("OK", DISABLED, INVALID, INVALID, INVALID)
ALWAYS = ("OK",) * 5
UNTIL_DELETION = ("OK", "OK", "OK", INVALID, INVALID)
SWITCH = ("OK", "OK", INVALID, INVALID, INVALID)

Prepare = Callable[[Direct, str], dict[str, Any]]
"""Makes, while the key is enabled, what the operation needs besides; returns the members of the request."""

SYMMETRIC: dict[str, Any] = {}
SIGNING = {"key_spec": "ECC_NIST_P256", "key_usage": "SIGN_VERIFY"}
AGREEING = {"key_spec": "ECC_NIST_P256", "key_usage": "KEY_AGREEMENT"}
ENCAPSULATING = {"key_spec": "ML_KEM_768", "key_usage": "ENCAPSULATE_DECAPSULATE"}
AUTHENTICATING = {"key_spec": "HMAC_256", "key_usage": "GENERATE_VERIFY_MAC"}
EXTERNAL = {"origin": "EXTERNAL"}
MULTI_REGION = {"multi_region": True}
FAR, FARTHER = "eu-west-1", "ap-southeast-2"
PRINCIPAL = "arn:aws:iam::111122223333:user/alice"


@dataclass(frozen=True)
class Row:
    """One operation: what it is asked of which kind of key, and what comes of it in each of `STATES`."""

    operation: str
    outcomes: tuple[str, ...]
    prepare: Prepare
    options: dict[str, Any] = field(default_factory=dict)
    name: str = ""

    @property
    def title(self) -> str:
        return self.name or self.operation


def plain(**members: Any) -> Prepare:
    return lambda _, arn: {"key_id": arn, **members}


def _sealed(direct: Direct, arn: str) -> dict[str, Any]:
    return {"ciphertext_blob": direct.run("Encrypt", key_id=arn, plaintext=b"x").ciphertext_blob}


def _from_here(direct: Direct, arn: str) -> dict[str, Any]:
    return {**_sealed(direct, arn), "destination_key_id": direct.create()}


def _to_here(direct: Direct, arn: str) -> dict[str, Any]:
    return {**_sealed(direct, direct.create()), "destination_key_id": arn}


def _signed(direct: Direct, arn: str) -> dict[str, Any]:
    members = {"key_id": arn, "message": b"x", "signing_algorithm": "ECDSA_SHA_256"}
    return {**members, "signature": direct.run("Sign", **members).signature}


def _authenticated(direct: Direct, arn: str) -> dict[str, Any]:
    members = {"key_id": arn, "message": b"x", "mac_algorithm": "HMAC_SHA_256"}
    return {**members, "mac": direct.run("GenerateMac", **members).mac}


def _encapsulated(direct: Direct, arn: str) -> dict[str, Any]:
    members = {"key_id": arn, "encapsulation_algorithm": "ML_KEM"}
    blob = direct.run("Encapsulate", **members).shared_secret_ciphertext_blob
    return {**members, "shared_secret_ciphertext_blob": blob}


def _with_peer(_: Direct, arn: str) -> dict[str, Any]:
    peer = to_spki(ec.generate_private_key(ec.SECP256R1()).public_key())
    return {"key_id": arn, "key_agreement_algorithm": "ECDH", "public_key": peer}


def _aliased(direct: Direct, arn: str) -> dict[str, Any]:
    direct.run("CreateAlias", alias_name="alias/a", target_key_id=arn)
    return {"alias_name": "alias/a"}


def _alias_to_here(direct: Direct, arn: str) -> dict[str, Any]:
    return {**_aliased(direct, direct.create()), "target_key_id": arn}


def _alias_away(direct: Direct, arn: str) -> dict[str, Any]:
    return {**_aliased(direct, arn), "target_key_id": direct.create()}


def _granted(direct: Direct, arn: str) -> dict[str, Any]:
    made = direct.run("CreateGrant", key_id=arn, grantee_principal=PRINCIPAL, operations=["Decrypt"])
    return {"key_id": arn, "grant_id": made.grant_id}


def _with_policy(direct: Direct, arn: str) -> dict[str, Any]:
    return {"key_id": arn, "policy": direct.run("GetKeyPolicy", key_id=arn).policy}


def _wrapped(direct: Direct, arn: str) -> dict[str, Any]:
    offered = direct.run(
        "GetParametersForImport", key_id=arn, wrapping_algorithm="RSAES_OAEP_SHA_256", wrapping_key_spec="RSA_2048"
    )
    return {
        "key_id": arn,
        "import_token": offered.import_token,
        "encrypted_key_material": wrap(offered.public_key, direct.material(arn)),
        "expiration_model": "KEY_MATERIAL_DOES_NOT_EXPIRE",
    }


def _replicated(direct: Direct, arn: str) -> dict[str, Any]:
    if not direct.run("DescribeKey", key_id=arn).key_metadata.multi_region_configuration.replica_keys:
        direct.run("ReplicateKey", key_id=arn, replica_region=FAR)
    return {"key_id": arn, "primary_region": FAR}


def _cryptography() -> Iterator[Row]:
    yield Row("Encrypt", CRYPTO, plain(plaintext=b"x"))
    yield Row("Decrypt", CRYPTO, _sealed)
    yield Row("ReEncrypt", CRYPTO, _from_here, name="ReEncrypt (source)")
    yield Row("ReEncrypt", CRYPTO, _to_here, name="ReEncrypt (destination)")
    yield Row("GenerateDataKey", CRYPTO, plain(key_spec="AES_256"))
    yield Row("GenerateDataKeyWithoutPlaintext", CRYPTO, plain(key_spec="AES_256"))
    yield Row("GenerateDataKeyPair", CRYPTO, plain(key_pair_spec="ECC_NIST_P256"))
    yield Row("GenerateDataKeyPairWithoutPlaintext", CRYPTO, plain(key_pair_spec="ECC_NIST_P256"))
    yield Row("Sign", CRYPTO, plain(message=b"x", signing_algorithm="ECDSA_SHA_256"), SIGNING)
    yield Row("Verify", CRYPTO, _signed, SIGNING)
    yield Row("GetPublicKey", CRYPTO, plain(), SIGNING)
    yield Row("DeriveSharedSecret", CRYPTO, _with_peer, AGREEING)
    yield Row("Encapsulate", CRYPTO, plain(encapsulation_algorithm="ML_KEM"), ENCAPSULATING)
    yield Row("Decapsulate", CRYPTO, _encapsulated, ENCAPSULATING)
    yield Row("GenerateMac", CRYPTO, plain(message=b"x", mac_algorithm="HMAC_SHA_256"), AUTHENTICATING)
    yield Row("VerifyMac", CRYPTO, _authenticated, AUTHENTICATING)


def _management() -> Iterator[Row]:
    yield Row("DescribeKey", ALWAYS, plain())
    yield Row("GetKeyLastUsage", ALWAYS, plain())
    yield Row("UpdateKeyDescription", UNTIL_DELETION, plain(description="new"))
    yield Row("EnableKey", SWITCH, plain())
    yield Row("DisableKey", SWITCH, plain())
    yield Row("ScheduleKeyDeletion", UNTIL_DELETION, plain())
    yield Row("CancelKeyDeletion", (INVALID, INVALID, INVALID, "OK", "OK"), plain())
    yield Row("CreateAlias", UNTIL_DELETION, lambda _, arn: {"alias_name": "alias/a", "target_key_id": arn})
    yield Row("UpdateAlias", ALWAYS, _alias_away, name="UpdateAlias (from)")
    yield Row("UpdateAlias", UNTIL_DELETION, _alias_to_here, name="UpdateAlias (to)")
    yield Row("DeleteAlias", ALWAYS, _aliased)
    yield Row("ListAliases", ALWAYS, plain())
    tag = {"tag_key": "a", "tag_value": "b"}
    yield Row("TagResource", UNTIL_DELETION, plain(tags=[tag]))
    yield Row("UntagResource", UNTIL_DELETION, plain(tag_keys=["a"]))
    yield Row("ListResourceTags", ALWAYS, plain())
    yield Row("GetKeyPolicy", ALWAYS, plain())
    yield Row("PutKeyPolicy", ALWAYS, _with_policy)
    yield Row("ListKeyPolicies", ALWAYS, plain())
    yield Row("CreateGrant", CRYPTO, plain(grantee_principal=PRINCIPAL, operations=["Decrypt"]))
    yield Row("ListGrants", ALWAYS, plain())
    yield Row("RevokeGrant", ALWAYS, _granted)
    yield Row("RetireGrant", ALWAYS, _granted)


def _material() -> Iterator[Row]:
    unsupported_if_imported = ("OK", DISABLED, UNSUPPORTED, INVALID, INVALID)
    yield Row("EnableKeyRotation", unsupported_if_imported, plain())
    yield Row("DisableKeyRotation", unsupported_if_imported, plain())
    yield Row("GetKeyRotationStatus", ALWAYS, plain())
    yield Row("RotateKeyOnDemand", CRYPTO, plain())
    yield Row("ListKeyRotations", ALWAYS, plain())
    wrapping = plain(wrapping_algorithm="RSAES_OAEP_SHA_256", wrapping_key_spec="RSA_2048")
    yield Row("GetParametersForImport", UNTIL_DELETION, wrapping, EXTERNAL)
    yield Row("ImportKeyMaterial", UNTIL_DELETION, _wrapped, EXTERNAL)
    yield Row("DeleteImportedKeyMaterial", ALWAYS, plain(), EXTERNAL)
    yield Row("ReplicateKey", CRYPTO, plain(replica_region=FARTHER), MULTI_REGION)
    yield Row("UpdatePrimaryRegion", CRYPTO, _replicated, MULTI_REGION)


ROWS = [*_cryptography(), *_management(), *_material()]


def key_in(direct: Direct, row: Row, state: str) -> dict[str, Any]:
    """Make a key for the row and put it into the state; return the members of the row's request."""
    options = dict(row.options)
    if state == "PendingImport":
        options |= EXTERNAL
    if state == "PendingReplicaDeletion":
        options |= MULTI_REGION
    arn = direct.create(**options)
    if "origin" in options:
        direct.import_material(arn, direct.new_material(arn))
    members = row.prepare(direct, arn)
    if state == "Disabled":
        direct.run("DisableKey", key_id=arn)
    elif state == "PendingImport":
        direct.run("DeleteImportedKeyMaterial", key_id=arn)
    elif state == "PendingReplicaDeletion":
        _replicated(direct, arn)
    if state.endswith("Deletion"):
        if state == "PendingDeletion" and row.operation == "UpdatePrimaryRegion":
            return _last_alone(direct, arn, members)
        direct.run("ScheduleKeyDeletion", key_id=arn)
    assert direct.run("DescribeKey", key_id=arn).key_metadata.key_state == state
    return members


def _last_alone(direct: Direct, arn: str, members: dict[str, Any]) -> dict[str, Any]:
    """Let a primary with a replica be pending deletion: its replica has to go first."""
    direct.run("ScheduleKeyDeletion", region=FAR, key_id=arn.rpartition("/")[2], pending_window_in_days=7)
    direct.run("ScheduleKeyDeletion", key_id=arn, pending_window_in_days=30)
    direct.advance(8 * 86_400 * 10**9)
    assert direct.run("DescribeKey", key_id=arn).key_metadata.key_state == "PendingDeletion"
    return members


def render() -> str:
    """Return the document."""
    lines = [
        "# Key states of AWS keys",
        "",
        "What each operation answers for a key in each state: OK, or the code of the error. The table is written",
        "from `tests/emulator/aws_crypto/state_table.py`, which the tests hold the emulator to. Its source is AWS's",
        'developer guide, "Key states of AWS KMS keys". The states Creating, Updating and Unavailable do not occur:',
        "replicas and moves of the primary are complete when their call returns, and there are no custom key stores.",
        "",
        "A key in PendingImport has imported material (origin EXTERNAL), one in PendingReplicaDeletion is a",
        "multi-Region primary whose replicas are not all gone.",
        "",
        f"| Operation | {' | '.join(STATES)} |",
        f"| --- |{' --- |' * len(STATES)}",
    ]
    short = {DISABLED: "Disabled", INVALID: "KMSInvalidState", UNSUPPORTED: "UnsupportedOperation"}
    for row in ROWS:
        cells = " | ".join(short.get(outcome, outcome) for outcome in row.outcomes)
        lines.append(f"| {row.title} | {cells} |")
    lines += ["", "Each code ends in `Exception`.", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    DOCUMENT.write_text(render())
