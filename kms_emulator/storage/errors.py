"""What can be wrong with a data directory."""

from kms_emulator.model.store import StoreError


class DataDirError(StoreError):
    """The data directory cannot be used; nothing in it was changed."""


class DataDirInUseError(DataDirError):
    """Another process has the data directory open."""


class DataDirKeyError(DataDirError):
    """Sealed, and the passphrase or key file is missing or wrong; or in the clear, and one is given."""


class DataDirDamagedError(DataDirError):
    """The database in the data directory is not one of ours, or of a newer version, or damaged."""
