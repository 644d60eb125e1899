"""Files and pages of a served node: what clients and routers ask for.

Invariants:
1. A store is lent for one call, or for one chunk of a long reading, and stays open between them: no call waits for a
   recovery that an earlier one made.
2. Memory is bounded: a message has at most `BYTES_MAX` of data, a stream holds one chunk.
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from keystore_api.node.v1 import node_pb2 as pb

from keystore.agents.serving import Call
from keystore.agents.telling import telling
from keystore.errors import InputError, KeystoreError, NameUnknownError, NodeClosedError
from keystore.node.directory import PAGE_SIZE, Node
from keystore.pages.file import EncryptedFile
from keystore.pages.store import PageStore
from keystore.pages.verify import VerifyReport

BYTES_MAX = 16 << 20
"""LIMIT: bytes of pages in one message."""
CHUNK_BYTES = 1 << 20
"""Bytes of one message of a file that is read."""
OPEN_STORES_MAX = 32
"""LIMIT: stores that stay open without a user; each may hold 16 MiB of opened pages."""


class NodeFiles:
    """The calls on files and pages of one open node."""

    def __init__(self, node: Node) -> None:
        self._node, self._pid = node, os.getpid()
        self._stopping = threading.Event()
        self._writers = _Writers()
        node.keep_stores_open(OPEN_STORES_MAX)

    def begin_stop(self) -> None:
        """Cut long works off at their next step."""
        self._stopping.set()

    def _is_unwanted(self, call: Call) -> Callable[[], bool]:
        return lambda: call.is_ended or self._stopping.is_set()

    # -- files --------------------------------------------------------------------------------------------------------

    def create_file(self, request: pb.CreateFileRequest, call: Call) -> pb.FileInfo:
        with self._node.new_store(request.database, request.name, request.page_size_bytes or PAGE_SIZE):
            pass
        return self._info(request.database, request.name)

    def list_files(self, request: pb.ListFilesRequest, call: Call) -> pb.ListFilesResponse:
        names = [(database.name, name) for database in self._node.databases.values() for name in database.stores]
        if request.database:
            self._node.data_keys(request.database)  # an unknown database is refused
            names = [each for each in names if each[0] == request.database]
        return pb.ListFilesResponse(files=[self._info_or_problem(*each) for each in names])

    def drop_file(self, request: pb.DropFileRequest, call: Call) -> pb.DropFileResponse:
        self._node.drop_file(request.database, request.name)
        return pb.DropFileResponse()

    def _info(self, database: str, name: str) -> pb.FileInfo:
        with self._node.using_store(database, name) as store:
            return pb.FileInfo(
                database=database,
                name=name,
                store_id=store.store_id,
                page_size_bytes=store.page_size,
                page_count=store.page_count,
                byte_length=store.byte_length,
                sequence=store.sequence,
            )

    def _info_or_problem(self, database: str, name: str) -> pb.FileInfo:
        try:
            return self._info(database, name)
        except NodeClosedError:
            raise
        except KeystoreError as error:
            return pb.FileInfo(database=database, name=name, problem=str(error))

    # -- pages --------------------------------------------------------------------------------------------------------

    def read_pages(self, request: pb.ReadPagesRequest, call: Call) -> pb.ReadPagesResponse:
        with self._node.using_store(request.database, request.name) as store:
            if len(request.page_nos) * store.page_size > BYTES_MAX:
                raise InputError(
                    f"{len(request.page_nos)} pages of {store.page_size} bytes are more than {BYTES_MAX}. Nothing was "
                    "read; ask for fewer at once."
                )
            sequence = store.sequence
            contents = store.read_many(list(request.page_nos))
        pages = (pb.Page(page_no=no, content=content) for no, content in zip(request.page_nos, contents, strict=True))
        return pb.ReadPagesResponse(pages=pages, sequence=sequence)

    def write_pages(self, request: pb.WritePagesRequest, call: Call) -> pb.WritePagesResponse:
        pages = {page.page_no: page.content or None for page in request.pages}
        if len(pages) != len(request.pages):
            raise InputError("a page comes twice in one commit. Nothing was written; send each once.")
        with self._node.using_store(request.database, request.name) as store:
            sequence = store.commit(
                pages,
                page_count=request.page_count if request.HasField("page_count") else None,
                byte_length=request.byte_length if request.HasField("byte_length") else None,
            )
        return pb.WritePagesResponse(sequence=sequence)

    # -- contents -----------------------------------------------------------------------------------------------------

    def read_file(self, request: pb.ReadFileRequest, call: Call) -> Iterator[pb.FileChunk]:
        with self._node.using_store(request.database, request.name) as store:
            end = store.byte_length
        if request.HasField("length"):
            end = min(end, request.offset + request.length)
        for offset in range(request.offset, end, CHUNK_BYTES):
            content = self._read(request.database, request.name, offset, min(CHUNK_BYTES, end - offset))
            yield pb.FileChunk(offset=offset, content=content)

    def _read(self, database: str, name: str, offset: int, length: int) -> bytes:
        with self._node.using_store(database, name) as store, EncryptedFile(store) as file:
            file.seek(offset)
            return file.read(length) or b""

    def write_file(self, requests: Iterator[pb.WriteFileRequest], call: Call) -> pb.FileInfo:
        first = next(requests, None)
        if first is None:
            raise InputError("no file was named. Nothing was written; name it in the first message.")
        with self._writers.alone(first.database, first.name):
            try:
                with self._node.using_store(first.database, first.name) as store:
                    _write(store, first, requests)
            except NameUnknownError:
                with self._node.new_store(first.database, first.name, first.page_size_bytes or PAGE_SIZE) as store:
                    _write(store, first, requests)
        return self._info(first.database, first.name)

    def verify_file(self, request: pb.VerifyFileRequest, call: Call) -> Iterator[pb.VerifyProgress]:
        with self._node.using_store(request.database, request.name) as store:
            report: VerifyReport = yield from telling(
                store.verify,
                lambda done, total: pb.VerifyProgress(pages_done=done, pages_total=total),
                self._is_unwanted(call),
            )
        damaged = (
            pb.Damage(store=each.store, part=each.part, number=each.number, found=each.found) for each in report.damaged
        )
        yield pb.VerifyProgress(pages_done=report.pages, pages_total=report.pages, damaged=damaged)


def _write(store: PageStore, first: pb.WriteFileRequest, others: Iterator[pb.WriteFileRequest]) -> None:
    file = EncryptedFile(store)
    try:
        file.seek(first.offset)
        file.write(first.content)
        for request in others:
            file.write(request.content)
        file.flush()
    except BaseException:
        file.abandon()
        raise
    file.close()


class _Writers:
    """One `WriteFile` at a time for each file: its pages are changed by parts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._places: dict[tuple[str, str], _Place] = {}

    @contextmanager
    def alone(self, database: str, name: str) -> Iterator[None]:
        with self._lock:
            place = self._places.setdefault((database, name), _Place())
            place.users += 1
        try:
            with place.lock:
                yield
        finally:
            with self._lock:
                place.users -= 1
                if not place.users:
                    del self._places[database, name]


class _Place:
    def __init__(self) -> None:
        self.lock, self.users = threading.Lock(), 0
