"""Keys and versions as frozen values; `lifecycle` makes new ones from them, `registry` keeps them.

A key is usable when it is enabled, and a version of it when that is enabled too. One cloud switches the key, the others
switch versions; the model has both switches. Key bytes are not in here: `material` holds them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class KeyKind(Enum):
    """What a key's material is."""

    AES_128 = "aes-128"
    AES_192 = "aes-192"
    AES_256 = "aes-256"
    HMAC_224 = "hmac-224"
    HMAC_256 = "hmac-256"
    HMAC_384 = "hmac-384"
    HMAC_512 = "hmac-512"
    RSA_2048 = "rsa-2048"
    RSA_3072 = "rsa-3072"
    RSA_4096 = "rsa-4096"
    EC_P256 = "ec-p256"
    EC_P384 = "ec-p384"
    EC_P521 = "ec-p521"
    EC_SECP256K1 = "ec-secp256k1"
    ED25519 = "ed25519"
    ML_DSA_44 = "ml-dsa-44"
    ML_DSA_65 = "ml-dsa-65"
    ML_DSA_87 = "ml-dsa-87"
    ML_KEM_768 = "ml-kem-768"
    ML_KEM_1024 = "ml-kem-1024"


class KeyUsage(Enum):
    """The one thing that a key is for; it never changes."""

    ENCRYPT = "encrypt"
    SIGN = "sign"
    MAC = "mac"
    AGREE = "agree"
    ENCAPSULATE = "encapsulate"


class KeyState(Enum):
    """State of a whole key. A key whose deletion has come is not a state: it is gone.

    MATERIAL_MISSING is for keys with imported material only, REPLICAS_REMAIN for keys with replicas only.
    """

    ENABLED = "enabled"
    DISABLED = "disabled"
    MATERIAL_MISSING = "material-missing"
    REPLICAS_REMAIN = "replicas-remain"
    DELETION_SCHEDULED = "deletion-scheduled"


class VersionState(Enum):
    """State of one version. A destroyed version stays as a record without material; a missing one may come back."""

    ENABLED = "enabled"
    DISABLED = "disabled"
    DESTROY_SCHEDULED = "destroy-scheduled"
    DESTROYED = "destroyed"
    MISSING = "missing"


NO_MATERIAL = frozenset({VersionState.DESTROYED, VersionState.MISSING})
"""The states in which a version has no material, here or in the store."""


class Role(Enum):
    """A key's part in a family: keys of several places that share id and material, of which one is primary."""

    ALONE = "alone"
    PRIMARY = "primary"
    REPLICA = "replica"


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a key.

    Attributes:
        number: from 1, without gaps; ciphertexts name it.
        id: 32 hexadecimal digits, random or, for imported material, its fingerprint; for clouds whose versions have
            no numbers.
        destroy_at_ns: when the scheduled destruction comes; None in other states.
        destroyed_ns: when it came.
        expires_ns: when imported material goes missing by itself; None if it stays.
        attributes: what only the adapter understands.
    """

    number: int
    id: str
    created_ns: int
    state: VersionState = VersionState.ENABLED
    destroy_at_ns: int | None = None
    destroyed_ns: int | None = None
    expires_ns: int | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Automatic rotation: the next one, and the period after it."""

    period_ns: int
    next_ns: int


@dataclass(frozen=True, slots=True)
class Key:
    """One key with all its versions.

    Attributes:
        uid: 16 random bytes. Never used again, unlike a name.
        realm: which adapter the key belongs to; names are unique in a realm.
        primary: number of the version that encrypts unless another is asked for; None while there is none.
        deletion_window_ns: length of the scheduled deletion's window, as asked for.
        imported: the material comes from outside: it can go missing, and only the same can come back.
        family: 16 bytes that all keys of a family share; None for a key alone. Ciphertexts name the `lineage`.
    """

    uid: bytes
    realm: str
    name: str
    kind: KeyKind
    created_ns: int
    updated_ns: int
    state: KeyState = KeyState.ENABLED
    delete_at_ns: int | None = None
    deletion_window_ns: int | None = None
    primary: int | None = None
    schedule: Schedule | None = None
    versions: tuple[Version, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)
    usage: KeyUsage = KeyUsage.ENCRYPT
    imported: bool = False
    role: Role = Role.ALONE
    family: bytes | None = None

    @property
    def lineage(self) -> bytes:
        """Return the 16 bytes that ciphertexts name: the family's, or the key's own."""
        return self.family or self.uid

    @property
    def current(self) -> Version | None:
        """Return the version that encrypts unless another is asked for, or None while there is none."""
        return None if self.primary is None else self.version(self.primary)

    def version(self, number: int) -> Version | None:
        """Return the version of that number, or None."""
        return self.versions[number - 1] if 1 <= number <= len(self.versions) else None

    def version_by_id(self, version_id: str) -> Version | None:
        """Return the version of that id, or None."""
        return next((version for version in self.versions if version.id == version_id), None)


@dataclass(frozen=True, slots=True)
class Alias:
    """A second name of a key, which can be pointed at another."""

    realm: str
    name: str
    target: bytes
    created_ns: int
    updated_ns: int


@dataclass(frozen=True, slots=True)
class Folder:
    """A named place that holds keys, where a cloud wants it to exist before its keys.

    Attributes:
        attributes: what only the adapter understands.
    """

    realm: str
    name: str
    created_ns: int
    attributes: Mapping[str, str] = field(default_factory=dict)
