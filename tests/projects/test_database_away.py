"""A real control process whose PostgreSQL goes away in the middle of what it does, and comes back: nothing is lost,
skipped or done twice, and the process lives.
"""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from keystore.agents.host_client import HostClient
from keystore.agents.identity import Role
from keystore.control.clusters import cluster_named
from keystore.projects.machines import Machines
from keystore.projects.outcomes import FAILED, SUCCEEDED
from keystore.projects.settings_rows import configuration_of
from keystore.projects.tables import checks
from kms_emulator.embedded import KmsEmulator
from tests.agents.running import wait_until
from tests.control.conftest import postgres as postgres
from tests.control.postgres import Postgres
from tests.mail_server import serve_mail
from tests.projects.served import Served
from tests.projects.ticking import assert_told_once


@pytest.fixture
def server(postgres: Postgres) -> Iterator[Postgres]:
    """The server of all tests, which runs again at the end, whatever happened."""
    yield postgres
    postgres.start()


@contextmanager
def asking(served: Served) -> Iterator[None]:
    """Have the KMS hang while the block runs; then it answers."""
    kms = served.cloud.kms
    kms.faults.add("hang", provider="aws")
    try:
        yield
    finally:
        kms.faults.clear()


def revision(served: Served) -> int:
    with served.database.read() as connection:
        found = configuration_of(connection, served.project.rpartition("/")[2], "AWS")
    assert found is not None
    return found.revision


def wait_for_stop(served: Served) -> None:
    """Wait until the cluster's processes are down, without the database."""
    cluster_id = served.cluster()["id"]
    tls = Machines(served.folder / "data", "").files(cluster_id).tls(Role.CONTROL, "control")
    (record, *_) = cluster_named(served.database, cluster_id).processes
    with HostClient(record.host_address, tls, record.name) as client:
        wait_until(lambda: client.status().processes[record.name].state == "stopped", "the end of its process")


@pytest.mark.row("R37", "R39", "R45", "R57")
def test_a_database_that_goes_away_in_the_middle(tmp_path: Path, server: Postgres) -> None:
    url = server.create_database()
    with (
        KmsEmulator(strict_auth=True) as kms,
        serve_mail() as mailbox,
        closing(Served(tmp_path, kms, url, mailbox.address)) as served,
        ThreadPoolExecutor(1) as pool,
    ):
        served.configure_and_create()
        served.wait_for("IDLE")
        process, encryption = served.processes["one"], f"{served.project}/encryptionAtRest"

        # In the middle of a PATCH: the KMS was asked, and what it said cannot be stored.
        before, changed, asked = revision(served), served.cloud.new_key(), served.cloud.asked()
        with asking(served):
            saving = pool.submit(served.api.patch, encryption, {"awsKms": changed})
            wait_until(lambda: served.cloud.asked() > asked, "the question")
            server.stop()
        with_nobody = saving.result(60)
        server.start()
        assert (with_nobody.status, with_nobody.code) == (503, "SERVICE_UNAVAILABLE")
        assert revision(served) == before
        assert served.api.patch(f"{served.project}/clusters/orders", {"diskSizeGB": 40}).status == 202

        # In the middle of a check, which finds the key disabled; and between the stop of the cluster and its record.
        served.cloud.ways["disable"][0]()
        asked = served.cloud.asked()
        with asking(served):
            served.clock.advance(900 * 10**9)
            wait_until(lambda: served.cloud.asked() > asked, "the question")
            server.stop()
        wait_until(lambda: served.cloud.asked() > asked + 1, "the second attempt")
        assert served.api.get(encryption).status == 503
        server.start()
        served.wait_for("DISABLED")
        wait_for_stop(served)
        server.stop()
        assert served.api.get(encryption).status == 503
        server.start()
        wait_until(lambda: len(served.scheduled()) == 1, "the record of the check")

        served.cloud.ways["disable"][1]()
        for number in range(2, 4):
            served.tick()
            assert len(set(served.scheduled())) == len(served.scheduled()) == number
        served.wait_for("IDLE")
        events = Counter(served.events())
        assert (events[FAILED], events[SUCCEEDED]) == (1, 1)
        assert_told_once(served, mailbox, 1)
        wait_until(lambda: not served.cluster()["pendingChanges"], "the change that was ordered in between")
        assert served.cluster()["diskSizeGB"] == 40
        with served.database.read() as connection:
            causes = Counter(connection.scalars(checks.select().with_only_columns(checks.c.cause)))
        assert causes["scheduled"] == 3
        assert len(mailbox.taken) == len({mail["Message-ID"] for mail in mailbox.taken})
        assert process.poll() is None
        assert served.starts == 1
