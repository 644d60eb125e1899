"""What AWS's error codes and key states mean for a wrapped key, whatever wire they came by.

Sources: the API reference of KMS (DescribeKey, Encrypt, Decrypt, common errors), the errors of botocore's model of KMS,
and of STS, which the credential chain may ask first.

Invariant: a code that is not listed is *unreachable*, never *invalid*.
"""

from collections.abc import Mapping

from keystore.errors import (
    CiphertextError,
    KeyDisabledError,
    KeyNotFoundError,
    KeyPendingDeletionError,
    KeyUnusableError,
    KmsCredentialsError,
    KmsError,
    KmsPermissionError,
    KmsUnreachableError,
)

INVALID_STATE = "KMSInvalidStateException"
"""One code for every state that forbids a call; DescribeKey tells which it is."""

CREDENTIALS = (
    "ExpiredToken",
    "ExpiredTokenException",
    "IDPRejectedClaim",
    "IncompleteSignature",
    "IncompleteSignatureException",
    "InvalidClientTokenId",
    "InvalidIdentityToken",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
)
"""Who is calling was not believed. RequestExpired is a signature that is too old, by our clock or by theirs."""

PERMISSION = ("AccessDenied", "AccessDeniedException", "InvalidGrantTokenException", "NotAuthorized", "OptInRequired")

NOT_NOW = (
    "DependencyTimeoutException",
    "IDPCommunicationError",
    "InternalFailure",
    "InternalServerError",
    "KMSInternalException",
    "KeyUnavailableException",
    "LimitExceededException",
    "RequestAbortedException",
    "RequestLimitExceeded",
    "RequestThrottledException",
    "RequestTimeout",
    "RequestTimeoutException",
    "ServiceUnavailable",
    "ServiceUnavailableException",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "TooManyRequestsException",
)
"""The service's health, its load, or ours."""

KEY_STORE = (
    "CloudHsmClusterInUseException",
    "CloudHsmClusterInvalidConfigurationException",
    "CloudHsmClusterNotActiveException",
    "CloudHsmClusterNotFoundException",
    "CloudHsmClusterNotRelatedException",
    "CustomKeyStoreHasCMKsException",
    "CustomKeyStoreInvalidStateException",
    "CustomKeyStoreNameInUseException",
    "CustomKeyStoreNotFoundException",
    "IncorrectTrustAnchorException",
    "XksKeyAlreadyInUseException",
    "XksKeyInvalidConfigurationException",
    "XksKeyNotFoundException",
    "XksProxyIncorrectAuthenticationCredentialException",
    "XksProxyInvalidConfigurationException",
    "XksProxyInvalidResponseException",
    "XksProxyUriEndpointInUseException",
    "XksProxyUriInUseException",
    "XksProxyUriUnreachableException",
    "XksProxyVpcEndpointServiceInUseException",
    "XksProxyVpcEndpointServiceInvalidConfigurationException",
    "XksProxyVpcEndpointServiceNotFoundException",
)
"""About the store behind a key, which is on the way to it: an HSM cluster or an external key manager."""

OTHER_CALLS = (
    "AlreadyExistsException",
    "ConflictException",
    "DryRunOperationException",
    "ExpiredImportTokenException",
    "IncorrectKeyMaterialException",
    "InvalidAliasNameException",
    "InvalidGrantIdException",
    "InvalidImportTokenException",
    "InvalidMarkerException",
    "KMSInvalidMacException",
    "KMSInvalidSignatureException",
    "MalformedPolicyDocumentException",
    "TagException",
)
"""Answers to calls that are never made here; one that comes all the same says nothing about the key."""

OUR_REQUEST = ("InvalidAction", "SerializationException", "UnknownOperationException", "ValidationException")
"""The service did not understand the request, so it decided nothing."""

CODES: Mapping[str, type[KmsError]] = {
    **dict.fromkeys(CREDENTIALS, KmsCredentialsError),
    **dict.fromkeys(PERMISSION, KmsPermissionError),
    **dict.fromkeys((*NOT_NOW, *KEY_STORE, *OTHER_CALLS, *OUR_REQUEST), KmsUnreachableError),
    "NotFoundException": KeyNotFoundError,
    "InvalidArnException": KeyNotFoundError,
    "DisabledException": KeyDisabledError,
    INVALID_STATE: KeyUnusableError,
    "InvalidKeyUsageException": KeyUnusableError,
    "UnsupportedOperationException": KeyUnusableError,
    "InvalidCiphertextException": CiphertextError,
    "IncorrectKeyException": CiphertextError,
}

STATES: Mapping[str, type[KmsError]] = {
    "Disabled": KeyDisabledError,
    "PendingDeletion": KeyPendingDeletionError,
    "PendingReplicaDeletion": KeyPendingDeletionError,
    "PendingImport": KeyUnusableError,
    "Unavailable": KmsUnreachableError,
    "Updating": KmsUnreachableError,
    "Creating": KmsUnreachableError,
    "Enabled": KmsUnreachableError,
}
"""What a key state means for a call that it forbade.

Unavailable: the key store behind it cannot be reached. Enabled: somebody changed it in between, so try again.
"""

NETWORK = "VPC endpoint policy"
"""Stands in the text of a refusal that is about the network that the call came from: "…with an explicit deny in a VPC
endpoint policy", "…because no VPC endpoint policy allows the kms:Decrypt action" (IAM, "Access denied error messages").
The way is blocked, and nothing is said about the key."""


def kind_of(kind: type[KmsError], text: str) -> type[KmsError]:
    """Return what an answer means whose code means `kind`."""
    return KmsUnreachableError if kind is KmsPermissionError and NETWORK in text else kind
