"""A secret as a KMS wrapped it, with everything needed to ask for it back."""

from dataclasses import dataclass


@dataclass(frozen=True)
class WrappedKey:
    """What a KMS returned for a secret.

    Attributes:
        provider: `aws`, `azure`, `gcp` or `local`.
        key_id: the key URI exactly as configured.
        key_version: what the KMS says it used: the key ARN (AWS shows no versions), the key identifier with its
            version (Azure), the name of the crypto key version (GCP), nothing (local).
        ciphertext: opaque; only that KMS can read it.
    """

    provider: str
    key_id: str
    key_version: str
    ciphertext: bytes
