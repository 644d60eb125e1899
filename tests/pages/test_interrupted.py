"""A signal at any line of commit and checkpoint: the store stops, and the next opening has a whole state."""

import contextlib
import linecache
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from types import FrameType
from typing import Any

import pytest

from keystore.errors import CommitUnknownError, KeystoreError
from keystore.pages.store import PageStore
from tests.pages.stores import StaticKeys
from tests.pages.threads import wait_until

MODULES = (
    "commit.py",
    "at_once.py",
    "writer.py",
    "group.py",
    "line.py",
    "life.py",
    "checkpoint.py",
    "apply.py",
    "slots.py",
    "slot_bits.py",
    "sealing.py",
    "guarded.py",
    "log.py",
)


class Interrupter:
    """Raises `error`, as a handler of a signal does, at the Nth line that runs in the modules, or at the one after it.

    Not where the end of a `with` block is about to leave it: Python takes signals after calls and jumps, never there.
    """

    def __init__(self, at: int, error: type[BaseException]) -> None:
        self.left, self._error = at, error
        self._last: dict[FrameType, int] = {}

    def __call__(self, frame: FrameType, event: str, _: Any) -> "Interrupter | None":
        if Path(frame.f_code.co_filename).name not in MODULES or "keystore/pages" not in frame.f_code.co_filename:
            return None
        if event == "line":
            self.left -= 1
            last, self._last[frame] = self._last.get(frame, 0), frame.f_lineno
            line = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
            is_leaving = last > frame.f_lineno and line.lstrip().startswith("with ")
            if self.left < 0 and not is_leaving:
                sys.settrace(None)
                raise self._error
        return self


def interrupted(act: Callable[[], object], at: int, error: type[BaseException] = KeyboardInterrupt) -> bool:
    """Run `act` and interrupt it at line number `at`; tell whether it had as many lines."""
    sys.settrace(Interrupter(at, error))
    try:
        act()
    except error:
        return True
    finally:
        sys.settrace(None)
    return False


@pytest.mark.parametrize("what", ["commit", "checkpoint"])
def test_a_signal_at_every_line_loses_nothing(tmp_path: Path, what: str) -> None:
    """Every seventh line: coprime to the loops, so that all parts of them are met; two kinds of errors by turns."""
    keys, old, new = StaticKeys(), b"a" * 4096, b"b" * 4096
    met = 0
    for at in range(0, 4000, 7):
        path = tmp_path / f"{what}{at}"
        store = PageStore.create(path, name="s", keys=keys, page_size=4096)
        store.commit(dict.fromkeys(range(8), old))
        store.close()
        store = PageStore.open(path, name="s", keys=keys)
        if what == "checkpoint":
            store.commit(dict.fromkeys(range(4, 8), new))
        act = store.checkpoint if what == "checkpoint" else (lambda: store.commit(dict.fromkeys(range(4, 8), new)))  # noqa: B023
        if not interrupted(act, at, (KeyboardInterrupt, ArithmeticError)[at % 2]):
            store.close()
            break
        met += 1
        with ThreadPoolExecutor(1) as pool, contextlib.suppress(KeystoreError):  # another thread: no lock was kept
            pool.submit(store.commit, {7: b"c" * 4096}).result(60)
        store.close()
        with PageStore.open(path, name="s", keys=keys) as again:
            pages = again.read_many(range(8))
            assert pages[:4] == [old] * 4
            assert pages[4:7] in ([old] * 3, [new] * 3)
            assert pages[7] in (old, new, b"c" * 4096)
            assert what == "commit" or pages[4:7] == [new] * 3
            assert again.verify().ok
        path.unlink()
    assert met > 20


def test_a_signal_to_who_commits_for_others_loses_nothing(tmp_path: Path) -> None:
    """The main thread leads a group of two and is interrupted; the other thread learns what became of its change."""
    keys, old, new = StaticKeys(), b"a" * 4096, b"b" * 4096
    made, unknown = 0, 0
    with ThreadPoolExecutor(2) as pool:
        for at in range(0, 4000, 17):
            path = tmp_path / f"s{at}"
            store = PageStore.create(path, name="s", keys=keys, page_size=4096)
            store.commit(dict.fromkeys(range(9), old))
            held, out = Event(), Event()
            holder = pool.submit(hold, store, held, out)
            assert held.wait(60)
            follower = pool.submit(follow, store, out, new)
            was_interrupted = interrupted(lambda: store.commit(dict.fromkeys(range(4), new)), at)  # noqa: B023
            out.set()
            holder.result(60)
            error = follower.exception(60)
            assert error is None or isinstance(error, CommitUnknownError)
            made, unknown = made + (error is None), unknown + (error is not None)
            with contextlib.suppress(CommitUnknownError):
                store.commit({8: b"c" * 4096})
            store.close()
            with PageStore.open(path, name="s", keys=keys) as again:
                pages = again.read_many(range(9))
                assert pages[:4] in ([old] * 4, [new] * 4)
                assert pages[4:8] == [new] * 4 if error is None else pages[4:8] in ([old] * 4, [new] * 4)
                assert again.verify().ok
            path.unlink()
            if not was_interrupted:
                break
    assert made > 3
    assert unknown > 10


def hold(store: PageStore, held: Event, out: Event) -> None:
    """Keep the lock of the store until two are in line, or the first one was interrupted before."""
    with store._life.lock:
        held.set()
        wait_until(lambda: len(store._writer._line) == 2 or out.is_set())


def follow(store: PageStore, out: Event, page: bytes) -> None:
    wait_until(lambda: len(store._writer._line) == 1 or out.is_set())
    store.commit(dict.fromkeys(range(4, 8), page))
