"""What can be wrong with a seed file."""


class SeedError(Exception):
    """A seed file that cannot be used; nothing was changed."""
