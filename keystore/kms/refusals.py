"""What is said of a KMS that did not do what was asked: the same words for every client and every wire.

Leaves to the clients: which type of error an answer is.
"""

from collections.abc import Mapping

from keystore.errors import (
    CiphertextError,
    KeyDestroyedError,
    KeyDisabledError,
    KeyNotFoundError,
    KeyPendingDeletionError,
    KeyUnusableError,
    KmsCredentialsError,
    KmsError,
    KmsPermissionError,
    KmsUnreachableError,
)

ADVICE: Mapping[type[KmsError], str] = {
    KmsCredentialsError: "Renew the credentials.",
    KmsPermissionError: "Give the permission back at the KMS.",
    KeyNotFoundError: "Check the key URI and the endpoint.",
    KeyDisabledError: "Enable the key at the KMS.",
    KeyPendingDeletionError: "Cancel the deletion at the KMS while it is possible.",
    KeyDestroyedError: "Use a copy of the data that another key wraps.",
    KeyUnusableError: "Choose a key made for encryption.",
    CiphertextError: "Bring back the file that holds the wrapped key.",
    KmsUnreachableError: "Try again later; what runs goes on.",
}


def describe(kind: type[KmsError], key_uri: str, action: str, code: str, text: str) -> KmsError:
    """Return an error of type `kind` that tells what was asked, what the KMS said and what to do."""
    said = text.rstrip(".") or "no reason given"
    return kind(f"{key_uri}: {action} failed: {code}: {said}. Nothing was changed. {ADVICE[kind]}")
