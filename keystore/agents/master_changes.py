"""Changes of a served node's master key, each with its effect once, however often it is asked for.

Who asks may never see the answer: the connection tears, or one of both is killed. So a request says which generation it
expects. At that generation the change is made; at the next one it was made already, by an earlier try of the same
request; at any other the caller is wrong about the node, and nothing is changed.

Invariant: one change at a time, from the look at the generation to the end of the change. A second try that comes while
the first still runs waits for it, and then finds it done.

It also remembers what the KMS said last of the node's key, because a running node asks it at no other time.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from keystore.errors import GenerationError, KmsInvalidError, KmsUnreachableError
from keystore.kms.uri import parse
from keystore.node.directory import Node
from keystore.node.reports import MasterInfo, Rotation

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

    def change(
        self, expected_generation: int | None, key_id: str | None, make: Callable[[], Rotation]
    ) -> tuple[MasterInfo, bool]:
        """Let `make` change the master key unless that was done; as `rotate`.

        Args:
            key_id: the CMK that the new master key will be under; None for the present one.
        """
        with self._lock:
            current = self._node.master_info
            if expected_generation not in (None, current.generation):
                # There is no generation before the first, so no request can have expected it.
                if 0 < current.generation - 1 == expected_generation and key_id in (None, current.key_id):
                    return current, True
                raise GenerationError(
                    f"the master key of {self._node.name} is of generation {current.generation} under "
                    f"{current.key_id}, and generation {expected_generation} was expected. Nothing was changed; look "
                    "at the node."
                )
            return self._made(make), False

    def _made(self, make: Callable[[], Rotation]) -> MasterInfo:
        try:
            made = make().new
        except KmsInvalidError as error:
            self.checked = KeyChecked("invalid", str(error), self._now_ns())
            raise
        except KmsUnreachableError as error:
            self.checked = KeyChecked("unreachable", str(error), self._now_ns())
            raise
        self.checked = KeyChecked("valid", "", self._now_ns())
        return made
