"""Changes of a served node's master key, each with its effect once, however often it is asked for.

Who asks may never see the answer: the connection tears, or one of both is killed. So a request says which generation it
expects. At that generation the change is made; at the next one it was made already, by an earlier try of the same
request; at any other the caller is wrong about the node, and nothing is changed.

Invariant: one change at a time, from the look at the generation to the end of the change. A second try that comes while
the first still runs waits for it, and then finds it done.

It also remembers what the KMS said last of the node's key, because a running node asks it at no other time.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Literal

from keystore.errors import GenerationError, KmsInvalidError, KmsUnreachableError
from keystore.kms.uri import parse
from keystore.node.converting import Conversion, VolumeChoice
from keystore.node.directory import Node
from keystore.node.reports import MasterInfo, Rotation
from keystore.progress import Progress

KeyState = Literal["valid", "unreachable", "invalid"]


@dataclass(frozen=True)
class KeyChecked:
    """What the KMS said of the key of a node when it was asked last."""

    state: KeyState
    message: str
    checked_ns: int


class MasterChanges:
    """The changes of one open node's master key."""

    def __init__(self, node: Node, now_ns: Callable[[], int]) -> None:
        """Begin with a node that the KMS has just opened."""
        self._node, self._now_ns = node, now_ns
        self._lock = threading.Lock()
        self.checked = KeyChecked("valid", "", now_ns())

    def rotate(self, expected_generation: int | None) -> tuple[MasterInfo, bool]:
        """Make a new master key under the same CMK; return the one in force, and whether that was done already.

        Raises:
            GenerationError: it is of another generation; nothing was changed.
            KmsError, KeyFileWriteError, NodeIOError: as `Node.rotate_master`.
        """
        return self.change(expected_generation, None, self._node.rotate_master)

    def change_cmk(self, key_uri: str, expected_generation: int | None) -> tuple[MasterInfo, bool]:
        """Make a new master key under another CMK; as `rotate`."""
        key_id = parse(key_uri).text
        return self.change(expected_generation, key_id, lambda: self._node.change_cmk(key_id))

    def convert(
        self, key_uri: str, volume_key: VolumeChoice, expected_generation: int | None, progress: Progress
    ) -> tuple[Conversion, MasterInfo]:
        """Convert the node, or go on with a conversion to that key; return what was done, and the key in force.

        Raises:
            GenerationError: the master key is of another generation, or of the next under another key.
            KeystoreError: as `Node.convert`.
        """
        key_id = parse(key_uri).text
        with self._lock:
            has_begun = self._is_done(expected_generation, key_id)
            with nullcontext() if has_begun else self._asking():  # what has begun asks no KMS
                done = self._node.convert(key_id, volume_key, progress=progress)
            return done, self._node.master_info

    def change(
        self, expected_generation: int | None, key_id: str | None, make: Callable[[], Rotation]
    ) -> tuple[MasterInfo, bool]:
        """Let `make` change the master key unless that was done; as `rotate`.

        Args:
            key_id: the CMK that the new master key will be under; None for the present one.
        """
        with self._lock:
            if self._is_done(expected_generation, key_id):
                return self._node.master_info, True
            with self._asking():
                return make().new, False

    def _is_done(self, expected_generation: int | None, key_id: str | None) -> bool:
        """Tell whether an earlier try of the same request made the next master key."""
        current = self._node.master_info
        if expected_generation in (None, current.generation):
            return False
        # There is no generation before the first, so no request can have expected it.
        if 0 < current.generation - 1 == expected_generation and key_id in (None, current.key_id):
            return True
        raise GenerationError(
            f"the master key of {self._node.name} is of generation {current.generation} under {current.key_id}, and "
            f"generation {expected_generation} was expected. Nothing was changed; look at the node."
        )

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Remember what the KMS says in the block."""
        try:
            yield
        except KmsInvalidError as error:
            self.checked = KeyChecked("invalid", str(error), self._now_ns())
            raise
        except KmsUnreachableError as error:
            self.checked = KeyChecked("unreachable", str(error), self._now_ns())
            raise
        self.checked = KeyChecked("valid", "", self._now_ns())
