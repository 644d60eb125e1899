"""An executable model of commit, checkpoint, crash and recovery (docs/FORMAT.md, sections 6 to 8).

It is small enough to visit every state within its bounds: every choice of commands, a crash or a failed sync after
every single operation, and for each of them every state that a disk of F-1 and F-2 can be left in. `Rules` turns single
rules of the format off; each then has to cost data (`test_model.py`), or the model would have no teeth.

What is modelled: slots that hold a page, a tree or a record, two header copies, the watermark, the anchor on a device
of its own, the page cache (`model_disk`). What is not: encryption (a block fits its entry if it is equal to it), the
inner nodes of trees (one block stands for all), the length of the file, pins.

Invariants checked in every state:
1. A commit that returned is never lost, and an opening is never refused.
2. One that did not return is whole or absent; once an opening decided, the decision stays (F-19).
3. What an open store reads is what was committed.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Final, Literal, NamedTuple

from tests.pages.model_disk import (
    ANCHOR,
    BLOCKS,
    HEADERS,
    PAGES,
    SLOTS,
    WATERMARK,
    Block,
    Content,
    Disk,
    Header,
    Map,
    Mark,
    Page,
    Record,
    Tag,
    Tree,
    Value,
    cache_pressure,
    evict,
    failed_sync,
    power_loss,
    put,
    sync,
)


class Memory(NamedTuple):
    """What an open store knows."""

    epoch: int
    life: int
    sequence: int
    tag: Tag
    map: Map
    places: tuple[int, int]
    chain: frozenset[int]
    checkpoint: int
    reached: tuple[frozenset[int], frozenset[int]]


class Op(NamedTuple):
    """One step of a running process."""

    kind: Literal["write", "sync", "sync anchor", "acknowledge", "become", "look", "decide"]
    block: int = 0
    value: Value | Memory = None


class Truth(NamedTuple):
    """What the caller of the store may rely on: what was acknowledged, and what is in flight.

    `past` is what was true before; a replay may show it (a cut tail), an honest disk may not, and it stays empty there.
    """

    acknowledged: Content
    in_flight: tuple[Content, ...]
    past: frozenset[Content]


class Budget(NamedTuple):
    """How much may still happen."""

    commits: int
    checkpoints: int
    crashes: int
    failed_syncs: int
    replays: int


class World(NamedTuple):
    disk: Disk
    memory: Memory | None
    ops: tuple[Op, ...]
    truth: Truth
    left: Budget
    life: int
    written: frozenset[Value]


@dataclass(frozen=True)
class Rules:
    """The rules of the format; False is the tempting variant.

    `keep_what_the_tail_freed` matters only without the sync of step 6: that sync makes the tail durable, and with
    it the death of what it freed (F-17).
    """

    sync_before_acknowledging: bool = True
    one_record_in_flight: bool = True
    verify_last_pages: bool = True
    free_after_headers_let_go: bool = True
    nodes_synced_before_header: bool = True
    headers_alternate: bool = True
    anchor_before_header: bool = True
    anchor_epoch_after_header: bool = True
    sync_in_recovery: bool = True
    evict_in_recovery: bool = True
    new_epoch_in_recovery: bool = True
    keep_what_the_tail_freed: bool = True
    leave_the_tail_in_place: bool = True


class LossError(Exception):
    """The model found a state that breaks an invariant."""


class RefusedError(Exception):
    """An opening says that the store is damaged, rolled back or diverged."""


# -- commit and checkpoint (sections 6 and 7) --------------------------------------------------------------------------


def free_slots(m: Memory, rules: Rules) -> list[int]:
    used = m.chain | set(m.places) | {entry[0] for entry in m.map if entry}
    if rules.free_after_headers_let_go:
        used |= m.reached[0] | m.reached[1]
    return [slot for slot in range(SLOTS) if slot not in used]


def plan_commit(m: Memory, pages: tuple[int, ...], flag: bool, rules: Rules) -> tuple[tuple[Op, ...], Memory] | None:
    """Return the writes of one commit and the memory after it, None if the store is full."""
    free = free_slots(m, rules)
    if len(free) < len(pages) + 1:
        return None
    tag = (m.life, m.sequence + 1)
    changes = tuple((page, free[i], Page(tag, page)) for i, page in enumerate(pages))
    places = (m.places[1], free[len(pages)])
    record = Record(m.epoch, m.sequence + 1, m.tag, tag, changes, places, flag)
    after = m._replace(
        sequence=m.sequence + 1, tag=tag, map=changed(m.map, changes), places=places, chain=m.chain | {m.places[0]}
    )
    writes = [Op("write", slot, page) for _, slot, page in changes]
    flagged = [Op("sync")] if flag else []
    return (*writes, *flagged, Op("write", m.places[0], record)), after


def finish_commit(after: Memory, marked: bool, rules: Rules) -> tuple[Op, ...]:
    mark = Mark(after.epoch, after.sequence, after.tag)
    watermark = (Op("write", WATERMARK, mark),) if marked else ()
    durable = [Op("sync"), Op("acknowledge")] if rules.sync_before_acknowledging else [Op("acknowledge"), Op("sync")]
    return (*durable, Op("become", value=after), *watermark, Op("write", ANCHOR, mark))


def plan_checkpoint(m: Memory, rules: Rules, recovering: bool = False) -> tuple[Op, ...] | None:
    """Return the steps of section 7; a recovery goes on in a new epoch, with fresh places for records."""
    free = free_slots(m, rules)
    if len(free) < 3:
        return None
    epoch = m.epoch + (recovering and rules.new_epoch_in_recovery)
    places = (free[1], free[2]) if recovering and rules.new_epoch_in_recovery else m.places
    number, root = m.checkpoint + 1, free[0]
    tree = Tree(m.life, number, m.map)
    copy = number % 2 if rules.headers_alternate else 0
    reach = frozenset({root, *places, *(entry[0] for entry in m.map if entry)})
    reached = (reach, m.reached[1] | m.chain) if copy == 0 else (m.reached[0] | m.chain, reach)
    after = m._replace(epoch=epoch, places=places, chain=frozenset(), checkpoint=number, reached=reached)
    anchored = Mark(m.epoch if rules.anchor_epoch_after_header else epoch, m.sequence, m.tag)
    anchor = (Op("write", ANCHOR, anchored), Op("sync anchor"))
    header = (Op("write", HEADERS[copy], Header(number, epoch, m.sequence, m.tag, root, tree, places)), Op("sync"))
    anchored_anew = (Op("write", ANCHOR, mark_of(after)), Op("sync anchor"))
    marks = (Op("write", WATERMARK, mark_of(after)), *anchored_anew) if recovering else ()
    behind = () if recovering else (Op("write", WATERMARK, mark_of(m)),)
    return (
        Op("write", root, tree),
        *behind,
        *((Op("sync"),) if rules.nodes_synced_before_header else ()),
        *((*anchor, *header) if rules.anchor_before_header else (*header, *anchor)),
        Op("become", value=after),
        *marks,
    )


def mark_of(m: Memory) -> Mark:
    return Mark(m.epoch, m.sequence, m.tag)


def changed(before: Map, changes: Iterable[tuple[int, int, Page]]) -> Map:
    pages = list(before)
    for page, slot, content in changes:
        pages[page] = (slot, content)
    return tuple(pages)


def content_of(m: Map) -> Content:
    return tuple(entry and entry[1] for entry in m)


# -- opening (section 8) -----------------------------------------------------------------------------------------------


class Found(NamedTuple):
    header: Header
    chain: tuple[tuple[int, Record], ...]

    @property
    def tail(self) -> Header | Record:
        return self.chain[-1][1] if self.chain else self.header


def scan(disk: Disk, rules: Rules) -> Found:
    """Steps 1 to 5 and 7, on what the page cache shows."""
    copies = [b.cache for b in (disk[at] for at in HEADERS) if isinstance(b.cache, Header)]
    if not copies:
        raise RefusedError("no valid header")
    found = follow(disk, max(copies))
    if found.chain and rules.verify_last_pages:
        last = found.chain[-1][1]
        if not last.pages_synced and any(disk[slot].cache != page for _, slot, page in last.changes):
            found = Found(found.header, found.chain[:-1])
    _check_end(disk, found)
    return found


def follow(disk: Disk, header: Header) -> Found:
    chain: list[tuple[int, Record]] = []
    tail: Header | Record = header
    while isinstance(next_ := disk[tail.places[0]].cache, Record):
        if (next_.epoch, next_.sequence, next_.before) != (header.epoch, tail.sequence + 1, tail.tag):
            break
        chain.append((tail.places[0], next_))
        tail = next_
    return Found(header, tuple(chain))


def _check_end(disk: Disk, found: Found) -> None:
    tail, epoch = found.tail, found.header.epoch
    later = disk[tail.places[1]].cache
    if isinstance(later, Record) and (later.epoch, later.sequence) == (epoch, tail.sequence + 2):
        raise RefusedError(f"record {later.sequence} is there, the one before it is not")
    for name, at in (("watermark", WATERMARK), ("anchor", ANCHOR)):
        mark = disk[at].cache
        if not isinstance(mark, Mark):
            continue
        if mark.epoch > epoch or mark.sequence > tail.sequence:
            raise RefusedError(f"{name} at epoch {mark.epoch}, sequence {mark.sequence}")
        tags = {found.header.sequence: found.header.tag} | {r.sequence: r.tag for _, r in found.chain}
        if tags.get(mark.sequence, mark.tag) != mark.tag:
            raise RefusedError(f"{name} has another tag")
        if at == ANCHOR and mark.sequence < found.header.sequence:
            raise RefusedError("anchor behind the header")


def _touched(found: Found) -> set[int]:
    """What step 6 reads again from the disk."""
    pages = {slot for _, slot, _ in found.chain[-1][1].changes} if found.chain else set()
    return {*HEADERS, WATERMARK, *(at for at, _ in found.chain), *found.tail.places, *pages}


def remember(disk: Disk, found: Found, life: int) -> Memory:
    """Step 8: take over the changes of the chain."""
    header, tail = found.header, found.tail
    entries = header.tree.map
    if disk[header.root].cache != header.tree:
        raise RefusedError("the tree is damaged")
    for _, record in found.chain:
        entries = changed(entries, record.changes)
    chain = frozenset(at for at, _ in found.chain)
    reached = tuple(_reach(disk, disk[at].cache) for at in HEADERS)
    return Memory(
        header.epoch,
        life,
        tail.sequence,
        tail.tag,
        entries,
        tail.places,
        chain,
        header.checkpoint,
        (reached[0], reached[1]),
    )


def _reach(disk: Disk, header: Value) -> frozenset[int]:
    if not isinstance(header, Header):
        return frozenset()
    chain = (at for at, _ in follow(disk, header).chain)
    return frozenset({header.root, *header.places, *chain, *(entry[0] for entry in header.tree.map if entry)})


def opening(rules: Rules) -> tuple[Op, ...]:
    first = (Op("look"), Op("sync"), Op("sync anchor")) if rules.sync_in_recovery else (Op("look"),)
    return (*first, Op("decide"))


def decide(w: World, rules: Rules) -> World:
    """Steps 6 (the second look) to 8."""
    disk, found = w.disk, scan(w.disk, rules)
    if rules.evict_in_recovery:
        disk = evict(disk, _touched(found))
        found = scan(disk, rules)
    m = remember(disk, found, w.life)
    content = content_of(m.map)
    known = {w.truth.acknowledged, *w.truth.in_flight, *w.truth.past}
    if content not in known:
        raise LossError(f"opened {content}; one of {known} was expected")
    if rules.keep_what_the_tail_freed and not rules.sync_in_recovery:
        m = m._replace(chain=m.chain | {slot for _, record in found.chain for _, slot, _ in record.changes})
    ops = plan_checkpoint(m, rules, recovering=True)
    if ops is None:
        raise LossError("no slot is left for a recovery")
    if not rules.leave_the_tail_in_place:
        ops = (*(Op("write", at, record) for at, record in found.chain), Op("sync"), *ops)
    # With step 6 the decision is final here (F-19); without it, or under replays, only once the store is open.
    final = rules.sync_in_recovery and not w.written
    truth = w.truth._replace(acknowledged=content, in_flight=()) if final else w.truth
    return w._replace(disk=disk, ops=ops, truth=truth)


# -- what can happen ---------------------------------------------------------------------------------------------------

COMMITS: Final = (((0,), False, True), ((0,), False, False), ((0, 1), False, False), ((0, 1), True, True))
"""Pages of a commit, whether they are synced before its record, and whether it writes the watermark (F-26)."""


def successors(w: World, rules: Rules) -> Iterator[World]:
    """Yield every world that can follow; raise LossError if an invariant breaks on the way."""
    if not w.disk:
        return
    if w.ops:
        yield step(w, rules)
        if w.ops[0].kind.startswith("sync") and w.left.failed_syncs:
            left = w.left._replace(failed_syncs=w.left.failed_syncs - 1)
            for disk in failed_sync(w.disk):
                yield from killed(w._replace(disk=disk, left=left))
    elif w.memory is None:
        yield from _replays(w)
        yield w._replace(ops=opening(rules))
    else:
        yield from _commands(w, w.memory, rules)
    if w.left.crashes and (w.memory or w.ops):
        left = w.left._replace(crashes=w.left.crashes - 1)
        yield from killed(w._replace(left=left))
        for disk in power_loss(w.disk):
            yield w._replace(disk=disk, memory=None, ops=(), left=left, life=w.life + 1)


def killed(w: World) -> Iterator[World]:
    for disk in cache_pressure(w.disk):
        yield w._replace(disk=disk, memory=None, ops=(), life=w.life + 1)


def step(w: World, rules: Rules) -> World:
    op, rest = w.ops[0], w._replace(ops=w.ops[1:])
    if op.kind == "write":
        assert not isinstance(op.value, Memory)
        written = w.written | {op.value} if w.written else w.written
        return rest._replace(disk=put(w.disk, op.block, op.value), written=written)
    if op.kind in ("sync", "sync anchor"):
        return rest._replace(disk=sync(w.disk, op.kind == "sync anchor"))
    if op.kind == "acknowledge":
        now = w.truth.in_flight[-1]
        return rest._replace(truth=Truth(now, (), w.truth.past | {now} if w.written else w.truth.past))
    if op.kind == "become":
        assert isinstance(op.value, Memory)
        truth = w.truth._replace(acknowledged=content_of(op.value.map), in_flight=())
        return _read_all(rest._replace(memory=op.value, truth=truth))
    try:
        if op.kind == "decide":
            return decide(rest, rules)
        scan(w.disk, rules)
    except RefusedError as error:
        return _found_damage(w, f"the opening was refused: {error}")
    return rest


def _read_all(w: World) -> World:
    """Invariant 3: every page of the map is where the map says, in the cache and on the disk."""
    assert w.memory is not None
    for entry in w.memory.map:
        if entry and not w.disk[entry[0]].disk == w.disk[entry[0]].cache == entry[1]:
            return _found_damage(w, f"slot {entry[0]} does not hold {entry[1]}")
    return w


def _found_damage(w: World, what: str) -> World:
    """Legal only if somebody did damage: then the story ends here."""
    if not w.written:
        raise LossError(what)
    return w._replace(disk=(), memory=None, ops=(), written=frozenset())


def _commands(w: World, m: Memory, rules: Rules) -> Iterator[World]:
    if w.left.commits:
        for commit in COMMITS:
            if world := _commit(w, m, [commit], rules):
                yield world
    if w.left.commits > 1 and not rules.one_record_in_flight:
        for first, second in product(COMMITS, repeat=2):
            if world := _commit(w, m, [first, second], rules):
                yield world
    if w.left.checkpoints and (ops := plan_checkpoint(m, rules)):
        yield w._replace(ops=ops, left=w.left._replace(checkpoints=w.left.checkpoints - 1))


def _commit(w: World, m: Memory, commits: list[tuple[tuple[int, ...], bool, bool]], rules: Rules) -> World | None:
    ops: tuple[Op, ...] = ()
    contents: tuple[Content, ...] = ()
    for pages, flag, _ in commits:
        if (plan := plan_commit(m, pages, flag, rules)) is None:
            return None
        ops, m = (*ops, *plan[0]), plan[1]
        contents = (*contents, content_of(m.map))
    left = w.left._replace(commits=w.left.commits - len(commits))
    ops = (*ops, *finish_commit(m, commits[-1][2], rules))
    return w._replace(ops=ops, truth=w.truth._replace(in_flight=contents), left=left)


def _replays(w: World) -> Iterator[World]:
    """Somebody with access to the disk puts a block that was written at any time into any slot (F-3)."""
    if not w.left.replays:
        return
    left = w.left._replace(replays=w.left.replays - 1)
    for slot, value in product(range(SLOTS), w.written):
        if value is not None and w.disk[slot].cache != value:
            disk = (*w.disk[:slot], Block(value, value), *w.disk[slot + 1 :])
            yield w._replace(disk=disk, left=left)


# -- exploring ---------------------------------------------------------------------------------------------------------


def first_world(budget: Budget) -> World:
    tree = Tree(0, 0, (None,) * PAGES)
    header = Header(0, 0, 0, (0, 0), 0, tree, (1, 2))
    values: dict[int, Value] = {0: tree, HEADERS[0]: header, WATERMARK: Mark(0, 0, (0, 0)), ANCHOR: Mark(0, 0, (0, 0))}
    disk = tuple(Block(values.get(at), values.get(at)) for at in range(BLOCKS))
    reached = (frozenset({0, 1, 2}), frozenset[int]())
    memory = Memory(0, 0, 0, (0, 0), tree.map, (1, 2), frozenset(), 0, reached)
    written: frozenset[Value] = frozenset({None}) if budget.replays else frozenset()
    past = frozenset({content_of(tree.map)}) if budget.replays else frozenset[Content]()
    return World(disk, memory, (), Truth(content_of(tree.map), (), past), budget, 0, written)


def explore(budget: Budget, rules: Rules) -> int:
    """Visit every world within `budget`; return how many there are. Raises LossError with the first that is wrong."""
    start = first_world(budget)
    seen, queue = {start}, deque([start])
    while queue:
        for world in successors(queue.popleft(), rules):
            if world not in seen:
                seen.add(world)
                queue.append(world)
    return len(seen)
