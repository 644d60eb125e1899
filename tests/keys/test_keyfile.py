"""The keystore file: what goes in comes out, and every changed byte is a typed error."""

import hashlib
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystore.crypto.secret import SecretKey
from keystore.crypto.signing import SigningKey
from keystore.errors import (
    KeyFileDamagedError,
    KeyFileError,
    KeyFileMissingError,
    KeyFileWriteError,
    KeystoreError,
)
from keystore.format.cursor import NotDecodableError
from keystore.format.keyfile import StoreRecord, decode_body, encode_body, split
from keystore.format.volume import NO_VOLUME
from keystore.keys import keyfile
from keystore.keys.files import Files, publish, temporary_path
from keystore.keys.fingerprint import key_name
from keystore.keys.hierarchy import (
    Database,
    DataKey,
    Keystore,
    LogSetting,
    OutsideSetting,
    generate_database,
    generate_id,
)
from keystore.keys.master import MasterKey, generate_master
from keystore.kms.connect import connect
from keystore.kms.local import create_key_file
from keystore.kms.protocol import Kms
from tests.keys.former_versions import VERSION_1, VERSION_2, VERSION_3

NODE_ID = b"n" * 16
NOW_NS = 1_700_000_000_000_000_000


@pytest.fixture
def kms(tmp_path: Path) -> Kms:
    create_key_file(tmp_path / "cmk")
    return connect(f"local://{tmp_path / 'cmk'}")


@pytest.fixture
def master(kms: Kms) -> MasterKey:
    return generate_master(kms, NODE_ID, 3)


def example() -> Keystore:
    database = generate_database("payments", NOW_NS).with_new_generation(NOW_NS + 1)
    for name in ("b/ledger", "a", "ü"):
        database = database.with_store(StoreRecord(generate_id(), name, 16384, NOW_NS + 2))
    keystore = Keystore.generate("node-1", NOW_NS).with_database(database)
    return keystore.with_database(generate_database("audit", NOW_NS + 3))


def write(path: Path, data: bytes) -> None:
    keyfile.prepare(Files(), path, data)
    publish(Files(), path)


def test_what_goes_in_comes_out(tmp_path: Path, kms: Kms, master: MasterKey) -> None:
    keystore = example()
    write(tmp_path / "keystore", keyfile.seal(keystore, master, 7, NOW_NS))
    loaded = keyfile.load(Files(), tmp_path / "keystore")
    assert (loaded.head.node_id, loaded.head.master_generation, loaded.head.file_generation) == (NODE_ID, 3, 7)
    assert loaded.head.wrapped == master.wrapped
    assert loaded.head.wrapped.key_id == f"local://{tmp_path / 'cmk'}"
    opened_master, opened = keyfile.unlock(loaded, kms, tmp_path / "keystore")
    assert opened_master.key == master.key
    assert opened == keystore


def test_file_shows_no_key_and_no_name(master: MasterKey) -> None:
    keystore = example()
    data = keyfile.seal(keystore, master, 1, NOW_NS)
    database = keystore.database("payments")
    own = keystore.anchor_key, keystore.signing.seed, keystore.snapshot_secret, master.key
    secrets = [bytes(key.view()) for key in own]
    secrets += [bytes(data_key.key.view()) for data_key in database.data_keys]
    for hidden in (*secrets, b"payments", b"ledger", b"node-1"):
        assert hidden not in data


def test_each_writing_is_sealed_anew(master: MasterKey) -> None:
    keystore = example()
    first, second = (split(keyfile.seal(keystore, master, 1, NOW_NS)).sealed_body for _ in range(2))
    assert first[:32] != second[:32]


def test_file_of_another_node_does_not_open(tmp_path: Path, kms: Kms, master: MasterKey) -> None:
    """The KMS binds the context here; for one that does not, see test_master."""
    other = generate_master(kms, b"o" * 16, 3)
    mixed = MasterKey(NODE_ID, 3, master.key, other.wrapped, master.commitment)
    write(tmp_path / "keystore", keyfile.seal(example(), mixed, 1, NOW_NS))
    with pytest.raises(KeystoreError):
        keyfile.unlock(keyfile.load(Files(), tmp_path / "keystore"), kms, tmp_path / "keystore")


def test_body_under_another_master_key_is_damage(tmp_path: Path, kms: Kms, master: MasterKey) -> None:
    """K-4: a head and a body that do not belong together."""
    data = keyfile.seal(example(), master, 1, NOW_NS)
    other = split(keyfile.seal(example(), generate_master(kms, NODE_ID, 3), 1, NOW_NS))
    parts = split(data)
    (tmp_path / "keystore").write_bytes(resum(parts.head_bytes + other.sealed_body))
    with pytest.raises(KeyFileDamagedError, match="does not open"):
        keyfile.unlock(keyfile.load(Files(), tmp_path / "keystore"), kms, tmp_path / "keystore")


def resum(content: bytes) -> bytes:
    """Return the file with a right checksum, as somebody would who knows the format."""
    return content + hashlib.sha256(content).digest()


def small(master: MasterKey) -> bytes:
    return keyfile.seal(Keystore.generate("n", NOW_NS), master, 1, NOW_NS)


def test_every_changed_byte_is_damage(tmp_path: Path, master: MasterKey) -> None:
    """K-3: found before any KMS is asked."""
    data = small(master)
    path = tmp_path / "keystore"
    for at in range(len(data)):
        for mask in (0x01, 0x80, 0xFF):
            path.write_bytes(data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :])
            with pytest.raises(KeyFileDamagedError, match="damaged"):
                keyfile.load(Files(), path)


def test_every_changed_byte_with_a_right_checksum_is_an_error_too(tmp_path: Path, kms: Kms, master: MasterKey) -> None:
    content = small(master)[:-32]
    path = tmp_path / "keystore"
    for at in range(len(content)):
        path.write_bytes(resum(content[:at] + bytes([content[at] ^ 0x01]) + content[at + 1 :]))
        with pytest.raises(KeystoreError):
            keyfile.unlock(keyfile.load(Files(), path), kms, path)


def test_every_cut_and_every_added_byte_is_damage(tmp_path: Path, master: MasterKey) -> None:
    """K-2, also where the checksum is made right."""
    data = small(master)
    path = tmp_path / "keystore"
    for length in range(len(data)):
        cuts = [data[:length], resum(data[:length])]
        for cut in [cut for cut in cuts if cut != data]:
            path.write_bytes(cut)
            with pytest.raises(KeyFileDamagedError):
                keyfile.load(Files(), path)
    for longer in (data + b"\0", resum(data[:-32] + b"\0"), data + data):
        path.write_bytes(longer)
        with pytest.raises(KeyFileDamagedError):
            keyfile.load(Files(), path)


def test_missing_file_is_never_a_fresh_start(tmp_path: Path) -> None:
    with pytest.raises(KeyFileMissingError, match="bring it back"):
        keyfile.load(Files(), tmp_path / "keystore")
    assert list(tmp_path.iterdir()) == []


def test_directory_in_its_place_is_told(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="cannot be read"):
        keyfile.load(Files(), tmp_path)


class FullDisk(Files):
    def write(self, fd: int, offset: int, data: bytes | bytearray | memoryview) -> None:
        super().write(fd, offset, data[: len(data) // 2])
        raise OSError(28, "No space left on device")


class ForgetfulDisk(Files):
    """Writes something else than it was given, and says nothing."""

    def write(self, fd: int, offset: int, data: bytes | bytearray | memoryview) -> None:
        super().write(fd, offset, bytes(data[:-1]) + b"\0")


@pytest.mark.parametrize(("disk", "reason"), [(FullDisk, "No space"), (ForgetfulDisk, "reads back differently")])
def test_file_that_cannot_be_written_leaves_the_former(
    tmp_path: Path, master: MasterKey, disk: type[Files], reason: str
) -> None:
    path = tmp_path / "keystore"
    former = keyfile.seal(example(), master, 1, NOW_NS)
    write(path, former)
    with pytest.raises(KeyFileWriteError, match=reason):
        keyfile.prepare(disk(), path, keyfile.seal(example(), master, 2, NOW_NS)[:-1] + b"\xff")
    assert path.read_bytes() == former
    assert not temporary_path(path).exists()


names = st.text(st.characters(categories=["L", "N", "P"], exclude_characters="/."), min_size=1, max_size=20)


@st.composite
def keystores(draw: st.DrawFn) -> Keystore:
    key = st.binary(min_size=32, max_size=32).map(SecretKey)
    volume_id = draw(st.none() | st.binary(min_size=16, max_size=16).filter(any))
    keystore = Keystore(draw(names), draw(st.integers(0, 2**64 - 1)), draw(key), draw(key.map(SigningKey)), draw(key))
    keystore = keystore.with_volume(volume_id, draw(st.integers(0, 2)) if volume_id else 0).with_log(
        draw(st.none() | st.builds(LogSetting, names, st.integers(1, 2**32 - 1)))
    )
    for name in draw(st.lists(names, unique=True, max_size=4)):
        generations = sorted(draw(st.sets(st.integers(1, 2**32 - 1), min_size=1, max_size=4)))
        data_keys = tuple(
            DataKey(generation, SecretKey.generate(), draw(st.integers(0, 2**64 - 1)), generation != generations[-1])
            for generation in generations
        )
        database = Database(generate_id(), name, draw(st.integers(0, 2**64 - 1)), data_keys, MappingProxyType({}))
        for generation in generations[: draw(st.integers(0, len(generations) - 1))]:
            database = database.without_key(generation, draw(st.integers(0, 2**64 - 1)))
        database = database.with_seals(generations[-1], draw(st.integers(0, 2**64 - 1)))
        database = replace(database, left_below=draw(st.integers(0, generations[-1])))
        if draw(st.booleans()):
            keystore = keystore.with_database(database.shred(7, b"f" * 32, 3))
            continue
        for store in draw(st.lists(names, unique=True, max_size=4)):
            page_size = draw(st.sampled_from([4096, 8192, 16384, 32768, 65536]))
            database = database.with_store(StoreRecord(generate_id(), store, page_size, 5))
        keystore = keystore.with_database(database)
    return keystore


@given(keystores())
def test_any_body_is_decoded_to_what_was_encoded(keystore: Keystore) -> None:
    body = encode_body(keyfile._to_body(keystore))
    assert keyfile._from_body(decode_body(body)) == keystore
    assert encode_body(keyfile._to_body(keyfile._from_body(decode_body(body)))) == body


@given(keystores(), st.data())
def test_any_changed_body_is_refused_or_means_itself(keystore: Keystore, data: st.DataObject) -> None:
    """Decoding is strict: whatever is accepted encodes to the same bytes again (K-5 to K-7)."""
    body = encode_body(keyfile._to_body(keystore))
    at = data.draw(st.integers(0, len(body) - 1))
    body[at] ^= data.draw(st.integers(1, 255))
    if data.draw(st.booleans()):
        del body[data.draw(st.integers(0, len(body) - 1)) :]
    try:
        decoded = decode_body(body)
    except NotDecodableError:
        return
    assert encode_body(decoded) == body


def test_head_begins_as_the_format_says(master: MasterKey) -> None:
    """K-1, with the offsets written out."""
    data = small(master)
    assert data[:8] == b"CMKKEYFL"
    assert data[8:12] == b"\x04\0\x01\0"
    head_bytes, body_bytes = (int.from_bytes(data[at : at + 4], "little") for at in (12, 16))
    assert head_bytes + body_bytes + 32 == len(data)
    assert int.from_bytes(data[20:28], "little") == 1
    assert data[28:44] == NODE_ID
    assert int.from_bytes(data[44:48], "little") == 3
    assert int.from_bytes(data[48:56], "little") == NOW_NS
    assert data[56:72] == master.commitment
    assert data[72:81] == b"\x05\0\0\0local"
    assert data[-32:] == hashlib.sha256(data[:-32]).digest()


def test_a_file_of_version_1_is_read(tmp_path: Path) -> None:
    """K-8: written by the program before there were counts of seals and destroyed keys."""
    path = tmp_path / "keystore"
    path.write_bytes(VERSION_1)
    parts = keyfile.load(Files(), path).parts
    assert parts.version == 1
    keystore = keyfile.open_body(parts, SecretKey(b"\x11" * 32), path)
    database = keystore.database("payments")
    assert database.data_keys == (
        DataKey(1, SecretKey(b"\x01" * 32), 101, decrypt_only=True),
        DataKey(2, SecretKey(b"\x02" * 32), 102),
    )
    assert (database.destroyed, database.shredded) == ((), None)
    assert list(database.stores) == ["ledger"]


def test_a_file_of_version_2_is_read(tmp_path: Path) -> None:
    """K-11: written by the program before nodes signed their snapshots."""
    path = tmp_path / "keystore"
    path.write_bytes(VERSION_2)
    parts = keyfile.load(Files(), path).parts
    assert parts.version == 2
    keystore = keyfile.open_body(parts, SecretKey(b"\x11" * 32), path)
    assert (keystore.volume_id, keystore.outside_anchor) == (b"v" * 16, OutsideSetting("/outside", each_commit=True))
    database = keystore.database("payments")
    assert [key.seals for key in database.data_keys] == [7, 8]
    assert [key.name for key in database.destroyed] == [b"deadbeef"]
    assert list(database.stores) == ["ledger"]
    assert keystore.log is None


def test_a_file_of_version_3_is_read(tmp_path: Path) -> None:
    """K-14: written by the program before nodes could be converted."""
    path = tmp_path / "keystore"
    path.write_bytes(VERSION_3)
    parts = keyfile.load(Files(), path).parts
    assert parts.version == 3
    keystore = keyfile.open_body(parts, SecretKey(b"\x11" * 32), path)
    assert (keystore.signing, keystore.snapshot_secret) == (
        SigningKey(SecretKey(b"\x33" * 32)),
        SecretKey(b"\x44" * 32),
    )
    assert keystore.log == LogSetting("/log", 35)
    assert [key.generation for key in keystore.database("payments").data_keys] == [1, 3]
    assert list(keystore.database("payments").stores) == ["ledger"]
    assert (keystore.volume_id, keystore.is_layered, keystore.is_converting) == (b"v" * 16, True, False)


@pytest.mark.parametrize("data", [VERSION_1, VERSION_2], ids=["version 1", "version 2"])
def test_a_file_without_an_identity_is_given_one_of_its_own(tmp_path: Path, master: MasterKey, data: bytes) -> None:
    """K-11, K-13: two openings share nothing until the file was written again."""
    path = tmp_path / "keystore"
    path.write_bytes(data)
    parts = keyfile.load(Files(), path).parts
    one, two = (keyfile.open_body(parts, SecretKey(b"\x11" * 32), path) for _ in range(2))
    assert one.signing != two.signing
    assert one.snapshot_secret != two.snapshot_secret
    write(path, keyfile.seal(one, master, 8, NOW_NS))
    parts = keyfile.load(Files(), path).parts
    assert parts.version == 4
    again = keyfile.open_body(parts, master.key, path)
    assert (again.signing, again.snapshot_secret) == (one.signing, one.snapshot_secret)


@pytest.mark.parametrize(("place", "days"), [("", 1), ("/log", 0)])
def test_a_log_without_a_place_or_a_window_is_refused(place: str, days: int) -> None:
    """K-12"""
    body = encode_body(replace(keyfile._to_body(example()), log_place=place, log_window_days=days))
    with pytest.raises(NotDecodableError, match="a log of"):
        decode_body(body)


@pytest.mark.parametrize(("volume_id", "change"), [(NO_VOLUME, 1), (NO_VOLUME, 2), (b"v" * 16, 3)])
def test_a_change_of_no_volume_layer_is_refused(volume_id: bytes, change: int) -> None:
    """K-14"""
    body = encode_body(replace(keyfile._to_body(example()), volume_id=volume_id, volume_change=change))
    with pytest.raises(NotDecodableError, match="the change"):
        decode_body(body)


def test_the_current_data_key_is_never_to_be_left() -> None:
    """K-15"""
    database = example().database("payments")
    for generation, is_refused in ((2, False), (3, True)):
        left = example().with_database(replace(database, left_below=generation))
        body = encode_body(keyfile._to_body(left))
        if is_refused:
            with pytest.raises(NotDecodableError, match="the current one"):
                decode_body(body)
        else:
            assert [
                key.generation for key in keyfile._from_body(decode_body(body)).database("payments").to_be_left
            ] == [1]


def test_version_1_and_4_are_not_taken_for_each_other(tmp_path: Path, kms: Kms, master: MasterKey) -> None:
    """The version stands in the head, and the head is associated data of the body."""
    old = VERSION_1
    new = keyfile.seal(example(), master, 1, NOW_NS)
    path = tmp_path / "keystore"
    path.write_bytes(resum(old[:8] + b"\x04\x00" + old[10:-32]))
    with pytest.raises(KeyFileDamagedError, match="does not open"):
        keyfile.open_body(keyfile.load(Files(), path).parts, SecretKey(b"\x11" * 32), path)
    path.write_bytes(resum(new[:8] + b"\x01\x00" + new[10:-32]))
    with pytest.raises(KeyFileDamagedError, match="does not open"):
        keyfile.unlock(keyfile.load(Files(), path), kms, path)


def test_destroyed_keys_leave_a_record_and_no_material(master: MasterKey) -> None:
    database = example().database("payments").with_new_generation(NOW_NS + 5)
    first = database.data_keys[0]
    changed = example().with_database(database.without_key(1, NOW_NS + 6))
    body = bytes(encode_body(keyfile._to_body(changed)))
    assert bytes(first.key.view()) not in body
    assert bytes(database.data_keys[1].key.view()) in body
    opened = keyfile._from_body(decode_body(bytearray(body))).database("payments")
    assert [key.generation for key in opened.data_keys] == [2, 3]
    (gone,) = opened.destroyed
    assert (gone.generation, gone.created_ns, gone.destroyed_ns) == (1, NOW_NS, NOW_NS + 6)
    assert gone.name.hex() == key_name(first.key)
