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
    cause_of,
)
from keystore.kms.endpoints import ENDPOINT_ENVIRONMENT

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


OR_GRPC = f", or name an emulator's gRPC HOST:PORT with {ENDPOINT_ENVIRONMENT}"
"""What else can be done where an SDK is missing, by who gives no credentials: gRPC carries none."""

NO_ANSWER = "no answer"
"""Stands for a code where no KMS said anything; the text then says where none did."""


CODE_CHARACTERS_MAX, TEXT_CHARACTERS_MAX = 100, 500
"""LIMIT: characters of an answer's code and text that are shown; a proxy may answer with a whole page."""


class RefusedError(Exception):
    """A call failed; the client turns it into a `KmsError`. Never leaves `keystore.kms`.

    Attributes:
        kind: what the answer, or its absence, means.
        code: the cloud's code, or what stands for one when there was no answer.
        text: what was said, in one line.
    """

    def __init__(self, kind: type[KmsError], code: str, text: str) -> None:
        self.kind, self.code = kind, " ".join(code.split())[:CODE_CHARACTERS_MAX]
        self.text = " ".join(text.split())[:TEXT_CHARACTERS_MAX]
        super().__init__(self.text)


def describe(kind: type[KmsError], key_uri: str, action: str, code: str, text: str) -> KmsError:
    """Return an error of type `kind` that tells what was asked, what the KMS said and what to do."""
    said = text.rstrip(".").removeprefix(f"{key_uri}: ") or "no reason given"
    what = said if code == NO_ANSWER else f"{action} failed: {code}: {said}"
    error = kind(f"{key_uri}: {what}. Nothing was changed. {ADVICE[kind]}")
    error.code = "" if code == NO_ANSWER else code
    return error


def what_failed(error: KmsError) -> str:
    """Return what `error` says was wrong, without its advice: for a caller that knows more and gives its own."""
    advice = f". Nothing was changed. {ADVICE.get(type(error), '')}"
    return str(error).removesuffix(advice) if str(error).endswith(advice) else cause_of(error)
