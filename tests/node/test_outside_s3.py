"""An outside anchor in S3, at a server that answers as S3 does, conditional writes included."""

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from keystore.errors import OutsideAnchorUnreachableError
from keystore.kms.protocol import KmsConnector
from keystore.node.directory import Node
from keystore.node.outside_places import open_place

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    client = boto3.client("s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1")
    client.create_bucket(Bucket="anchors")
    yield "s3://anchors/nodes"
    server.stop()


def test_a_number_is_written_once(bucket: str) -> None:
    place, node_id = open_place(bucket), b"n" * 16
    assert place.numbers(node_id) == []
    assert place.put(node_id, 1, b"first")
    assert not place.put(node_id, 1, b"second")
    assert place.put(node_id, 2, b"third")
    assert (place.numbers(node_id), place.get(node_id, 1)) == ([1, 2], b"first")
    place.remove(node_id, 1)
    assert place.numbers(node_id) == [2]


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
