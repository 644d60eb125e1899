"""Known nodes: which public key signs the snapshots of which node, kept apart from the snapshots.

A text file, for people too, as OpenSSH's `known_hosts`: a line for each node, its id and public key in hexadecimal and
its name. Empty lines and those that begin with # stay as they are.

Who can write where snapshots are must not be able to write here; who can write here can pass a forged snapshot off.

Invariants:
1. A node that is known keeps its key: nothing here puts another in its place.
2. The file is replaced whole, under a lock on the file itself: no writer loses the line of another, and a crash leaves
   the former file or the next.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from keystore.crypto.signing import PUBLIC_BYTES
from keystore.errors import KnownNodesError, SignerChangedError
from keystore.format.keyfile import ID_BYTES
from keystore.format.names import name_problem
from keystore.keys.files import Files, publish, write_beside

ENVIRONMENT: Final = "KEYSTORE_KNOWN_NODES"
"""Environment variable that names the file."""

FILE_BYTES_MAX: Final = 1 << 24
"""LIMIT: bytes of the file, some hundred thousand nodes."""
LOCK_WAIT_S: Final = 10.0
"""LIMIT: how long another writer is waited for; each takes milliseconds."""
_LOCK_POLL_S: Final = 0.01


@dataclass(frozen=True)
class KnownNode:
    """A node and the key of its snapshots.

    Attributes:
        public: Ed25519 public key.
        name: for people.
    """

    node_id: bytes
    public: bytes
    name: str

    def line(self) -> str:
        """Return the line of the file that says so."""
        return f"{self.node_id.hex()} {self.public.hex()} {self.name}"


class KnownNodes:
    """The file of known nodes; nothing is opened before it is asked."""

    def __init__(self, path: str | os.PathLike[str], files: Files | None = None) -> None:
        self.path, self._files = Path(path), files or Files()

    @classmethod
    def default(cls) -> "KnownNodes":
        """Return the one of this user: of `KEYSTORE_KNOWN_NODES`, else below the directory of their settings.

        Raises:
            KnownNodesError: nobody knows where that is.
        """
        named = os.environ.get(ENVIRONMENT)
        if named:
            return cls(named)
        try:
            settings = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
        except RuntimeError:
            raise KnownNodesError(
                f"this user has no home directory for the list of known nodes. Nothing was changed; set {ENVIRONMENT}."
            ) from None
        return cls(Path(settings) / "keystore" / "known_nodes")

    def all(self) -> list[KnownNode]:
        """Return the nodes in the order of the file; none where there is no file.

        Raises:
            KnownNodesError: it cannot be read, or a line of it says nothing.
        """
        return self._decode(self._read())

    def find(self, node_id: bytes) -> KnownNode | None:
        """Return what is known of a node; errors as `all`."""
        return next((node for node in self.all() if node.node_id == node_id), None)

    def record(self, node: KnownNode) -> None:
        """Know `node` from now on; durable on return. Nothing is written where it is known already.

        Raises:
            SignerChangedError: it is known under another key, and stays so.
            KnownNodesError: the file cannot be read or written; it is unchanged.
        """
        with self._locked():
            text = self._read()
            known = next((each for each in self._decode(text) if each.node_id == node.node_id), None)
            if known is None:
                ended = text if not text or text.endswith("\n") else text + "\n"
                self._write(f"{ended}{node.line()}\n")
            elif known.public != node.public:
                raise SignerChangedError(
                    f"node {node.node_id.hex()} is known in {self.path} under the key {known.public.hex()}, not "
                    f"{node.public.hex()}. Nothing was changed; if you are sure of the new key, forget the node first "
                    f"(keystore node-key forget {node.node_id.hex()})."
                )

    def forget(self, node_id: bytes) -> bool:
        """Remove what is known of a node; return whether anything was. Errors as `record`."""
        with self._locked():
            lines = self._read().splitlines(keepends=True)
            kept = [line for number, line in enumerate(lines, 1) if not self._is_of(line, number, node_id)]
            if len(kept) == len(lines):
                return False
            self._write("".join(kept))
            return True

    def _is_of(self, line: str, number: int, node_id: bytes) -> bool:
        node = self._decode_line(line, number)
        return node is not None and node.node_id == node_id

    def _read(self) -> str:
        try:
            data = self._files.read(self.path, FILE_BYTES_MAX)
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise KnownNodesError(
                f"the list of known nodes {self.path} cannot be read: {error.strerror}. Nothing was changed; let it be "
                f"read, or name another by {ENVIRONMENT}."
            ) from None
        if len(data) > FILE_BYTES_MAX:
            raise self._damaged(f"it has more than {FILE_BYTES_MAX} bytes")
        try:
            return data.decode()
        except UnicodeDecodeError:
            raise self._damaged("it is not UTF-8") from None

    def _decode(self, text: str) -> list[KnownNode]:
        found: dict[bytes, KnownNode] = {}
        for number, line in enumerate(text.splitlines(), 1):
            node = self._decode_line(line, number)
            if node is not None and found.setdefault(node.node_id, node).public != node.public:
                raise self._damaged(f"line {number} names another key for a node than a line before")
        return list(found.values())

    def _decode_line(self, line: str, number: int) -> KnownNode | None:
        if not line.strip() or line.startswith("#"):
            return None
        node_id, public, name = (*line.rstrip("\r\n").split(" ", 2), "", "")[:3]
        try:
            node = KnownNode(bytes.fromhex(node_id), bytes.fromhex(public), name)
        except ValueError:
            raise self._damaged(f"line {number} is not NODE-ID PUBLIC-KEY NAME") from None
        if len(node.node_id) != ID_BYTES or len(node.public) != PUBLIC_BYTES or (name and name_problem(name)):
            raise self._damaged(f"line {number} is not NODE-ID PUBLIC-KEY NAME")
        return node

    def _damaged(self, found: str) -> KnownNodesError:
        return KnownNodesError(
            f"the list of known nodes {self.path} cannot be used: {found}. Nothing was changed; correct it."
        )

    def _write(self, text: str) -> None:
        path = self._real_path()
        try:
            write_beside(self._files, path, text.encode())
            publish(self._files, path)
        except OSError as error:
            raise self._unwritable(error) from None

    def _real_path(self) -> Path:
        """Return where the file is: a link to it stays a link."""
        return Path(os.path.realpath(self.path))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        path, give_up_s = self._real_path(), time.monotonic() + LOCK_WAIT_S
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            while (fd := _try_lock(path)) is None:
                if time.monotonic() > give_up_s:
                    raise TimeoutError(0, "another program has it locked")
                time.sleep(_LOCK_POLL_S)
        except OSError as error:
            raise self._unwritable(error) from None
        try:
            yield
        finally:
            os.close(fd)

    def _unwritable(self, error: OSError) -> KnownNodesError:
        return KnownNodesError(
            f"the list of known nodes {self.path} cannot be written: {error.strerror}. It is unchanged; give write "
            f"access, or name another by {ENVIRONMENT}."
        )


def _try_lock(path: Path) -> int | None:
    """Return a locked descriptor of the file at `path`, or None: another has it, or has just replaced the file."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(fd), path.stat()):
            return fd
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)
    return None
