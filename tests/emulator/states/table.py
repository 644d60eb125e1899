"""Which operation does what in which key state of each cloud, side by side; `docs/CLOUD_STATES.md` is written from it.

The tests hold the emulator to every cell. Sources: AWS KMS developer guide, "Key states of AWS KMS keys"; Azure Key
Vault, "Soft-delete overview" and "Key attributes", REST error codes; Cloud KMS, "Key version states".

Run as a program it writes the document; with --check it fails where the document differs.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.emulator.states.on_aws import known_outcomes

DOCUMENT = Path(__file__).parents[3] / "docs" / "CLOUD_STATES.md"
STATES = ("enabled", "disabled", "deletion scheduled", "gone")
OK = "OK"
GONE, UNREADABLE = "NotFoundException", "AccessDeniedException"
FAILED = "FAILED_PRECONDITION"
NONE = "KeyNotFound"
Outcomes = tuple[str, ...]

IN_USE: Outcomes = (OK, "Forbidden KeyDisabled", NONE, NONE)
LIVE: Outcomes = (OK, OK, NONE, NONE)
DELETED: Outcomes = (NONE, NONE, OK, NONE)
ALWAYS: Outcomes = (OK,) * 4
USED: Outcomes = (OK, f"{FAILED} KEY_DISABLED", f"{FAILED} KEY_DESTROY_SCHEDULED", f"{FAILED} KEY_DESTROYED")
SWITCHED: Outcomes = (OK, OK, *USED[2:])
RESTORED: Outcomes = (f"{FAILED} KEY_ENABLED", USED[1], OK, USED[3])
REFILLED: Outcomes = (*RESTORED[:2], USED[2], OK)


@dataclass(frozen=True)
class Side:
    """One cloud's operation and its outcomes in each of `STATES`."""

    operation: str
    outcomes: Outcomes


@dataclass(frozen=True)
class Row:
    """What people want to do with a key, and what does it in each cloud."""

    what: str
    aws: Side | None = None
    azure: Side | None = None
    gcp: Side | None = None


def aws(title: str, gone: str = GONE) -> Side:
    """Return AWS's side: the outcomes of the table of its key states, and what a key is that is gone."""
    return Side(title, (*known_outcomes(title), gone))


def rows() -> Iterator[Row]:
    yield Row("encrypt", aws("Encrypt"), Side("encrypt", IN_USE), Side("Encrypt", USED))
    yield Row("decrypt", aws("Decrypt", UNREADABLE), Side("decrypt", IN_USE), Side("Decrypt", USED))
    yield Row("encrypt, a mode of AES", gcp=Side("RawEncrypt", USED))
    yield Row("decrypt, a mode of AES", gcp=Side("RawDecrypt", USED))
    yield Row("decrypt, a key pair", gcp=Side("AsymmetricDecrypt", USED))
    yield Row("make and wrap a data key", aws("GenerateDataKey"))
    yield Row("wrap a key", azure=Side("wrapKey", IN_USE))
    yield Row("unwrap a key", azure=Side("unwrapKey", IN_USE))
    yield Row("sign", aws("Sign"), Side("sign", IN_USE), Side("AsymmetricSign", USED))
    yield Row("verify", aws("Verify"), Side("verify", IN_USE))
    yield Row("get the public key", aws("GetPublicKey"), Side("get", IN_USE), Side("GetPublicKey", USED))
    yield Row("make a MAC", aws("GenerateMac"), gcp=Side("MacSign", USED))
    yield Row("verify a MAC", aws("VerifyMac"), gcp=Side("MacVerify", USED))
    yield Row("look", aws("DescribeKey"), Side("get", IN_USE), Side("GetCryptoKeyVersion", ALWAYS))
    yield Row(
        "list versions", aws("ListKeyRotations"), Side("get versions", LIVE), Side("ListCryptoKeyVersions", ALWAYS)
    )
    yield Row("label", aws("TagResource"), Side("update tags", LIVE), Side("UpdateCryptoKey", ALWAYS))
    yield Row(
        "enable", aws("EnableKey"), Side("update enabled", LIVE), Side("UpdateCryptoKeyVersion ENABLED", SWITCHED)
    )
    yield Row(
        "disable", aws("DisableKey"), Side("update disabled", LIVE), Side("UpdateCryptoKeyVersion DISABLED", SWITCHED)
    )
    yield Row("rotate", aws("RotateKeyOnDemand"), Side("rotate", LIVE), Side("CreateCryptoKeyVersion", ALWAYS))
    yield Row("make a version primary", gcp=Side("UpdateCryptoKeyPrimaryVersion", USED))
    yield Row("delete", aws("ScheduleKeyDeletion"), Side("delete", LIVE), Side("DestroyCryptoKeyVersion", SWITCHED))
    yield Row(
        "take that back", aws("CancelKeyDeletion"), Side("recover", DELETED), Side("RestoreCryptoKeyVersion", RESTORED)
    )
    yield Row("look at what was deleted", azure=Side("get deleted", DELETED))
    yield Row("purge", azure=Side("purge", DELETED))
    imported = (OK, OK, "Conflict ObjectIsDeletedButRecoverable", OK)
    again = Side("ImportCryptoKeyVersion", REFILLED)
    yield Row("import the same material again", aws("ImportKeyMaterial"), Side("import", imported), again)
    yield Row("back up", azure=Side("backup", LIVE))
    restored = ("Conflict", "Conflict", *imported[2:])
    yield Row("restore a backup", azure=Side("restore", restored))
    yield Row("get the policy", aws("GetKeyPolicy"), gcp=Side("GetIamPolicy", ALWAYS))
    yield Row("set the policy", aws("PutKeyPolicy"), gcp=Side("SetIamPolicy", ALWAYS))


ROWS = tuple(rows())
HEAD = """\
# Key states of the three clouds

What each operation answers for a key in each state. Written from `tests/emulator/states/table.py`, to which the tests
hold the emulator cell by cell. Its sources are the clouds' documentation: AWS KMS developer guide, "Key states of AWS
KMS keys"; Azure Key Vault, "Soft-delete overview" and "Key attributes"; Cloud KMS, "Key version states".

| state              | AWS: a key               | Azure: a key                   | Google: a version          |
| ------------------ | ------------------------ | ------------------------------ | -------------------------- |
| enabled            | `Enabled`                | `enabled` is true              | `ENABLED`                  |
| disabled           | `Disabled`               | `enabled` is false             | `DISABLED`                 |
| deletion scheduled | `PendingDeletion`        | soft-deleted                   | `DESTROY_SCHEDULED`        |
| gone               | the window is over       | purged                         | `DESTROYED`                |

AWS's other states and operations are in [KEY_STATES.md](KEY_STATES.md). A version at Google that failed to import
(`IMPORT_FAILED`) is refused as a destroyed one is, and can be imported into. An empty cell: the cloud has no such
operation, or does it at the client. Google's code stands with the type of its violation, Azure's with the inner code.
"""


def render() -> str:
    """Return the document."""
    lines = [HEAD, "| what | state | AWS KMS | Azure Key Vault | Google Cloud KMS |", "| --- | --- | --- | --- | --- |"]
    for row in ROWS:
        sides = (row.aws, row.azure, row.gcp)
        named = " | ".join(f"`{side.operation}`" if side is not None else "" for side in sides)
        lines.append(f"| **{row.what}** | | {named} |")
        for index, state in enumerate(STATES):
            cells = " | ".join(side.outcomes[index] if side is not None else "" for side in sides)
            lines.append(f"| | {state} | {cells} |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    if arguments != ["--check"]:
        DOCUMENT.write_text(render(), encoding="utf-8")
        return 0
    current = DOCUMENT.read_text(encoding="utf-8") == render()
    return (
        0 if current else sys.exit(f"{DOCUMENT} is not what the table says: run python -m tests.emulator.states.table")
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
