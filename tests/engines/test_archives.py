"""Archives of the standard library straight on an `EncryptedFile`, and on files of the file system."""

import io
import os
import tarfile
import zipfile
from pathlib import Path

from keystore.engines.filesystem import KeystoreFileSystem
from keystore.pages.file import EncryptedFile
from keystore.testing import CountingBlockFile, ThrowawayKeys, new_store

MEMBERS = {"a.txt": b"first\n" * 1000, "sub/b.bin": os.urandom(100_000), "empty": b""}


def test_a_zip_is_written_appended_to_and_read_in_place(tmp_path: Path) -> None:
    block, keys = CountingBlockFile.create(tmp_path / "s"), ThrowawayKeys()
    with new_store(block, 4096, keys=keys) as store:
        with zipfile.ZipFile(EncryptedFile(store), "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in MEMBERS.items():
                archive.writestr(name, content)
        with zipfile.ZipFile(EncryptedFile(store), "a") as archive:
            archive.writestr("late", b"late")
        with zipfile.ZipFile(EncryptedFile(store)) as archive:
            assert archive.testzip() is None
            assert {name: archive.read(name) for name in archive.namelist()} == {**MEMBERS, "late": b"late"}
    assert b"first" not in (tmp_path / "s").read_bytes()
    assert b"a.txt" not in (tmp_path / "s").read_bytes()


def test_one_member_of_a_large_zip_costs_the_pages_that_it_needs(tmp_path: Path) -> None:
    keys = ThrowawayKeys()
    with new_store(tmp_path / "s", 4096, keys=keys) as store:
        with zipfile.ZipFile(EncryptedFile(store), "w", zipfile.ZIP_STORED) as archive:
            for number in range(50):
                archive.writestr(f"{number}", bytes([number]) * 100_000)
        size = store.byte_length
    block = CountingBlockFile.open(tmp_path / "s")
    with type(store).open(block, name="throwaway", keys=keys) as store:
        before = block.counts
        with zipfile.ZipFile(EncryptedFile(store)) as archive:
            assert archive.read("25") == bytes([25]) * 100_000
        assert block.counts.since(before).bytes_read < 200_000 < size


def test_a_tar_is_written_appended_to_and_read_in_place(tmp_path: Path) -> None:
    with new_store(tmp_path / "s", 4096) as store:
        for mode, names in (("w", ["a.txt", "sub/b.bin"]), ("a", ["empty"])):
            file = EncryptedFile(store)
            with tarfile.open(fileobj=file, mode=mode) as archive:  # type: ignore[call-overload]
                for name in names:
                    member = tarfile.TarInfo(name)
                    member.size = len(MEMBERS[name])
                    archive.addfile(member, io.BytesIO(MEMBERS[name]))
            file.close()
        with tarfile.open(fileobj=EncryptedFile(store)) as archive:
            found = {member.name: archive.extractfile(member) for member in archive}
            assert {name: file.read() for name, file in found.items() if file} == MEMBERS


def test_archives_on_files_of_a_node(fs: KeystoreFileSystem) -> None:
    with fs.open("d/a.zip", "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_LZMA) as archive:
        for name, content in MEMBERS.items():
            archive.writestr(name, content)
    with fs.open("d/a.zip", "rb") as file, zipfile.ZipFile(file) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == MEMBERS
    with fs.open("d/a.tgz", "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as made:
        member = tarfile.TarInfo("a.txt")
        member.size = len(MEMBERS["a.txt"])
        made.addfile(member, io.BytesIO(MEMBERS["a.txt"]))
    with fs.open("d/a.tgz", "rb") as file, tarfile.open(fileobj=file, mode="r:gz") as read:
        (found,) = read.getmembers()
        extracted = read.extractfile(found)
        assert extracted is not None
        assert extracted.read() == MEMBERS["a.txt"]
