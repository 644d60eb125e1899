"""Every single operation fails once: full disk, I/O error, short write, failed sync (docs/FORMAT.md, F-2 and F-16).

An error that says "nothing changed" must be true, and the store goes on. One that says "unknown" stops the store, and
every state that the machine can then be in opens to the commit before or to the commit itself.
"""

import errno
from collections.abc import Callable, Iterator
from random import Random

import pytest

from keystore.errors import CommitUnknownError, StoreClosedError, StoreFullError, StoreIOError
from tests.pages.simdisk import Fault, Kind, Machine
from tests.pages.stores import StaticKeys
from tests.pages.test_crash import Explorer, run
from tests.pages.workload import Life, Point, page_of, step

SEED = 7
STEPS = 12

FAULTS: dict[Kind, list[tuple[int, bool]]] = {
    "write": [(errno.ENOSPC, False), (errno.EIO, True)],
    "extend": [(errno.ENOSPC, False)],
    "sync": [(errno.EIO, False), (errno.EIO, True)],
}
"""Error and `Fault.partly`, for each kind of operation."""


def faults(kinds: list[Kind]) -> Iterator[Fault]:
    for number, kind in enumerate(kinds):
        for error, partly in FAULTS.get(kind, []):
            yield Fault(number, error, partly)


def live_until_it_fails(life: Life, random: Random) -> type[Exception] | None:
    """Live on until the fault comes; return what the caller got to see, None if the store found a way round it."""
    try:
        life.create()
        for number in range(STEPS):
            step(life, random, number)
        life.opened.close()
    except (StoreFullError, StoreIOError, CommitUnknownError) as error:
        return type(error)
    return None


def go_on_after_a_refusal(life: Life, random: Random) -> None:
    """Nothing changed, so everything is there, and the store writes again; a new object where the error closed it."""
    assert life.now is not None
    life.coming, life.watching = None, False
    try:
        life.opened.checkpoint()
    except StoreClosedError:
        life.open()
    assert life.read(number for number, _ in life.now.pages) == life.now
    life.commit({0: page_of(random), 6: page_of(random)})
    assert life.opened.verify().damaged == []
    life.reopen()
    assert life.read(number for number, _ in life.now.pages) == life.now


def stay_stopped(life: Life) -> None:
    """Stopped, or closed already because closing is what failed."""
    for _ in range(2):
        with pytest.raises((CommitUnknownError, StoreClosedError)):
            life.opened.commit({0: bytes(4096)})
    life.opened.close()


def test_every_operation_that_fails_is_refused_or_unknown_and_true_to_it(tell: Callable[[str], None]) -> None:
    refused = unknown = overcome = 0
    seen: set[bytes] = set()
    kinds = [point.kind for point in run(SEED, StaticKeys(), STEPS)]
    for fault in faults(kinds):
        keys, random = StaticKeys(), Random(SEED)
        life = Life(keys, Machine(fault=fault))
        error = live_until_it_fails(life, random)
        if life.now is None:
            continue  # a store that was never made
        if error is None:
            overcome += 1
            assert life.machine.operations > fault.number
            go_on_after_a_refusal(life, random)
        elif error is not CommitUnknownError:
            refused += 1
            go_on_after_a_refusal(life, random)
        else:
            unknown += 1
            stay_stopped(life)
            allowed = (life.now, life.coming or life.now)
            Explorer(random, keys, seen, losses=4).explore([Point("sync", life.machine.now(), allowed)])
    told = f"{refused} failing operations refused, {unknown} unknown, {overcome} overcome"
    tell(f"{told}; {len(seen)} crash states after them, 0 lost, 0 wrong, seed {SEED}")
    assert refused > 30
    assert unknown > 100
    assert len(seen) > 500
