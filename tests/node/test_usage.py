"""The key that is really needed, whatever was configured: aliases, names without a version, two names of one key."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from keystore_api.aws_kms.v1 import aws_kms_pb2 as pb
from keystore_api.aws_kms.v1.aws_kms_pb2_grpc import AwsKmsStub

from keystore.demo.emulator import REGION, CloudKeys, EmulatorProcess
from keystore.kms.connect import connector
from keystore.node.directory import Node
from keystore.node.snapshotting import snapshot
from keystore.node.usage import keys_usage
from keystore.objects.directory import DirectoryPlace


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with EmulatorProcess(tmp_path_factory.mktemp("emulator") / "log") as process:
        yield process.endpoint


@pytest.fixture
def aws(endpoint: str) -> Iterator[AwsKmsStub]:
    with grpc.insecure_channel(endpoint) as channel:
        yield AwsKmsStub(channel)


def test_an_alias_that_moved_shows_both_keys(endpoint: str, aws: AwsKmsStub, tmp_path: Path) -> None:
    arns = [aws.CreateKey(pb.CreateKeyRequest(region=REGION)).key_metadata.arn for _ in range(2)]
    aws.CreateAlias(pb.CreateAliasRequest(region=REGION, alias_name="alias/used", target_key_id=arns[0]))
    uri, target = f"aws://{REGION}/alias/used", DirectoryPlace(tmp_path / "snapshots")
    with Node.init(tmp_path / "node", uri, connector(endpoint)) as node:
        taken = snapshot(node, target)
        aws.UpdateAlias(pb.UpdateAliasRequest(region=REGION, alias_name="alias/used", target_key_id=arns[1]))
        node.rotate_master()
    report = keys_usage([tmp_path / "node", target.path])
    found = {key.key_version: (key.key_ids, [user.snapshot_id for user in key.users]) for key in report.keys}
    assert found == {arns[0]: ((uri,), [taken.snapshot_id]), arns[1]: ((uri,), [None])}


def test_two_names_of_one_key_are_one_key(endpoint: str, aws: AwsKmsStub, tmp_path: Path) -> None:
    key = aws.CreateKey(pb.CreateKeyRequest(region=REGION)).key_metadata
    uris = [f"aws://{REGION}/{key.key_id}", f"aws://{REGION}/{key.arn}"]
    for number, uri in enumerate(uris):
        Node.init(tmp_path / f"node{number}", uri, connector(endpoint)).close()
    (found,) = keys_usage([tmp_path / "node0", tmp_path / "node1"]).keys
    assert (found.key_version, found.key_ids) == (key.arn, tuple(sorted(uris)))
    assert [user.key_id for user in found.users] == uris


def test_a_google_key_without_a_version_shows_the_version(endpoint: str, tmp_path: Path) -> None:
    with CloudKeys(endpoint) as keys:
        version = keys.create("gcp", "unversioned").removeprefix("gcp://")
    name = version.partition("/cryptoKeyVersions/")[0]
    Node.init(tmp_path / "node", f"gcp://{name}", connector(endpoint)).close()
    (found,) = keys_usage([tmp_path / "node"]).keys
    assert (found.key_version, found.key_ids) == (version, (f"gcp://{name}",))
