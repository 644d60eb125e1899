"""Google's roles for Cloud KMS, and the permissions in each (IAM documentation, "Cloud KMS roles")."""

from collections.abc import Mapping

ENCRYPT, DECRYPT = "cloudkms.cryptoKeyVersions.useToEncrypt", "cloudkms.cryptoKeyVersions.useToDecrypt"
SIGN, VERIFY = "cloudkms.cryptoKeyVersions.useToSign", "cloudkms.cryptoKeyVersions.useToVerify"
VIEW_PUBLIC_KEY = "cloudkms.cryptoKeyVersions.viewPublicKey"
RANDOM_BYTES = "cloudkms.locations.generateRandomBytes"
IMPORT = "cloudkms.importJobs.useToImport"
_POLICY = ("getIamPolicy", "setIamPolicy")
_MANAGED = {
    "keyRings": ("create", "get", "list", *_POLICY),
    "cryptoKeys": ("create", "get", "list", "update", *_POLICY),
    "importJobs": ("create", "get", "list", "useToImport", *_POLICY),
    "cryptoKeyVersions": ("create", "destroy", "get", "list", "restore", "update"),
}
_ADMIN = frozenset(f"cloudkms.{kind}.{act}" for kind, acts in _MANAGED.items() for act in acts)
_VIEWER = frozenset(name for name in _ADMIN if name.endswith((".get", ".list")))
_OPERATOR = frozenset({ENCRYPT, DECRYPT, SIGN, VERIFY, VIEW_PUBLIC_KEY, RANDOM_BYTES})

PERMISSIONS = _ADMIN | _OPERATOR
"""Every permission that anything here asks for."""

ROLES: Mapping[str, frozenset[str]] = {
    "roles/owner": PERMISSIONS,
    "roles/viewer": _VIEWER,
    "roles/cloudkms.admin": _ADMIN,
    "roles/cloudkms.viewer": _VIEWER,
    "roles/cloudkms.importer": frozenset(
        {IMPORT, *(f"cloudkms.importJobs.{act}" for act in ("create", "get", "list"))}
    ),
    "roles/cloudkms.cryptoKeyEncrypter": frozenset({ENCRYPT}),
    "roles/cloudkms.cryptoKeyDecrypter": frozenset({DECRYPT}),
    "roles/cloudkms.cryptoKeyEncrypterDecrypter": frozenset({ENCRYPT, DECRYPT}),
    "roles/cloudkms.publicKeyViewer": frozenset({VIEW_PUBLIC_KEY}),
    "roles/cloudkms.signer": frozenset({SIGN}),
    "roles/cloudkms.signerVerifier": frozenset({SIGN, VERIFY, VIEW_PUBLIC_KEY}),
    "roles/cloudkms.verifier": frozenset({VERIFY, VIEW_PUBLIC_KEY}),
    "roles/cloudkms.cryptoOperator": _OPERATOR,
}
"""What each role that can be bound allows."""


def permissions_of(role: str) -> frozenset[str]:
    """Return what a role allows; nothing if it is not one."""
    return ROLES.get(role, frozenset())
