"""A process whose memory another one searches: it opens a node, tells every key it holds, and closes on demand."""

import os
import sys
from pathlib import Path

from keystore.crypto.secret import SecretKey
from keystore.kms.connect import connector
from keystore.node.directory import Node
from keystore.node.snapshotting import snapshot
from keystore.objects.directory import DirectoryPlace

TOLD = ("former master", "master", "anchor", "signing", "snapshots", "data 1", "data 2", "volume", "page", "metadata")


def tell(key: SecretKey) -> None:
    """Write the key to standard output as it lies in memory: no copy of it is made in this process."""
    assert os.write(1, key.view()) == len(key)


def main(directory: str, target: str) -> None:
    with Node.open(directory, connector()) as node:
        node.import_file("d", "f", Path(directory) / "keystore", page_size=4096)
        node.new_data_key("d")
        tell(node.master.key)
        node.rotate_master()
        with node.using_store("d", "f") as store:
            store.commit({0: b"p" * 4096})
            assert store.read(0) == b"p" * 4096
            made = snapshot(node, DirectoryPlace(target))
            with node.held() as custody:
                assert custody.volume is not None
                database = custody.keystore.databases["d"]
                session = store._state.sessions.current
                assert session is not None
                first, second = (data_key.key for data_key in database.data_keys)
                keystore = custody.keystore
                own = (custody.master.key, keystore.anchor_key, keystore.signing.seed, keystore.snapshot_secret)
                for key in (*own, first, second, custody.volume.key, session.page_key, session.metadata_key):
                    tell(key)
            os.write(1, made.snapshot_id)
            sys.stdin.buffer.read(1)
    os.write(1, b"closed")
    sys.stdin.buffer.read(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
