"""Has the KMS unwrap the keys of a snapshot's day, with the credentials of that day or the present ones; says why not.

The manifest names the credentials that the node had then, by reference. They are tried first, as far as they are known
here, then the present ones, always on the very key that the manifest names.
"""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import TypeVar

from keystore.errors import (
    CiphertextError,
    KeyDestroyedError,
    KeyDisabledError,
    KeyNotFoundError,
    KeyPendingDeletionError,
    KmsCredentialsError,
    KmsError,
    KmsPermissionError,
    KmsUnreachableError,
    PassphraseError,
    WrongKeyError,
)
from keystore.format.manifest import ManifestHead
from keystore.keys.master import MasterKey, open_master
from keystore.keys.volume import VolumeKey, open_volume
from keystore.kms.protocol import Kms, KmsConnector, NamedCredentials, reference_of
from keystore.kms.refusals import what_failed
from keystore.snapshots.damage import damaged

Opened = TypeVar("Opened")


@dataclass(frozen=True)
class UsedCredentials:
    """Whose credentials opened a snapshot.

    Attributes:
        reference: what they are called; empty for those that nobody named.
        recorded: they are those that the snapshot names.
    """

    reference: str
    recorded: bool


def open_master_of_day(head: ManifestHead, connect: KmsConnector) -> tuple[MasterKey, UsedCredentials]:
    """Return the master key of a snapshot's day, which the caller wipes, and whose credentials opened it.

    Raises:
        KmsError: of the type that says why the key of that day cannot be used; the message says what to do.
        SnapshotDamagedError: what came back is another key.
    """
    try:
        return by_either(
            connect,
            head.wrapped.key_id,
            head.credential,
            lambda kms: open_master(kms, head.wrapped, head.node_id, head.era, head.commitment),
        )
    except KmsError as error:
        raise _explain(head, error) from error
    except WrongKeyError as error:
        raise damaged(f"snapshot {head.snapshot_id.hex()}: its manifest", str(error)) from None


def open_volume_of_day(head: ManifestHead, connect: KmsConnector) -> VolumeKey | None:
    """Return the key of a snapshot's volume layer, which the caller wipes; None where it has none. Errors as above."""
    record = head.volume
    if record is None:
        return None
    try:
        return by_either(connect, record.wrapped.key_id, head.credential, lambda kms: open_volume(kms, record))[0]
    except KmsError as error:
        raise _explain(head, error, "the platform key of its volume layer") from error
    except WrongKeyError as error:
        raise damaged(f"snapshot {head.snapshot_id.hex()}: its manifest", str(error)) from None


def by_either(
    connect: KmsConnector, key_id: str, recorded: str, act: Callable[[Kms], Opened]
) -> tuple[Opened, UsedCredentials]:
    """Do something at the KMS with the recorded credentials, or, where those are refused, with the present ones."""
    present = reference_of(connect, key_id)
    former = None
    if recorded and recorded != present and isinstance(connect, NamedCredentials):
        former = connect.by_reference(key_id, recorded)
    if former is not None:
        try:
            with closing(former):
                return act(former), UsedCredentials(recorded, recorded=True)
        except (KmsCredentialsError, KmsPermissionError):
            pass  # they were replaced since, or lost the permission: the present ones may have it
    with closing(connect(key_id)) as kms:
        return act(kms), UsedCredentials(present, recorded=bool(recorded) and recorded == present)


_NEXT_STEP: dict[type[KmsError], str] = {
    KmsUnreachableError: "Restore again once the KMS can be reached.",
    KeyDisabledError: "Re-enable the key, and restore again.",
    KeyPendingDeletionError: "Cancel the deletion of the key, enable it, and restore again.",
    KeyNotFoundError: "Bring the key back; if it was deleted, this is final, and nothing else opens this snapshot.",
    KeyDestroyedError: "This is final: nothing else can open this snapshot.",
    KmsCredentialsError: "Renew the credentials, and restore again.",
    KmsPermissionError: "Give the permission back at the KMS, and restore again.",
    PassphraseError: "Restore again with the passphrase of that day.",
    CiphertextError: "Bring back the manifest, or the key, of that day, or use another snapshot.",
}


def _explain(head: ManifestHead, error: KmsError, key: str = "the key of its day") -> KmsError:
    """Return an error of the same type that tells which snapshot needs which key, and what to do."""
    return explained(f"snapshot {head.snapshot_id.hex()}", error, key)


def explained(what: str, error: KmsError, key: str = "the key of its day") -> KmsError:
    """Return an error of the same type that tells what cannot be restored without which key, and what to do."""
    step = _NEXT_STEP.get(type(error), "Restore again once it is mended.")
    return type(error)(f"{what} cannot be restored without {key}: {what_failed(error)}. Nothing was restored. {step}")
