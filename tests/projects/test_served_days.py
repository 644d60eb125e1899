"""Four virtual hours of a real control process, tick by tick, killed and started again all the while: no check is
skipped or doubled, a key that goes and comes back is noticed at the tick, and no update is lost where two share the
work. `tests/soak/test_year_of_checks.py` has 400 days.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psycopg
import psycopg.sql
import pytest

from keystore.projects.validation import VALIDATION_JOB
from kms_emulator.embedded import KmsEmulator
from tests.agents.running import wait_until
from tests.control.conftest import postgres as postgres
from tests.control.postgres import Postgres
from tests.mail_server import Mailbox, serve_mail
from tests.projects.providers import NEEDED
from tests.projects.served import Served
from tests.projects.ticking import assert_told_once, run_ticks

UPDATES = 12


@pytest.mark.row("R37", "R39", "R45", "R48", "R49", "R50", "R51", "R52", "R56", "R57", "N4")
def test_hours_of_a_process_that_is_killed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'control.db'}"
    with (
        KmsEmulator(strict_auth=True) as kms,
        serve_mail() as mailbox,
        closing(Served(tmp_path, kms, url, mailbox.address)) as served,
    ):
        run_ticks(served, ticks=16, kill_every=4, revoked=(5,))
        assert_told_once(served, mailbox, 1)


@pytest.mark.row("R40", "R45", "R49", "R53", "R57", "R74")
def test_two_processes_share_the_work_and_one_is_killed(tmp_path: Path, postgres: Postgres) -> None:
    url = postgres.create_database()
    with (
        KmsEmulator(strict_auth=True) as kms,
        serve_mail() as mailbox,
        closing(Served(tmp_path, kms, url, mailbox.address, ("one", "two"))) as served,
    ):
        served.configure_and_create()
        served.wait_for("IDLE")
        path = f"{served.project}/clusters/orders"

        def update(number: int) -> int:
            if number == UPDATES // 2:
                served.kill("two")
            return served.api.patch(path, {"diskSizeGB": 100 + number}).status

        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(update, range(UPDATES))) == [202] * UPDATES
        served.cloud.lose_credentials()
        served.tick()
        served.wait_for("DISABLED")
        wait_until(lambda: served.states() == {"stopped"}, "the end of every process")
        served.cloud.grant(*NEEDED["AWS"])
        credentials = served.cloud.new_credentials()
        assert served.api.patch(f"{served.project}/encryptionAtRest", {"awsKms": credentials}).status == 200
        served.wait_for("IDLE")  # each host was given the new ones
        assert served.states() == {"running"}
        served.tick()
        wait_until(lambda: not served.cluster()["pendingChanges"], "the changes")
        applied = [change for change in served.api.get(f"{path}/changes").body["results"] if change["kind"] == "update"]
        assert [change["state"] for change in applied] == ["applied"] * UPDATES
        assert sorted(change["change"]["diskSizeGB"] for change in applied) == list(range(100, 100 + UPDATES))
        assert served.cluster()["diskSizeGB"] == applied[-1]["change"]["diskSizeGB"]
        times = served.scheduled()
        assert len(times) == len(set(times)) == 2
        assert_told_once(served, mailbox, 1)
        assert_secret_nowhere(served, mailbox, url, credentials["secretAccessKey"])


def assert_secret_nowhere(served: Served, mailbox: Mailbox, url: str, new: str) -> None:
    """Make sure that neither what a customer gave nor what lets a caller in is in what processes leave behind."""
    secrets = [served.cloud.block()["secretAccessKey"], new, served.key["privateKey"]]
    kept = {path: path.read_bytes() for path in served.folder.rglob("*") if path.is_file()}
    assert {"one.log", "two.log"} <= {path.name for path in kept}
    mails = "".join(str(mail) for mail in mailbox.taken)
    rows = list(all_rows(url))
    assert any("CLUSTER_INSTANCE_DISABLED" in row for row in rows)
    assert any(VALIDATION_JOB in row for row in rows)
    for secret in secrets:
        assert not [path for path, content in kept.items() if secret.encode() in content]
        assert secret not in mails
        assert not [row for row in rows if secret in row or secret.encode().hex() in row]


def all_rows(url: str) -> Iterator[str]:
    """Give every row of every table of a database, those of the workflows too, with bytes in hexadecimal."""
    tables = "SELECT table_schema, table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE'"
    ours = "AND table_schema NOT IN ('pg_catalog', 'information_schema')"
    with psycopg.connect(url) as connection:
        for schema, table in connection.execute(f"{tables} {ours}").fetchall():
            name = psycopg.sql.Identifier(schema, table)
            rows = connection.execute(psycopg.sql.SQL("SELECT each::text FROM {} AS each").format(name))
            yield from (text for (text,) in rows)
