"""Where the registry keeps what must survive: an interface, and the store that keeps nothing.

Each method that writes is atomic, and durable when it returns. It is read once, at the start.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from kms_emulator.model.grants import Grant
from kms_emulator.model.identities import Credential, Identity
from kms_emulator.model.keys import Alias, Folder, Key
from kms_emulator.model.material import Material


class StoreError(Exception):
    """The store cannot be read or written: no change happened, and the message, which holds no contents, says why."""


@dataclass
class StoredState:
    """All that a store holds."""

    keys: list[Key] = field(default_factory=list)
    materials: dict[tuple[bytes, int], Material] = field(default_factory=dict)
    aliases: list[Alias] = field(default_factory=list)
    folders: list[Folder] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)
    grants: list[Grant] = field(default_factory=list)
    identities: list[Identity] = field(default_factory=list)
    credentials: list[Credential] = field(default_factory=list)


KeyChange = tuple[Key, Mapping[int, Material]]
"""A key as it shall be, and the materials of its versions that are new or came back."""


class Store(Protocol):
    """What the registry needs of a store."""

    def load(self) -> StoredState:
        """Return everything."""

    def put_keys(self, changes: Sequence[KeyChange], removed: Sequence[bytes] = ()) -> None:
        """Write keys with their new materials, and remove others with all that is theirs, all or nothing.

        Materials of versions that are gone, or have none, are erased.
        """

    def put_alias(self, alias: Alias) -> None:
        """Write an alias."""

    def remove_alias(self, realm: str, name: str) -> None:
        """Remove an alias."""

    def put_folder(self, folder: Folder) -> None:
        """Write a folder."""

    def put_setting(self, name: str, value: str) -> None:
        """Write what is neither key nor name, such as the clock's setting."""

    def put_grant(self, grant: Grant) -> None:
        """Write a grant."""

    def remove_grant(self, grant_id: str) -> None:
        """Remove a grant."""

    def put_identity(self, identity: Identity) -> None:
        """Write an identity."""

    def remove_identity(self, name: str) -> None:
        """Remove an identity."""

    def put_credential(self, credential: Credential) -> None:
        """Write a credential."""

    def remove_credential(self, credential_id: str) -> None:
        """Remove a credential."""

    def clear(self) -> None:
        """Remove everything."""


class MemoryStore:
    """Keeps nothing: the registry's own memory is the state, and ends with the process."""

    def load(self) -> StoredState:
        return StoredState()

    def put_keys(self, changes: Sequence[KeyChange], removed: Sequence[bytes] = ()) -> None:
        pass

    def put_alias(self, alias: Alias) -> None:
        pass

    def remove_alias(self, realm: str, name: str) -> None:
        pass

    def put_folder(self, folder: Folder) -> None:
        pass

    def put_setting(self, name: str, value: str) -> None:
        pass

    def put_grant(self, grant: Grant) -> None:
        pass

    def remove_grant(self, grant_id: str) -> None:
        pass

    def put_identity(self, identity: Identity) -> None:
        pass

    def remove_identity(self, name: str) -> None:
        pass

    def put_credential(self, credential: Credential) -> None:
        pass

    def remove_credential(self, credential_id: str) -> None:
        pass

    def clear(self) -> None:
        pass
