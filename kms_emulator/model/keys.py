"""Keys and versions as frozen values; `lifecycle` makes new ones from them, `registry` keeps them.

A key is usable when it is enabled, and a version of it when that is enabled too. One cloud switches the key, the others
switch versions; the model has both switches. Key bytes are not in here: `material` holds them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class KeyKind(Enum):
    """What a key's material is."""

    AES_256 = "aes-256"
    RSA_2048 = "rsa-2048"
    RSA_3072 = "rsa-3072"
    RSA_4096 = "rsa-4096"


class KeyState(Enum):
    """State of a whole key. A key whose deletion has come is not a state: it is gone."""

    ENABLED = "enabled"
    DISABLED = "disabled"
    DELETION_SCHEDULED = "deletion-scheduled"


class VersionState(Enum):
    """State of one version. A destroyed version stays as a record without material."""

    ENABLED = "enabled"
    DISABLED = "disabled"
    DESTROY_SCHEDULED = "destroy-scheduled"
    DESTROYED = "destroyed"


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a key.

    Attributes:
        number: from 1, without gaps; ciphertexts name it.
        id: 32 hexadecimal digits, random; for clouds whose versions have no numbers.
        destroy_at_ns: when the scheduled destruction comes; None in other states.
        destroyed_ns: when it came.
        attributes: what only the adapter understands.
    """

    number: int
    id: str
    created_ns: int
    state: VersionState = VersionState.ENABLED
    destroy_at_ns: int | None = None
    destroyed_ns: int | None = None
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
        uid: 16 random bytes; ciphertexts name it. Never used again, unlike a name.
        realm: which adapter the key belongs to; names are unique in a realm.
        primary: number of the version that encrypts unless another is asked for; None while there is none.
        deletion_window_ns: length of the scheduled deletion's window, as asked for.
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
    """A named place that holds keys, where a cloud wants it to exist before its keys."""

    realm: str
    name: str
    created_ns: int
