"""An outside anchor in S3, at a server that answers as S3 does, conditional writes included."""

from pathlib import Path

import pytest

from keystore.errors import OutsideAnchorUnreachableError
from keystore.kms.protocol import KmsConnector
from keystore.node.directory import Node
from keystore.node.outside_places import get, newest, open_outside, prune, put


@pytest.fixture
def bucket(s3_bucket: str) -> str:
    return f"{s3_bucket}/nodes"


def test_a_number_is_written_once(bucket: str) -> None:
    place, node_id = open_outside(bucket), b"n" * 16
    assert newest(place, node_id) == 0
    assert put(place, node_id, 1, b"first")
    assert put(place, node_id, 1, b"first")
    assert not put(place, node_id, 1, b"second")
    assert put(place, node_id, 2, b"third")
    assert (newest(place, node_id), get(place, node_id, 1)) == (2, b"first")
    prune(place, node_id, 2)
    assert newest(place, node_id) == 1


def test_a_node_lives_under_it(bucket: str, directory: Path, cmk: str, connect: KmsConnector) -> None:
    Node.init(directory, cmk, connect, outside_anchor=bucket).close()
    with Node.open(directory, connect) as node:
        node.rotate_master()
        assert node.outside_anchor is not None
        assert (node.outside_anchor.place, node.outside_anchor.problem) == (bucket, None)
    with Node.open(directory, connect, outside_anchor=bucket) as node:
        assert node.master_info.generation == 2


def test_a_bucket_that_is_not_there_is_unreachable(
    bucket: str, directory: Path, cmk: str, connect: KmsConnector
) -> None:
    with pytest.raises(OutsideAnchorUnreachableError, match="s3://elsewhere"):
        Node.init(directory, cmk, connect, outside_anchor="s3://elsewhere/nodes")
    assert not directory.exists()
