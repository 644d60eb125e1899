"""Every single operation fails once: full disk, I/O error, short write, failed sync (docs/FORMAT.md, F-2 and F-16).

An error that says "nothing changed" must be true, and the store goes on. One that says "unknown" stops the store, and
every state that the machine can then be in opens to the commit before or to the commit itself.
"""

import errno
from collections.abc import Callable, Iterator
from random import Random

import pytest

from keystore.errors import CommitUnknownError, StoreClosedError, StoreFullError, StoreIOError
from tests.crashes import SEED, Crashes
from tests.pages.determined import determined
from tests.pages.exploring import Explorer
from tests.pages.simdisk import Fault, Kind, Machine
from tests.pages.stores import StaticKeys
from tests.pages.workload import Life, Point, live, page_of

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
        live(life, random, STEPS)
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


def lived() -> Life:
    """Return a life without a fault, and so every moment of it."""
    life = Life(StaticKeys(), Machine())
    live(life, Random(SEED), STEPS)
    return life


def test_every_operation_that_fails_is_refused_or_unknown_and_true_to_it(
    tell: Callable[[str], None], crashes: Crashes
) -> None:
    crashes.kind = "page store after a failing operation"
    refused = unknown = overcome = 0
    with determined(SEED):
        kinds = [point.kind for point in lived().points[:-1]]
    for number, fault in enumerate(faults(kinds)):
        with determined(f"{SEED}/fault {number}") as source, crashes.judged(repr(fault)):
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
                explorer = Explorer(random, keys, source, crashes, losses=4)
                explorer.explore([Point("sync", life.machine.now(), allowed)], crashes.states + 100)
    tell(f"{refused} failing operations refused, {unknown} unknown, {overcome} overcome")
    assert refused > 30
    assert unknown > 100
    assert crashes.states > 500


def test_a_length_that_only_the_cache_has_is_written_down() -> None:
    """A growth whose sync failed: the file looks longer than the disk has it, and no later sync would notice (F-2)."""
    with determined(SEED):
        life, random = Life(StaticKeys(), Machine()), Random(SEED)
        life.create()
        growth = life.machine.operations + 1
        life.machine.fault = Fault(growth, errno.EIO)
        with pytest.raises(CommitUnknownError):
            life.commit({0: page_of(random)})
        assert life.points[growth].kind == "sync"
        assert life.machine.disk.size() > life.machine.image.disk.size
        life.machine = Machine(life.machine.now())
        life.open()
        life.opened.close()
        assert life.machine.disk.size() == life.machine.image.disk.size
        life.machine = Machine(life.machine.now().after_power_loss([], None))
        life.open()
        assert life.read([0]) == life.now


OPERATIONS_MAX = 200
"""LIMIT: reads, and other operations, of one opening."""


@pytest.mark.parametrize("reading", [False, True])
def test_every_operation_of_an_opening_may_fail(crashes: Crashes, reading: bool) -> None:
    """Then it is refused, and what it leaves, also after a power cut, opens to what was there before."""
    crashes.kind = "page store after a failing opening"
    refused = 0
    with determined(f"{SEED}/{reading}") as source:
        life, random = lived(), Random(SEED)
        whole = [point for point in life.points if point.kind == "sync" and None not in point.allowed]
        for point in random.sample(whole, 4):
            *_, image = point.image.power_losses(random, 3)
            for number in range(OPERATIONS_MAX):
                fault = Fault(number, errno.EIO, partly=random.random() < 0.5, reading=reading)
                source.begin("recovery 1")
                machine = Machine(image, fault)
                try:
                    Life(life.keys, machine, watching=False).open()
                except (StoreIOError, CommitUnknownError):
                    refused += 1
                    explorer = Explorer(random, life.keys, source, crashes)
                    with crashes.judged(repr(fault)):
                        for left in (machine.now(), *machine.now().power_losses(random, 3)):
                            explorer.check(left, point.allowed, depth=2)
                if (machine.reads if reading else machine.operations) <= number:
                    break
            assert 5 < number < OPERATIONS_MAX - 1
    assert refused > 20
    assert crashes.states >= refused / 2
