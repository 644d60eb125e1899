"""Days of a project whose key goes and comes back, tick by tick, served by a process that is killed all the while."""

from collections.abc import Collection
from itertools import pairwise

from keystore.projects.validation import INTERVAL_NS
from tests.agents.running import wait_until
from tests.mail_server import Mailbox
from tests.projects.ordering import order_patch, order_updates, require_applied
from tests.projects.served import Served

TICKS_OF_A_DAY = 96
TICKS_REVOKED = 5
TIERS = ("M10", "M30")


def run_ticks(served: Served, ticks: int, kill_every: int, revoked: Collection[int]) -> None:
    """Let a cluster be made, and checks come due, one by one; each is there once, and what it found has its effect.

    Args:
        kill_every: after how many ticks the process is killed, each time at another point of a check.
        revoked: ticks before which the key is disabled, for `TICKS_REVOKED` ticks.
    """
    served.configure_and_create()
    served.kill("one")  # in the middle of its making
    served.start("one")
    served.wait_for("IDLE")
    disable, enable = served.cloud.ways["disable"]
    disk_gb, lost = served.cluster()["diskSizeGB"], 0
    for tick in range(ticks):
        if tick in revoked:
            disable()
            _see_nothing_stop(served)
        if tick - TICKS_REVOKED in revoked:
            enable()
        kills, left = divmod(tick, kill_every)
        served.tick("" if left else "one", kills)
        assert {later - former for former, later in pairwise(served.scheduled()[-2:])} <= {INTERVAL_NS}
        if tick in revoked:
            lost += 1
            served.wait_for("DISABLED")
            wait_until(lambda: served.states() == {"stopped"}, "the end of every process")
            order_updates(served, disk_gb + 10 * lost, TIERS[lost % 2])
            order_patch(served, f"7.0.{lost}")
        if tick - TICKS_REVOKED in revoked:
            served.wait_for("IDLE")
            assert served.states() == {"running"}
            require_applied(served, disk_gb + 10 * lost, TIERS[lost % 2], updates=3 * lost)
    times = served.scheduled()
    assert len(times) == ticks
    assert {later - former for former, later in pairwise(times)} == {INTERVAL_NS}
    assert served.starts == 2 + len(range(0, ticks, kill_every))


def _see_nothing_stop(served: Served) -> None:
    """Look at a key that is disabled, before the next check: it is told as invalid, and every process runs."""
    assert served.api.get(f"{served.project}/encryptionAtRest").body["awsKms"]["valid"] is False
    assert (served.cluster()["stateName"], served.states()) == ("IDLE", {"running"})


def assert_told_once(served: Served, mailbox: Mailbox, revocations: int) -> None:
    """Make sure that each event and each mail came once for every time that the key was gone."""

    def listings() -> int:
        return sum("orders" in str(mail.get_payload()) for mail in mailbox.taken)

    told = served.events()
    for name in ("CLUSTER_INSTANCE_DISABLED", "CLUSTER_INSTANCE_RESTARTED", "CLUSTER_INSTANCE_ENABLED"):
        assert told.count(name) == revocations
    wait_until(lambda: listings() >= revocations, "the mail")
    assert listings() == revocations
    identities = [mail["Message-ID"] for mail in mailbox.taken]
    assert len(set(identities)) == len(identities)
