"""The master key of a node: made, wrapped by the KMS, and opened again.

What the KMS wraps is a random secret; the master key is derived from it and the context, with a commitment. So a KMS
that binds no context (RSA) cannot be made to give the master key of another node or generation, and a wrong key is told
before anything is opened with it. The context holds the node id and the generation, each behind its length.

Leaves to others: which KMS that is, when to make a new key, and where the wrapped secret is kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, Self

from keystore.crypto.context import encode_context
from keystore.crypto.derive import commitments_equal, derive, derive_committed
from keystore.crypto.secret import SecretKey
from keystore.errors import CiphertextError, WrongKeyError
from keystore.format.wrapped import WrappedKey

_PURPOSE = "node master key 1"
_PURPOSE_SNAPSHOT = "snapshot key 1"
_PURPOSE_LOG = "log key 1"


class SecretWrapper(Protocol):
    """The two operations of a KMS on which the hierarchy stands."""

    def wrap(self, secret: SecretKey, context: Mapping[str, str]) -> WrappedKey: ...

    def unwrap(self, wrapped: WrappedKey, context: Mapping[str, str]) -> SecretKey: ...


@dataclass(frozen=True)
class MasterKey:
    """A master key and what is needed to get it back from the KMS; a context manager that wipes it.

    `node_id`, `generation`, `wrapped` and `commitment` are not secret: the keystore file and every manifest show them.
    """

    node_id: bytes
    generation: int
    key: SecretKey
    wrapped: WrappedKey
    commitment: bytes

    def snapshot_key(self, snapshot_id: bytes) -> SecretKey:
        """Derive the key of one snapshot; the caller wipes it. Needs no KMS."""
        return derive(self.key, b"", _PURPOSE_SNAPSHOT, snapshot_id)

    def log_key(self, number: int) -> SecretKey:
        """Derive the key of one segment of the point-in-time log; the caller wipes it. Needs no KMS."""
        return derive(self.key, b"", _PURPOSE_LOG, self.node_id, number.to_bytes(8, "little"))

    def wipe(self) -> None:
        self.key.wipe()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.wipe()


def master_context(node_id: bytes, generation: int) -> dict[str, str]:
    """Return the context under which the KMS wraps the master key of a node."""
    return {"keystore:node": node_id.hex(), "keystore:master-generation": str(generation)}


def generate_master(kms: SecretWrapper, node_id: bytes, generation: int) -> MasterKey:
    """Make a new master key under `kms`, and prove with one unwrap that the KMS gives it back.

    Raises:
        KmsError: as the KMS refused; nothing was kept.
        CiphertextError: the KMS gave back something else than what it had wrapped.
    """
    context = master_context(node_id, generation)
    with SecretKey.generate() as secret:
        wrapped = kms.wrap(secret, context)
        with kms.unwrap(wrapped, context) as returned:
            if returned != secret:
                raise CiphertextError(
                    f"{wrapped.key_id}: the KMS did not give back what it had wrapped. Nothing was changed; do not "
                    "use this key."
                )
        key, commitment = _derive(secret, context)
    return MasterKey(node_id, generation, key, wrapped, commitment)


def open_master(
    kms: SecretWrapper, wrapped: WrappedKey, node_id: bytes, generation: int, commitment: bytes
) -> MasterKey:
    """Have the KMS unwrap a master key.

    Raises:
        KmsError: as the KMS refused.
        WrongKeyError: what came back is not the secret of this node and generation.
    """
    context = master_context(node_id, generation)
    with kms.unwrap(wrapped, context) as secret:
        key, found = _derive(secret, context)
    if not commitments_equal(found, commitment):
        key.wipe()
        raise WrongKeyError(
            f"{wrapped.key_id}: what the KMS unwrapped is not the master key of node {node_id.hex()}, generation "
            f"{generation}. Nothing was written; the wrapped key belongs to another node, or was changed."
        )
    return MasterKey(node_id, generation, key, wrapped, commitment)


def _derive(secret: SecretKey, context: Mapping[str, str]) -> tuple[SecretKey, bytes]:
    (key,), commitment = derive_committed(secret, b"", _PURPOSE, encode_context(context))
    return key, commitment
