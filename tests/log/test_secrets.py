"""Nothing in clear is in a log, and no pair of key and nonce seals twice, copies of the node included."""

import shutil
from pathlib import Path

import pytest

from keystore.kms.protocol import KmsConnector
from keystore.node.directory import Node
from tests.log.history import SIZE
from tests.node.test_nonces import pairs as pairs

CANARY = b"canary-7fd1a4"


@pytest.mark.row("R96")
def test_no_plaintext_name_or_key_is_in_the_log(node: Node, place: Path, tmp_path: Path) -> None:
    secret = tmp_path / "source"
    secret.write_bytes(CANARY * 3000)
    node.import_file(f"db-{CANARY.decode()}", f"file-{CANARY.decode()}", secret)
    with node.create_store("db", "a", SIZE) as store:
        store.commit({0: CANARY.ljust(SIZE, b"-"), 1: b"\0" * SIZE})
        node.new_data_key("db")
        node.log.flush()
        node.rotate_master()
        store.commit({1: CANARY.rjust(SIZE, b"+")})
    number = node.log.flush()
    with node.held() as custody:
        keys = [custody.keystore.snapshot_secret, custody.keystore.signing.seed, custody.master.key]
        keys += [key.key for database in custody.keystore.databases.values() for key in database.data_keys]
        keys += [custody.master.log_key(each) for each in range(1, number + 1)]
        wanted = [CANARY, *(bytes(key.view()) for key in keys)]
    objects = [path.read_bytes() for path in place.rglob("*") if path.is_file()]
    assert sum(map(len, objects)) > len(CANARY) * 3000
    assert len(objects) == number >= 3
    for data in objects:
        for text in wanted:
            assert text not in data
    assert not [path for path in place.rglob("*") if CANARY.decode() in path.name]


def test_no_key_and_nonce_seal_twice(
    tmp_path: Path, cmk: str, connect: KmsConnector, place: Path, pairs: list[bytes]
) -> None:
    def use(directory: Path) -> None:
        with Node.open(directory, connect) as node:
            for _ in range(3):
                with node.using_store("db", "a") as store:
                    store.commit(dict.fromkeys(range(3), b"x" * SIZE))
                node.log.flush()
                node.rotate_master()

    with Node.init(tmp_path / "node", cmk, connect) as node:
        node.log.enable(place)
        node.create_store("db", "a", SIZE).close()
    shutil.copytree(place, tmp_path / "log-then")
    for copy in ("copy", "other"):
        shutil.copytree(tmp_path / "node", tmp_path / copy)
    for directory in ("node", "copy", "other"):
        shutil.rmtree(place)  # so that each of them writes the same numbers
        shutil.copytree(tmp_path / "log-then", place)
        use(tmp_path / directory)
    assert len(pairs) > 100
    assert len(set(pairs)) == len(pairs)
