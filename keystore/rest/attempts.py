"""How often somebody may be wrong about who they are: failed authentications of the last minute, in memory.

Each process counts for itself, and forgets when it ends. Requests without a key are no guess, and not counted.

Invariants:
1. Whoever is refused here costs no look into the database.
2. A key that was right from a network lately is taken from there whatever others behind the same address did; it is
   refused only for what was guessed about itself from there. So nobody locks a key out from elsewhere, although its
   public half is no secret.
3. Memory is bounded, however many addresses and keys are made up; names are no longer than those of real keys.
"""

import ipaddress
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from keystore.projects.codes import Code

WINDOW_S = 60.0
"""LIMIT: seconds for which failures count, from the first."""

NETWORK_FAILURES_MAX, KEY_FAILURES_MAX = 30, 10
"""LIMIT: failures in that time of a network, and of one key from it. A private key has 122 random bits: this is for the
database that is asked, and for what is logged elsewhere, more than for them."""

KNOWN_S = 3600.0
"""LIMIT: seconds for which a key counts as right from a network."""

KEPT_MAX = 10_000
"""LIMIT: networks and keys that are remembered; the oldest are forgotten."""

_Who = tuple[str, str]


class Attempts:
    """Counts failures; threads may share it."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s, self._lock = now_s, threading.Lock()
        self._failed: OrderedDict[_Who, tuple[float, int]] = OrderedDict()
        self._right: OrderedDict[_Who, float] = OrderedDict()

    def require_few(self, address: str, public_key: str) -> None:
        """Refuse who failed too often.

        Raises:
            ApiError: 429, with the seconds after which they may try again.
        """
        network = network_of(address)
        with self._lock:
            now = self._now_s()
            wait_s = self._wait_s((network, public_key), KEY_FAILURES_MAX, now)
            if now - self._right.get((network, public_key), -math.inf) > KNOWN_S:
                wait_s = max(wait_s, self._wait_s((network, ""), NETWORK_FAILURES_MAX, now))
        if wait_s > 0:
            raise Code.TOO_MANY_FAILED_AUTHENTICATIONS.error(str(math.ceil(wait_s)))

    def failed(self, address: str, public_key: str) -> None:
        """Count a failure."""
        network = network_of(address)
        with self._lock:
            now = self._now_s()
            for who in ((network, ""), (network, public_key)):
                since, count = self._failed.pop(who, (now, 0))
                self._failed[who] = (since, count + 1) if now - since < WINDOW_S else (now, 1)
            while len(self._failed) > KEPT_MAX:
                self._failed.popitem(last=False)

    def succeeded(self, address: str, public_key: str) -> None:
        """Remember that a key was right."""
        who = network_of(address), public_key
        with self._lock:
            self._right.pop(who, None)
            self._right[who] = self._now_s()
            while len(self._right) > KEPT_MAX:
                self._right.popitem(last=False)

    def _wait_s(self, who: _Who, failures_max: int, now: float) -> float:
        since, count = self._failed.get(who, (now, 0))
        return since + WINDOW_S - now if count >= failures_max else 0.0


def network_of(address: str) -> str:
    """Return whose an address is: of IPv6, everybody has a network of 2^64; empty for what is no address."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(found, ipaddress.IPv6Address):
        mapped = found.ipv4_mapped
        return str(mapped or ipaddress.ip_network((found, 64), strict=False))
    return str(found)
