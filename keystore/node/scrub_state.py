"""How far a check of a node has come, in a file that its caller names: it survives a kill, and goes when all is done.

docs/FORMAT.md, section 20, has its bytes.

It says which pages need not be read again, so it is sealed under the anchor key of the node: nobody else can make a
check pass over pages. An older one of the same node can be put back; so the report tells when the check began.
"""

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from keystore.crypto.secret import SecretKey
from keystore.crypto.wrap import WrapDamagedError, unwrap, wrap
from keystore.errors import InputError, KeystoreError, NodeClosedError, NodeIOError, WrongKeyError
from keystore.keys.files import Files
from keystore.node.places import require_outside

MAGIC = b"KSCHECK1"
SAVE_PAGES = 16384
"""LIMIT: pages checked between two savings; so many are read again after a kill -9."""
BYTES_MAX = 1 << 28
"""LIMIT: bytes of the file: some million stores, or damaged pages."""

_PURPOSE = "check position 1"


@dataclass(frozen=True)
class StorePosition:
    """How far the check of one store has come.

    Replaced as a whole: a signal between two fields would leave pages passed over and the damage among them unsaid.
    """

    next_page: int = 0
    damaged: list[int] = field(default_factory=list)
    done: bool = False


class ScrubState:
    """The positions in the stores of one node; without a path nothing is kept.

    Attributes:
        begun_ns: when the check began that is taken up; None where it begins now.
    """

    def __init__(self, path: Path | None, key: SecretKey, now_ns: int) -> None:
        self._path, self._key, self._now_ns = path, key, now_ns
        self._stores: dict[str, StorePosition] = {}
        self._saved_page = 0
        self.begun_ns: int | None = None

    @classmethod
    def load(cls, path: Path | None, key: SecretKey, now_ns: int) -> "ScrubState":
        """Read the file; where there is none, make it.

        Args:
            key: the anchor key of the node, whose owner wipes it.

        Raises:
            InputError: something else is there, it is of another node or was changed, or the place is inside a node or
                a snapshot; it is unchanged.
            NodeIOError: it cannot be written.
        """
        state = cls(path, key, now_ns)
        if path is None:
            return state
        require_outside(path, "position of a check")
        if os.path.lexists(path):
            state._read(path)
        else:
            state._write()
        return state

    def of(self, store_id: bytes) -> StorePosition:
        """Return the position in a store."""
        return self._stores.setdefault(store_id.hex(), StorePosition())

    def advance(self, store_id: bytes, next_page: int, damaged: list[int]) -> None:
        """Note how far a store was read; written down now and then, and when a page is found damaged."""
        news = damaged != self.of(store_id).damaged
        self._stores[store_id.hex()] = StorePosition(next_page, damaged)
        if news or not self._saved_page <= next_page < self._saved_page + SAVE_PAGES:
            self._saved_page = next_page
            self._write()

    def finish(self, store_id: bytes, damaged: list[int]) -> None:
        """Note that a store was read to its end."""
        self._stores[store_id.hex()] = StorePosition(self.of(store_id).next_page, damaged, done=True)
        self._saved_page = 0
        self._write()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Write down how far the block came where it is cut off, by Ctrl-C, SIGTERM or an error."""
        try:
            yield
        except BaseException:
            with suppress(KeystoreError):  # what cut it off is told
                self._write()
            raise

    def remove(self) -> None:
        """Everything was read: the next check begins anew."""
        if self._path is not None:
            with _writing(self._path):
                self._path.unlink(missing_ok=True)

    def _read(self, path: Path) -> None:
        try:
            data = Files().read(path, BYTES_MAX)
            if len(data) > BYTES_MAX or not data.startswith(MAGIC):
                raise ValueError("it begins otherwise, or is too long")
            found = json.loads(unwrap(self._key, data[len(MAGIC) :], _PURPOSE))
        except (OSError, ValueError, WrapDamagedError):
            raise InputError(
                f"{path} is no position of a check, or was changed; it is unchanged now, and nothing was read. Name a "
                "path where nothing is, or that such a check has left"
            ) from None
        except WrongKeyError:
            raise InputError(
                f"{path} is the position of a check of another node, or was changed; nothing was read. Name another "
                "path"
            ) from None
        self.begun_ns = found["begun_ns"]
        self._stores = {store_id: StorePosition(**position) for store_id, position in found["stores"].items()}

    def _write(self) -> None:
        """CRASH: the file is the former one or this one; one that is lost costs time only."""
        if self._path is None:
            return
        stores = {store_id: asdict(position) for store_id, position in self._stores.items()}
        content = json.dumps({"begun_ns": self.begun_ns or self._now_ns, "stores": stores}).encode()
        try:
            data = MAGIC + wrap(self._key, content, _PURPOSE)
        except ValueError:
            if not self._key.wiped:
                raise
            raise NodeClosedError("the node was closed while it was checked. Open it again.") from None
        # A name of its own: one made of the file's could be somebody's, or too long.
        beside = self._path.with_name(f".keystore-check-{secrets.token_hex(8)}")
        with _writing(self._path):
            try:
                beside.write_bytes(data)
                beside.replace(self._path)
            except BaseException:
                with suppress(OSError):
                    beside.unlink(missing_ok=True)
                raise


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise NodeIOError(
            f"{path} cannot be written: {error.strerror}. Nothing of the node was changed; name another path"
        ) from error
