"""What Azure's error codes mean for a wrapped key, whatever wire they came by.

Sources: the error codes of Key Vault's REST API, and of Entra (AADSTS), which gives out the tokens.

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

DISABLED = "KeyDisabled"
"""Azure does not even show a disabled key, so this answers a look at its state."""

CODES: Mapping[str, type[KmsError]] = {
    "Unauthorized": KmsCredentialsError,
    "AKV10032": KmsCredentialsError,
    "Forbidden": KmsPermissionError,
    "AccessDenied": KmsPermissionError,
    "ForbiddenByPolicy": KmsPermissionError,
    "ForbiddenByRbac": KmsPermissionError,
    "ForbiddenByFirewall": KmsUnreachableError,
    "ForbiddenByConnection": KmsUnreachableError,
    "KeyNotFound": KeyNotFoundError,
    "VaultNotFound": KeyNotFoundError,
    DISABLED: KeyDisabledError,
    "KeyNotYetValid": KeyUnusableError,
    "KeyExpired": KeyUnusableError,
    "KeyOperationForbidden": KeyUnusableError,
    "KeyOperationNotPermitted": KeyUnusableError,
    "ObjectIsDeletedButRecoverable": KeyPendingDeletionError,
    "ObjectIsBeingDeleted": KeyPendingDeletionError,
    "ObjectIsBeingRecovered": KmsUnreachableError,
    "Throttled": KmsUnreachableError,
    "InternalServerError": KmsUnreachableError,
    "ServiceUnavailable": KmsUnreachableError,
}
"""Key Vault's codes, inner ones first. An address list (firewall) blocks the way and says nothing about the key."""

DECRYPT_CODES: Mapping[str, type[KmsError]] = {**CODES, "BadParameter": CiphertextError}
"""To Decrypt, whose only free parameter is the wrapped key, BadParameter means that."""

BLOCKED_ADDRESS = "Client address"
"""How the message of a firewall's 403 begins, which older vaults send without an inner code."""

SIGN_IN: Mapping[str, type[KmsError]] = {
    **dict.fromkeys(
        (
            "AADSTS50034",  # no such user in the directory
            "AADSTS50126",  # wrong user name or password
            "AADSTS53003",  # blocked by conditional access
            "AADSTS70021",  # no federated identity matches the assertion
            "AADSTS70043",  # the refresh token has expired
            "AADSTS90002",  # no such tenant
            "AADSTS500011",  # the resource is not known in the tenant
            "AADSTS700016",  # no such application in the tenant
            "AADSTS700024",  # the client assertion is not within its valid time
            "AADSTS700027",  # the client assertion's signature is wrong
            "AADSTS700082",  # the refresh token has expired by inactivity
            "AADSTS900023",  # the tenant is no valid name
            "AADSTS7000112",  # the application is disabled
            "AADSTS7000215",  # wrong client secret
            "AADSTS7000222",  # the client secret has expired
            "AADSTS7000229",  # the application has no service principal in the tenant
        ),
        KmsCredentialsError,
    ),
    **dict.fromkeys(
        (
            "AADSTS50196",  # too many of the same request
            "AADSTS90006",  # temporary error of the directory
            "AADSTS90033",  # the service is temporarily unavailable
            "AADSTS90055",  # too many requests
        ),
        KmsUnreachableError,
    ),
}
"""Entra's codes, found in what azure-identity says."""
