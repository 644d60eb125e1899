"""What Google's statuses and version states mean for a wrapped key, whatever wire they came by.

Sources: Cloud KMS's reference (CryptoKeyVersionState), google.rpc.Code, OAuth 2.0 (RFC 6749, section 5.2).

Invariant: a status that is not listed is *unreachable*, never *invalid*.
"""

import re
from collections.abc import Mapping

import grpc

from keystore.errors import (
    KeyDestroyedError,
    KeyDisabledError,
    KeyPendingDeletionError,
    KeyUnusableError,
    KmsCredentialsError,
    KmsError,
    KmsUnreachableError,
)
from keystore.kms.channel import Refusal, classify

INVALID_STATE = grpc.StatusCode.FAILED_PRECONDITION.name
"""One status for every state that forbids a call; the version tells which it is."""

INVALID_ARGUMENT = grpc.StatusCode.INVALID_ARGUMENT.name
"""What Decrypt answers to a ciphertext that is not this key's, or was changed, or is bound to another context."""

STATES: Mapping[str, type[KmsError]] = {
    "DISABLED": KeyDisabledError,
    "DESTROY_SCHEDULED": KeyPendingDeletionError,
    "DESTROYED": KeyDestroyedError,
    "PENDING_EXTERNAL_DESTRUCTION": KeyDestroyedError,
    "EXTERNAL_DESTRUCTION_FAILED": KeyUnusableError,
    "PENDING_GENERATION": KmsUnreachableError,
    "PENDING_IMPORT": KeyUnusableError,
    "IMPORT_FAILED": KeyUnusableError,
    "GENERATION_FAILED": KeyUnusableError,
    "ENABLED": KmsUnreachableError,
}
"""What a version's state means for a call that it forbade.

PENDING_GENERATION passes within a minute. ENABLED: somebody changed it in between, so try again.
"""

OUTSIDE_PERIMETER = "vpcServiceControlsUniqueIdentifier"
"""Stands in the text of a PERMISSION_DENIED that is about the network that the call came from (VPC Service Controls):
the way is blocked, and nothing is said about the key."""

SIGN_IN: Mapping[str, type[KmsError]] = dict.fromkeys(
    ("account_not_found", "invalid_client", "invalid_grant", "invalid_rapt", "unauthorized_client"),
    KmsCredentialsError,
)
"""OAuth's codes of a token endpoint that does not believe who asks."""

_NO_TOKEN = re.compile(r"metadata from plugin failed with error: .*?([a-z_]{8,})", re.DOTALL)
"""What gRPC makes of credentials that could not be renewed: UNAVAILABLE, and the reason in its text."""


_NOT_GRPC = re.compile(r"Received http2 header with[a-zA-Z0-9 -]* status: ?[0-9]{3}")
"""What gRPC says of an HTTP answer without a gRPC status, from which it makes one up: a proxy's 403 is no refusal of
Google's."""


def kind_of(refusal: Refusal) -> type[KmsError]:
    """Return the error type for what Google, or the way there, answered."""
    if OUTSIDE_PERIMETER in refusal.text or _NOT_GRPC.search(refusal.text):
        return KmsUnreachableError
    no_token = _NO_TOKEN.search(refusal.text) if refusal.status is grpc.StatusCode.UNAVAILABLE else None
    if no_token is not None:
        return SIGN_IN.get(no_token[1], KmsUnreachableError)
    return classify(refusal, {})
