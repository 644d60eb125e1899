"""One file of a snapshot, in clear, without making a node: needs the key of the snapshot's day and no other."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from keystore.format.snapshot_map import StoreEntry
from keystore.kms.protocol import KmsConnector
from keystore.node.filling import page_bytes
from keystore.node.reports import Transfer
from keystore.node.signers import Trust
from keystore.node.transfer import write_all, writing
from keystore.objects.place import Place
from keystore.progress import Progress, untold
from keystore.snapshots.at_time import PointInTime, open_at
from keystore.snapshots.choice import Choice
from keystore.snapshots.opened import OpenedSnapshot
from keystore.snapshots.plain import plain_batches
from keystore.snapshots.restore_marks import BeingRestored

ZEROS = memoryview(bytes(1 << 20))
"""What is in holes, as much as is written at once."""


def export_from_snapshot(
    place: Place,
    snapshot_id: bytes,
    database: str,
    name: str,
    target: str | os.PathLike[str] | BinaryIO,
    connect: KmsConnector,
    *,
    at: PointInTime | None = None,
    trust: Trust | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Transfer:
    """Stream a file of a snapshot out, in clear, in bounded memory.

    Args:
        target: a path, which is there whole or not at all; or a binary file that is open for writing.
        at: a time, for the file as it was then; the snapshot may be any of its node.
        trust: as for `restore`.
        overwrite: replace a regular file, and keep its mode. A symbolic link is followed.

    Raises:
        NameUnknownError: the snapshot has no such file.
        PathTakenError, PathMissingError, InputError, NodeIOError: as `Node.export_file`.
        KmsError, SnapshotError, KnownNodesError: as `restore`.
    """
    with ExitStack() as stack:
        trust, choice = trust or Trust(), Choice(files=((database, name),))
        snapshot = stack.enter_context(open_at(place, snapshot_id, connect, at, trust.of(place), choice))
        trust.note(snapshot.head, snapshot.body.node_name)
        mark = stack.enter_context(BeingRestored(place, snapshot.head.snapshot_id))
        (entry,) = choice.of(snapshot).stores
        if isinstance(target, str | os.PathLike):
            target = stack.enter_context(writing(Path(target), overwrite=overwrite))
        digest = hashlib.sha256()
        for part in _parts(snapshot, entry, mark.renewing(progress or untold)):
            digest.update(part)
            write_all(target, part)
    return Transfer(database, name, entry.byte_length, digest.hexdigest())


def _parts(snapshot: OpenedSnapshot, entry: StoreEntry, progress: Progress) -> Iterator[memoryview]:
    """Yield the user's own bytes of a store, ascending; each part is valid until the next."""
    at, done, total = 0, 0, page_bytes(entry)
    for page_nos, plain in plain_batches(snapshot, entry):
        for index, page_no in enumerate(page_nos.tolist()):
            start = page_no * entry.page_size
            yield from _zeros(min(start, entry.byte_length) - at)
            at = max(at, min(start, entry.byte_length))
            page = memoryview(plain)[index * entry.page_size : (index + 1) * entry.page_size]
            with page[: max(0, entry.byte_length - start)] as part:
                at += len(part)
                yield part
            page.release()
        done += len(plain)
        progress(done, total)
    yield from _zeros(entry.byte_length - at)


def _zeros(count: int) -> Iterator[memoryview]:
    while count > 0:
        yield ZEROS[:count]
        count -= len(ZEROS)
