"""Takes a snapshot into a bucket, in a process that a test kills."""

import os

from keystore.kms.connect import connector
from keystore.node.directory import Node
from keystore.node.snapshotting import snapshot
from keystore.objects import upload
from keystore.objects.opening import open_place


def take(node: str, url: str, environment: dict[str, str], part_bytes: int) -> None:
    os.environ.update(environment)
    upload.PART_BYTES = part_bytes
    with Node.open(node, connector()) as opened:
        snapshot(opened, open_place(url))
