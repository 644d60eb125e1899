"""What admin refuses."""


class RefusedError(Exception):
    """A request that cannot be done; nothing was changed."""


class MissingError(RefusedError):
    """It names something that is not there."""
