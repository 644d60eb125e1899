"""Faults on command: which call meets which one is decided here, from what the call is and what time it is.

Leaves to others: how a cloud words a fault (`wire`), and how a connection is broken (the servers).

Invariants:
1. Deterministic: the same calls at the same times meet the same faults. There is no chance in here.
2. Every fault counts the calls that its scope takes, also those that another fault ends.
3. Of several faults, delays add up, and the oldest of the others decides. Those behind it do not count as met.
"""

import ipaddress
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum

FAULTS_MAX = 1000
"""LIMIT: faults at once; every call looks at each."""

DELAY_NS_MAX = 600 * 1_000_000_000
"""LIMIT: ten minutes; the clients' own time limits are about one."""

PROVIDERS = ("aws", "azure", "gcp")


class FaultKind(Enum):
    """What happens to a call."""

    CLOSE = "close"
    """Outage: the connection is closed without an answer."""
    HANG = "hang"
    """Outage: no answer, until the caller gives up or the fault is removed."""
    UNAVAILABLE = "unavailable"
    """Outage: the cloud's 5xx answer."""
    THROTTLE = "throttle"
    """The cloud's answer to too many calls."""
    ERROR = "error"
    """An error of the cloud, by its code."""
    LATENCY = "latency"
    """The call is done, later."""
    ADDRESSES = "addresses"
    """Only the listed networks are let in; others get the cloud's network refusal."""
    EXPIRED_CREDENTIALS = "expired-credentials"
    """The cloud's answer to credentials whose time is over."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Which calls a fault is for; an empty field takes all.

    Attributes:
        key: a key or alias: its name as the cloud has it, or the last part of that.
        caller: the caller's ARN or access key id, or the last part of the ARN.
        from_ns, until_ns: the time window, on the virtual clock; the end is not in it.
    """

    provider: str = ""
    operation: str = ""
    key: str = ""
    caller: str = ""
    from_ns: int | None = None
    until_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """One rule. Of the calls in its scope it meets number `first`, then each `every`th, `count` of them in all.

    Attributes:
        count: calls that meet it; 0 means all from then on.
        delay_ns: for LATENCY.
        code, message: for ERROR, the cloud's code; the message may be empty.
        retry_after_s: for THROTTLE, where the cloud says when to come back.
        networks: for ADDRESSES, such as ``10.0.0.0/8`` or ``127.0.0.1``.
        number: given by the plan, from 1.
    """

    kind: FaultKind
    scope: Scope = Scope()
    first: int = 1
    every: int = 1
    count: int = 0
    delay_ns: int = 0
    code: str = ""
    message: str = ""
    retry_after_s: int = 1
    networks: tuple[str, ...] = ()
    number: int = 0

    def check(self) -> None:
        """ValueError, naming the field, unless the rule makes sense."""
        for wrong, text in self._rules():
            if wrong:
                raise ValueError(text)
        for network in self.networks:
            ipaddress.ip_network(network, strict=False)

    def _rules(self) -> Iterator[tuple[bool, str]]:
        scope = self.scope
        yield (
            scope.provider not in ("", *PROVIDERS),
            f"provider must be {', '.join(PROVIDERS)}, or empty for all",
        )
        yield min(self.first, self.every) < 1, "first and every must be 1 or more"
        yield self.count < 0, "count must be 0, for all calls, or more"
        yield self.retry_after_s < 0, "retry_after must be 0 seconds or more"
        ends_early = scope.from_ns is not None and scope.until_ns is not None and scope.until_ns <= scope.from_ns
        yield ends_early, "the window must end after it begins"
        for kind, given, needed in (
            (FaultKind.LATENCY, self.delay_ns != 0, "a delay"),
            (FaultKind.ERROR, self.code != "", "the cloud's error code"),
            (FaultKind.ADDRESSES, self.networks != (), "the networks that are let in"),
        ):
            yield self.kind is kind and not given, f"a fault of kind {kind.value} needs {needed}"
            yield self.kind is not kind and given, f"{needed} is only for faults of kind {kind.value}"
        yield not 0 <= self.delay_ns <= DELAY_NS_MAX, f"the delay must be 0 to {DELAY_NS_MAX // 10**9} seconds"


@dataclass(frozen=True, slots=True)
class Facts:
    """What a plan is told of a call.

    Attributes:
        keys: asked only if a fault is for a key; yields every name of every key that the request means.
        callers: ARN and access key id; none for callers who are not known.
        address: the source address; empty if there is none.
    """

    provider: str
    operation: str
    now_ns: int
    keys: Callable[[], Iterable[str]] = tuple
    callers: tuple[str, ...] = ()
    address: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a call meets: first the delay, then the fault, if any."""

    delay_ns: int = 0
    fault: Fault | None = None


@dataclass(slots=True)
class Planned:
    """A fault and what has become of it."""

    fault: Fault
    seen: int = 0
    met: int = 0

    @property
    def spent(self) -> bool:
        """Tell whether it has met all the calls that it was for."""
        return 0 < self.fault.count <= self.met


NOTHING = Verdict()


class FaultPlan:
    """The faults of one emulator, oldest first."""

    def __init__(self) -> None:
        self._planned: dict[int, Planned] = {}
        self._last_number = 0
        self._waiting: dict[int, list[Callable[[], None]]] = {}

    def __len__(self) -> int:
        return len(self._planned)

    def add(self, fault: Fault) -> Fault:
        """Add a fault and return it with its number; ValueError, naming what is wrong, if it makes no sense."""
        fault.check()
        if len(self._planned) >= FAULTS_MAX:
            raise ValueError(f"there are {FAULTS_MAX} faults already; remove some")
        self._last_number += 1
        numbered = replace(fault, number=self._last_number)
        self._planned[numbered.number] = Planned(numbered)
        return numbered

    def remove(self, number: int) -> bool:
        """Remove a fault; tell whether there was one."""
        found = self._planned.pop(number, None) is not None
        for release in self._waiting.pop(number, []):
            release()
        return found

    def clear(self) -> None:
        """Remove all; numbers begin at 1 again."""
        for number in list(self._planned):
            self.remove(number)
        self._last_number = 0

    def planned(self) -> list[Planned]:
        """Return the faults, oldest first, also those that are spent."""
        return list(self._planned.values())

    def when_removed(self, number: int, release: Callable[[], None]) -> None:
        """Call `release` once, when the fault is removed; at once if it is not there."""
        if number in self._planned:
            self._waiting.setdefault(number, []).append(release)
        else:
            release()

    def decide(self, facts: Facts) -> Verdict:
        """Return what the call meets, and count it."""
        if not self._planned:
            return NOTHING
        due = [planned for planned in self._planned.values() if _is_due(planned, facts)]
        late = [planned for planned in due if planned.fault.kind is FaultKind.LATENCY]
        deciding = next((planned for planned in due if planned not in late), None)
        for planned in (*late, *([deciding] if deciding else [])):
            planned.met += 1
        return Verdict(sum(planned.fault.delay_ns for planned in late), deciding.fault if deciding else None)


def _is_due(planned: Planned, facts: Facts) -> bool:
    """Count the call if it is in the fault's scope, and tell whether it is one that the fault is for."""
    fault = planned.fault
    if not _takes(fault.scope, facts) or _let_in(fault, facts.address):
        return False
    planned.seen += 1
    beyond = planned.seen - fault.first
    return beyond >= 0 and beyond % fault.every == 0 and not planned.spent


def _takes(scope: Scope, facts: Facts) -> bool:
    return (
        scope.provider in ("", facts.provider)
        and scope.operation in ("", facts.operation)
        and (scope.from_ns is None or scope.from_ns <= facts.now_ns)
        and (scope.until_ns is None or facts.now_ns < scope.until_ns)
        and (not scope.caller or _names(scope.caller, facts.callers))
        and (not scope.key or _names(scope.key, facts.keys()))
    )


def _names(wanted: str, names: Iterable[str]) -> bool:
    """Tell whether a name is the wanted one, or ends with it after a separator."""
    return any(name == wanted or name.endswith(("/" + wanted, ":" + wanted)) for name in names)


def _let_in(fault: Fault, address: str) -> bool:
    if fault.kind is not FaultKind.ADDRESSES or not address:
        return False
    source = ipaddress.ip_address(address)
    # How a socket that takes both families shows an IPv4 client.
    source = getattr(source, "ipv4_mapped", None) or source
    networks = (ipaddress.ip_network(network, strict=False) for network in fault.networks)
    return any(source.version == network.version and source in network for network in networks)
