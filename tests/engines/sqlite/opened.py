"""The store under a connection, for tests that look inside."""

import apsw

from keystore.engines.sqlite import node_of
from keystore.pages.store import PageStore


def store_of(connection: apsw.Connection) -> PageStore:
    """Return the one store that is open in the connection's node."""
    ((_, _, store),) = node_of(connection)._stores.open_now()
    return store
