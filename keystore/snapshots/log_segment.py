"""Seals and opens segments of the point-in-time log (docs/FORMAT.md, "Point-in-time log").

Invariants:
1. A segment is sealed under a key derived from the master key in force when it is sealed, and names the CMK that
   wrapped that one. So it opens through the CMK of its day alone.
2. The state part opens with the node's snapshot secret too, which unwraps no data key: so a node goes on after any
   rotation, and asks no KMS.
3. What is sealed is signed. Nothing of a segment is used before its signature was compared.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from keystore.crypto.derive import derive
from keystore.crypto.secret import SecretKey
from keystore.crypto.sectors import SectorCipher
from keystore.crypto.signing import SignatureError, verify
from keystore.crypto.wrap import OVERHEAD_BYTES, WrapDamagedError, unwrap, wrap
from keystore.errors import LogDamagedError, WrongKeyError, cause_of
from keystore.format.cursor import NotDecodableError
from keystore.format.log_body import ROW, Event, LogBody, LogDataKey, LogRecord, LogStore, Rows
from keystore.format.log_segment import Front, SegmentHead, join_front
from keystore.format.log_state import LogState
from keystore.format.record import SessionRecord
from keystore.keys.hierarchy import Database, DataKey
from keystore.keys.master import MasterKey
from keystore.keys.volume import VolumeKey
from keystore.pages.witness import Committed
from keystore.snapshots.source import NodeKeys

_STATE, _BODY = "log state 1", "log body 1"
_STATE_KEY, _DATA_KEY = "log state key 1", "log data key 1"


@dataclass(frozen=True)
class LoggedStore:
    """A store as the log knows it."""

    store_id: bytes
    database_id: bytes
    page_size: int


@dataclass(frozen=True)
class Draft:
    """What a segment is to hold. `commits` have their ciphertext, and their data keys are there."""

    number: int
    run: int
    previous: bytes
    settled_ns: int
    state: LogState
    events: tuple[Event, ...] = ()
    commits: tuple[tuple[LoggedStore, Committed], ...] = ()


def object_name(node_id: bytes, number: int) -> str:
    """Return the name of a segment in its place."""
    return f"{prefix_of(node_id)}{number:020}"


def prefix_of(node_id: bytes) -> str:
    """Return what the names of all segments of a node begin with."""
    return f"log/{node_id.hex()}/"


# -- sealing ----------------------------------------------------------------------------------------------------------


def has_keys(keys: NodeKeys, database_id: bytes, commit: Committed) -> bool:
    """Tell whether the data keys of a commit are there; they go when somebody destroys them."""
    generations = {data_key.generation for data_key in _database_keys(keys, database_id)}
    return {session.generation for session in commit.sessions} <= generations


def seal_segment(draft: Draft, keys: NodeKeys, credential: str = "") -> bytes:
    """Return a whole segment; `keys` are held meanwhile. No KMS is asked."""
    node_id, number = keys.master.node_id, draft.number
    ciphertext = _ciphertext(draft, keys.volume, node_id)
    with keys.master.log_key(number) as log_key, state_key(keys.snapshot_secret, node_id, number) as key_of_state:
        wrapped_state_key = wrap(log_key, key_of_state.view(), _STATE_KEY, node_id, _u64(number))
        body = _body(draft, keys, log_key, wrapped_state_key).encode()
        state = draft.state.encode()
        head = _head(draft, keys, credential, ciphertext)
        head = replace(head, state_bytes=len(state) + OVERHEAD_BYTES, body_bytes=len(body) + OVERHEAD_BYTES)
        encoded = head.encode()
        # SAFETY: wrap takes a fresh salt for each message, so a second copy of the node, or a second try under the
        # same number, seals under other keys.
        sealed_state = wrap(key_of_state, state, _STATE, encoded)
        sealed_body = wrap(log_key, body, _BODY, encoded, sealed_state)
    signed = encoded + sealed_state + sealed_body
    return join_front(signed, keys.signing.sign(signed)) + ciphertext


def _head(draft: Draft, keys: NodeKeys, credential: str, ciphertext: bytes) -> SegmentHead:
    times = [event.time_ns for event in draft.events] + [commit.time_ns for _, commit in draft.commits]
    master = keys.master
    return SegmentHead(
        master.node_id,
        draft.number,
        draft.run,
        draft.previous,
        min(times, default=0),
        max(times, default=0),
        draft.settled_ns,
        master.generation,
        master.commitment,
        keys.signing.public,
        0,
        0,
        len(ciphertext),
        hashlib.sha256(ciphertext).digest(),
        master.wrapped,
        credential,
        keys.volume.record if keys.volume else None,
    )


def _ciphertext(draft: Draft, volume: VolumeKey | None, node_id: bytes) -> bytes:
    pages = b"".join(commit.ciphertext or b"" for _, commit in draft.commits)
    if volume is None:
        return pages
    cipher = segment_cipher(volume, node_id, draft.number)
    try:
        return cipher.encrypt(0, pages)
    finally:
        cipher.wipe()


def _body(draft: Draft, keys: NodeKeys, log_key: SecretKey, wrapped_state_key: bytes) -> LogBody:
    places: dict[bytes, int] = {}
    stores: list[LoggedStore] = []
    sessions: list[dict[int, SessionRecord]] = []
    records: list[LogRecord] = []
    for store, commit in draft.commits:
        if store.store_id not in places:
            places[store.store_id] = len(stores)
            stores.append(store)
            sessions.append({})
        place = places[store.store_id]
        sessions[place] |= {session.number: session for session in commit.sessions}
        records.append(_record(place, commit))
    rows = tuple(
        LogStore(store.store_id, store.database_id, store.page_size, tuple(known[number] for number in sorted(known)))
        for store, known in zip(stores, sessions, strict=True)
    )
    return LogBody(wrapped_state_key, _data_keys(keys, log_key, rows), draft.events, rows, tuple(records))


def _record(place: int, commit: Committed) -> LogRecord:
    entries = commit.changes["entry"]
    rows = np.zeros(len(commit.changes), dtype=ROW)
    rows["page"] = commit.changes["page"]
    there = entries["slot"] != 0
    for name in ("session", "nonce", "tag"):
        rows[name][there] = entries[name][there]
    return LogRecord(
        place,
        commit.sequence,
        commit.time_ns,
        commit.previous_tag,
        commit.tag,
        commit.page_count,
        commit.byte_length,
        rows,
    )


def _data_keys(keys: NodeKeys, log_key: SecretKey, stores: Sequence[LogStore]) -> tuple[LogDataKey, ...]:
    """Wrap the data keys that the sessions of the stores need."""
    needed = {(store.database_id, session.generation) for store in stores for session in store.sessions}
    found = []
    for database_id, generation in sorted(needed):
        (data_key,) = (key for key in _database_keys(keys, database_id) if key.generation == generation)
        wrapped = wrap(log_key, data_key.key.view(), _DATA_KEY, database_id, generation.to_bytes(4, "little"))
        found.append(LogDataKey(database_id, generation, data_key.created_ns, wrapped))
    return tuple(found)


def _database_keys(keys: NodeKeys, database_id: bytes) -> tuple[DataKey, ...]:
    found: Database | None = next(
        (database for database in keys.databases.values() if database.database_id == database_id), None
    )
    return found.data_keys if found else ()


# -- opening ----------------------------------------------------------------------------------------------------------


def state_key(snapshot_secret: SecretKey, node_id: bytes, number: int) -> SecretKey:
    """Derive the key of the state part of a segment; the caller wipes it."""
    return derive(snapshot_secret, b"", _STATE_KEY, node_id, _u64(number))


def require_signed(front: Front, signer: bytes, where: str) -> None:
    """Refuse a segment that the node with the public key `signer` did not sign.

    Raises:
        LogDamagedError: it did not.
    """
    try:
        if front.head.signer != signer:
            raise SignatureError(f"it names the signer {front.head.signer.hex()}, and the node is {signer.hex()}")
        verify(signer, front.signed, front.signature)
    except SignatureError as error:
        raise damaged(where, str(error)) from None


def open_state(front: Front, key: SecretKey, where: str) -> LogState:
    """Open the state part with its own key.

    Raises:
        LogDamagedError: it is not what was sealed.
    """
    try:
        return LogState.decode(unwrap(key, front.sealed_state, _STATE, front.encoded_head))
    except (NotDecodableError, WrapDamagedError, WrongKeyError) as error:
        raise damaged(where, str(error)) from None


@dataclass(frozen=True)
class OpenedSegment:
    """A segment whose front was opened."""

    head: SegmentHead
    state: LogState
    body: LogBody
    checksum: bytes
    data_keys: dict[tuple[bytes, int], DataKey]
    """By database id and generation, decrypt-only; whoever opened it wipes them."""


def open_segment(front: Front, master: MasterKey, where: str) -> OpenedSegment:
    """Open a segment whose signature was compared, with the master key of its era.

    Raises:
        LogDamagedError: it is not what was sealed.
    """
    head, node = front.head, front.head.node_id
    try:
        with master.log_key(head.number) as log_key:
            sealed = unwrap(log_key, front.sealed_body, _BODY, front.encoded_head, front.sealed_state)
            body = LogBody.decode(sealed, head.ciphertext_bytes)
            with _secret(unwrap(log_key, body.wrapped_state_key, _STATE_KEY, node, _u64(head.number))) as key_of_state:
                state = open_state(front, key_of_state, where)
            data_keys = {(key.database_id, key.generation): _open_data_key(log_key, key) for key in body.data_keys}
    except (NotDecodableError, WrapDamagedError, WrongKeyError) as error:
        raise damaged(where, str(error)) from None
    return OpenedSegment(head, state, body, front.checksum, data_keys)


def segment_cipher(volume: VolumeKey, node_id: bytes, number: int) -> SectorCipher:
    """Return the volume layer of the ciphertext of a segment; the caller wipes it."""
    return SectorCipher(volume.file_key("segment", node_id + _u64(number)))


def damaged(where: str, found: str) -> LogDamagedError:
    """Return the error about a segment that is not what was written."""
    return LogDamagedError(
        f"{where} is damaged: {cause_of(found)}. Nothing was restored; restore to a time before it, or after the next "
        "snapshot."
    )


def rows_with_pages(record: LogRecord) -> Rows:
    """Return the rows of a record that are no holes."""
    rows: Rows = record.rows[record.rows["session"] != 0]
    return rows


def _open_data_key(log_key: SecretKey, key: LogDataKey) -> DataKey:
    opened = unwrap(log_key, key.wrapped, _DATA_KEY, key.database_id, key.generation.to_bytes(4, "little"))
    return DataKey(key.generation, _secret(opened), key.created_ns, decrypt_only=True)


def _secret(opened: bytearray) -> SecretKey:
    try:
        return SecretKey(opened)
    finally:
        opened[:] = bytes(len(opened))


def _u64(number: int) -> bytes:
    return number.to_bytes(8, "little")
