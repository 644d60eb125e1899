"""SQLite databases in page stores, by apsw; needs the extra `sqlite`. docs/SQLITE.md has the use of it.

with contextlib.closing(connect("/data/orders", cmk="aws://us-east-1/alias/cmk")) as connection:
    connection.execute("CREATE TABLE orders (number INTEGER PRIMARY KEY, text TEXT)")
"""

from keystore.engines.sqlite.opening import connect, node_of

__all__ = ["connect", "node_of"]
