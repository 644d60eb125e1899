"""EncryptedFile against io.BytesIO, and the standard library's own users of files."""

import io
import random
import tarfile
import zipfile
from pathlib import Path

import pytest

from keystore.errors import InputError
from keystore.pages.file import EncryptedFile
from keystore.pages.store import PageStore
from tests.pages.stores import StaticKeys


@pytest.mark.parametrize("seed", range(4))
def test_random_use_equals_bytesio(tmp_path: Path, seed: int) -> None:
    keys, chooser, model = StaticKeys(), random.Random(seed), io.BytesIO()
    store = PageStore.create(tmp_path / "f", name="f", keys=keys, page_size=4096)
    file = EncryptedFile(store)
    for _ in range(400):
        act, at = chooser.random(), chooser.randrange(200_000)
        if act < 0.4:
            data = chooser.randbytes(chooser.randrange(1, 9000))
            file.seek(at)
            model.seek(at)
            assert file.write(data) == model.write(data)
        elif act < 0.8:
            size = chooser.randrange(9000)
            file.seek(at)
            model.seek(at)
            assert file.read(size) == model.read(size)
        elif act < 0.86:
            file.truncate(at)
            model = io.BytesIO(model.getvalue()[:at].ljust(at, b"\0"))
        elif act < 0.92:
            file.flush()
        elif act < 0.94:
            file.close()
            store.close()
            store = PageStore.open(tmp_path / "f", name="f", keys=keys)
            file = EncryptedFile(store)
        assert file.size == len(model.getvalue())
    file.seek(0)
    assert file.read() == model.getvalue()
    file.close()
    assert store.verify().ok
    store.close()


def test_gap_is_a_hole(tmp_path: Path) -> None:
    with PageStore.create(tmp_path / "f", name="f", keys=StaticKeys(), page_size=4096) as store:
        with EncryptedFile(store) as file:
            file.seek(100 << 30)
            file.write(b"end")
        assert store.verify().pages == 1
        with EncryptedFile(store) as file:
            assert file.size == (100 << 30) + 3
            file.seek((100 << 30) - 2)
            assert file.read(10) == b"\0\0end"
    assert (tmp_path / "f").stat().st_size < 4 << 20


def test_cut_and_lengthened_reads_zeros(tmp_path: Path) -> None:
    with (
        PageStore.create(tmp_path / "f", name="f", keys=StaticKeys(), page_size=4096) as store,
        EncryptedFile(store) as file,
    ):
        file.write(b"x" * 10_000)
        file.truncate(5000)
        file.truncate(10_000)
        file.seek(0)
        assert file.read() == b"x" * 5000 + bytes(5000)


def test_unflushed_writes_are_not_there_after_abandon(tmp_path: Path) -> None:
    with PageStore.create(tmp_path / "f", name="f", keys=StaticKeys()) as store:
        file = EncryptedFile(store)
        file.write(b"kept")
        file.flush()
        file.write(b" lost")
        file.abandon()
        assert EncryptedFile(store).read() == b"kept"


def test_bad_seek_and_use_after_close(tmp_path: Path) -> None:
    with PageStore.create(tmp_path / "f", name="f", keys=StaticKeys()) as store:
        file = EncryptedFile(store)
        for offset, whence in ((-1, 0), (-1, 1), (-1, 2), (0, 9)):
            with pytest.raises(InputError):
                file.seek(offset, whence)
        with pytest.raises(InputError):
            file.truncate(-1)
        file.close()
        with pytest.raises(ValueError, match="closed"):
            file.read(1)


def test_buffered_tar_and_zip_work_on_it(tmp_path: Path) -> None:
    content = {f"file{number}": random.Random(number).randbytes(number * 1000) for number in range(20)}
    with PageStore.create(tmp_path / "f", name="f", keys=StaticKeys(), page_size=4096) as store:
        with EncryptedFile(store) as raw, io.BufferedRandom(raw) as buffered, zipfile.ZipFile(buffered, "w") as archive:
            for name, data in content.items():
                archive.writestr(name, data)
        with EncryptedFile(store) as file, zipfile.ZipFile(file) as archive:
            assert {name: archive.read(name) for name in archive.namelist()} == content
        with EncryptedFile(store) as file:
            file.truncate(0)
            with tarfile.open(fileobj=file, mode="w") as tar:
                for name, data in content.items():
                    info = tarfile.TarInfo(name)
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
        with EncryptedFile(store) as file, tarfile.open(fileobj=file) as tar:
            for member in tar:
                extracted = tar.extractfile(member)
                assert extracted is not None
                assert extracted.read() == content[member.name]


def test_a_reader_never_sets_the_length_back(tmp_path: Path) -> None:
    with PageStore.create(tmp_path / "f", name="f", keys=StaticKeys(), page_size=4096) as store:
        with EncryptedFile(store) as file:
            file.write(b"x" * 10_000)
        reader = EncryptedFile(store)
        with EncryptedFile(store) as file:
            file.seek(0, io.SEEK_END)
            file.write(b"y" * 5_000)
        assert reader.read(5) == b"xxxxx"
        reader.close()
        assert store.byte_length == 15_000
