"""What the model refuses, in one tree; each wire adapter turns it into its cloud's own error.

ModelError
  KeyMissingError, VersionMissingError, NameTakenError, FolderMissingError
  KeyStateError         the key's state does not allow it
  VersionStateError     the version's state does not allow it
  KeyInUseError         the guard is on, and somebody uses the key
  CiphertextError       changed, cut, foreign, or bound to another context
  LengthError           too many bytes for this key
  BlockError            not whole blocks, for a mode that does not pad
  SignatureError        the signature or the code is not the message's
  MaterialError         imported material is of the wrong form, or not the one expected
  PeerKeyError          another party's public key is of the wrong form or kind
"""

from collections.abc import Sequence

from kms_emulator.model.keys import Key, Version

USERS_NAMED_MAX = 5
"""LIMIT: users of a key that a message names."""


class ModelError(Exception):
    """Base of what the model refuses; nothing was changed."""


class KeyMissingError(ModelError):
    """No key of that name, or none that the ciphertext names."""


class VersionMissingError(ModelError):
    """The key has no such version."""


class FolderMissingError(ModelError):
    """No folder of that name."""


class NameTakenError(ModelError):
    """The name is in use."""


class KeyStateError(ModelError):
    """The key's state does not allow it."""

    def __init__(self, key: Key) -> None:
        self.key = key
        super().__init__(f"key {key.name} is {key.state.value}")


class VersionStateError(ModelError):
    """The version's state does not allow it."""

    def __init__(self, key: Key, version: Version) -> None:
        self.key, self.version = key, version
        super().__init__(f"version {version.number} of key {key.name} is {version.state.value}")


class KeyInUseError(ModelError):
    """The guard is on, and somebody uses the key."""

    def __init__(self, key: Key, version: int | None, users: Sequence[str]) -> None:
        self.key, self.version = key, key.version(version) if version else None
        more = len(users) - USERS_NAMED_MAX
        self.named = ", ".join(users[:USERS_NAMED_MAX]) + (f" and {more} more" if more > 0 else "")
        super().__init__(f"key {key.name} is used by {self.named}")


class CiphertextError(ModelError):
    """The ciphertext cannot be opened. One error for all causes: telling them apart would help a forger."""


class LengthError(ModelError):
    """More bytes than this key can take at once."""

    def __init__(self, length_max: int) -> None:
        self.length_max = length_max
        super().__init__(f"at most {length_max} bytes can be encrypted with this key")


class BlockError(ModelError):
    """The bytes are not whole blocks, and the mode does not pad."""


class SignatureError(ModelError):
    """A signature or authentication code is not this key's over this message."""


class MaterialError(ModelError):
    """Imported material has the wrong form or size for the key, or is not what was imported before."""


class PeerKeyError(ModelError):
    """Another party's public key has the wrong form, or is of another kind than the key."""
