"""What every cryptographic operation asks of its key first: its state, its usage, then the algorithm."""

from kms_emulator.model.errors import KeyStateError
from kms_emulator.model.keys import Key, KeyState, KeyUsage, Version
from kms_emulator.wire.aws import names
from kms_emulator.wire.aws.errors import aws_error
from kms_emulator.wire.aws.metadata import material_id
from kms_emulator.wire.aws.specs import USAGE_NAMES
from kms_emulator.wire.call import Call


def check_usable(call: Call, key: Key, usage: KeyUsage) -> Version:
    """Return the current version of a key that may be used now, and in this way.

    Raises:
        KeyStateError: it is disabled, pending deletion or pending import.
        CloudError: InvalidKeyUsageException.
    """
    version = key.current
    if key.state is not KeyState.ENABLED or version is None:
        raise KeyStateError(key)
    if key.usage is not usage:
        text = f"{names.key_arn(key)} key usage is {USAGE_NAMES[key.usage]} which is not valid for {call.operation}."
        raise aws_error("InvalidKeyUsageException", text)
    call.key_version = material_id(key, version)
    return version


def check_dry_run(dry_run: bool) -> None:
    """End a call that was only to tell whether it would succeed."""
    if dry_run:
        text = "The request would have succeeded, but the DryRun option is set."
        raise aws_error("DryRunOperationException", text)


def check_attestation(given: bool) -> None:
    """Refuse an attestation document: there is no enclave to prove."""
    if given:
        raise aws_error("UnsupportedOperationException", "Recipient is not emulated.")
