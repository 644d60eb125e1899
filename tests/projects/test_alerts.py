"""Alerts: opened once, closed once, by configuration and by the clock of a key."""

import pytest
import sqlalchemy as sa

from keystore.control.database import Database
from keystore.projects.access import Role
from keystore.projects.alert_configs import (
    Wanted,
    change_config,
    config_for,
    create_provider_configs,
    delete_config,
    list_configs,
)
from keystore.projects.alert_types import CONFIG_NO_LONGER_VALID, NETWORK_ACCESS_DENIED, needs_rotation
from keystore.projects.alerts import (
    CLOSED,
    DAY_NS,
    OPEN,
    close_alert,
    complete_rotation,
    evaluate_rotation_alert,
    follow_config,
    forget_provider,
    list_alerts,
    raise_alert,
)
from keystore.projects.events import list_events
from keystore.projects.mail import list_mails
from keystore.projects.tables import configurations
from tests.projects.founding import FOUNDED_NS, Founded, add_configuration, add_person, found_project

TICK_NS = 900 * 10**9
AWS_ROTATION = needs_rotation("AWS")


@pytest.fixture
def founded(database: Database) -> Founded:
    founded = found_project(database)
    add_person(database, founded.project_id, "owner@example.org", Role.GROUP_OWNER)
    add_person(database, founded.project_id, "reader@example.org", Role.GROUP_READ_ONLY)
    return founded


def _configure(database: Database, founded: Founded, provider: str = "AWS") -> None:
    add_configuration(database, founded.project_id, provider)
    with database.write() as connection:
        create_provider_configs(connection, founded.project_id, provider, FOUNDED_NS)


def _evaluate(database: Database, now_ns: int) -> list[str]:
    """Look at every key as a check does, and return the alerts that are open then."""
    with database.write() as connection:
        for row in connection.execute(sa.select(configurations)).all():
            evaluate_rotation_alert(connection, row, now_ns)
        project_id = connection.scalar(sa.select(configurations.c.project_id))
        return [f"{alert.provider}: {alert.type}" for alert in list_alerts(connection, str(project_id), OPEN)]


def _set(database: Database, founded: Founded, now_ns: int, days: int | None = None, *, enabled: bool = True) -> None:
    with database.write() as connection:
        found = config_for(connection, founded.project_id, AWS_ROTATION)
        assert found is not None
        wanted = Wanted(AWS_ROTATION, enabled, days or found.threshold_days, found.notifications)
        change_config(connection, founded.project_id, found.id, wanted, "me", now_ns)
        follow_config(connection, founded.project_id, AWS_ROTATION, now_ns)


def _types(database: Database, founded: Founded) -> list[str]:
    with database.read() as connection:
        found, _ = list_events(connection, project_id=founded.project_id)
    return [event.type for event in reversed(found) if "ENCRYPTION" in event.type]


def test_an_alert_is_open_once_and_closes_once(database: Database, founded: Founded) -> None:
    where = (founded.project_id, NETWORK_ACCESS_DENIED)
    with database.write() as connection:
        first = raise_alert(connection, *where, 1, provider="AWS", detail={"reason": "timed out"})
        assert first is not None
        assert raise_alert(connection, *where, 2, provider="AWS") is None
        assert raise_alert(connection, *where, 3, provider="GCP") is not None
        assert close_alert(connection, *where, 4, provider="AWS")
        assert not close_alert(connection, *where, 5, provider="AWS")
        assert raise_alert(connection, *where, 6, provider="AWS") not in (None, first)
        states = [(alert.provider, alert.state, alert.opened_ns) for alert in list_alerts(connection, where[0])]
        mails = [(mail.recipient, mail.subject) for mail in list_mails(connection, founded.project_id)]
    assert states == [("AWS", OPEN, 6), ("GCP", OPEN, 3), ("AWS", CLOSED, 1)]
    restored = "ENCRYPTION_AT_REST_KMS_NETWORK_ACCESS_RESTORED"
    denied = NETWORK_ACCESS_DENIED
    assert _types(database, founded) == [denied, denied, restored, denied]
    said = "project: The key management service cannot be reached from the control plane"
    assert mails == [("owner@example.org", f"[{state}] {said}") for state in ("OPEN", "OPEN", "CLOSED", "OPEN")]


def test_a_new_project_has_the_configurations_that_every_project_needs(database: Database, founded: Founded) -> None:
    with database.read() as connection:
        found = {config.event_type: config.enabled for config in list_configs(connection, founded.project_id)}
    assert found == {NETWORK_ACCESS_DENIED: True, CONFIG_NO_LONGER_VALID: True}


def test_without_a_configuration_that_is_enabled_nothing_opens(database: Database, founded: Founded) -> None:
    with database.write() as connection:
        assert raise_alert(connection, founded.project_id, AWS_ROTATION, 1, provider="AWS") is None
        config = config_for(connection, founded.project_id, NETWORK_ACCESS_DENIED)
        assert config is not None
        delete_config(connection, founded.project_id, config.id, "me", 1)
        assert raise_alert(connection, founded.project_id, NETWORK_ACCESS_DENIED, 2) is None
    assert _types(database, founded) == []


@pytest.mark.row("R31", "N8")
def test_a_key_is_told_of_at_the_first_check_after_ninety_days(database: Database, founded: Founded) -> None:
    _configure(database, founded)
    assert _evaluate(database, FOUNDED_NS + 89 * DAY_NS) == []
    assert _evaluate(database, FOUNDED_NS + 90 * DAY_NS) == []
    assert _evaluate(database, FOUNDED_NS + 90 * DAY_NS + TICK_NS) == [f"AWS: {AWS_ROTATION}"]
    assert _evaluate(database, FOUNDED_NS + 90 * DAY_NS + 2 * TICK_NS) == [f"AWS: {AWS_ROTATION}"]
    assert _types(database, founded) == [AWS_ROTATION]
    with database.read() as connection:
        mails = list_mails(connection, founded.project_id)
    said = "AWS encryption key elapsed time since last rotation is above 90 days"
    assert [(mail.recipient, mail.subject) for mail in mails] == [("owner@example.org", f"[OPEN] project: {said}")]


@pytest.mark.row("R32")
def test_the_threshold_can_be_edited_and_the_alert_disabled(database: Database, founded: Founded) -> None:
    _configure(database, founded)
    at = FOUNDED_NS + 100 * DAY_NS
    assert _evaluate(database, at) == [f"AWS: {AWS_ROTATION}"]
    _set(database, founded, at, days=365)
    assert _evaluate(database, at) == []
    assert _evaluate(database, FOUNDED_NS + 365 * DAY_NS) == []
    assert _evaluate(database, FOUNDED_NS + 365 * DAY_NS + TICK_NS) == [f"AWS: {AWS_ROTATION}"]
    _set(database, founded, at, days=365, enabled=False)
    with database.read() as connection:
        assert list_alerts(connection, founded.project_id, OPEN) == []
    assert _evaluate(database, FOUNDED_NS + 1000 * DAY_NS) == []
    _set(database, founded, FOUNDED_NS + 1000 * DAY_NS, days=1)
    with database.read() as connection:
        assert len(list_alerts(connection, founded.project_id, OPEN)) == 1
    # Nobody changed the key, and no event says so.
    assert set(_types(database, founded)) == {AWS_ROTATION}


@pytest.mark.row("R33", "R34", "N7")
def test_only_a_completed_change_of_the_key_starts_its_clock_anew(database: Database, founded: Founded) -> None:
    _configure(database, founded)
    opened = FOUNDED_NS + 91 * DAY_NS
    assert _evaluate(database, opened) == [f"AWS: {AWS_ROTATION}"]
    # Whatever happens to the row in between, rotation in the KMS among it, the alert stays.
    with database.write() as connection:
        connection.execute(configurations.update().values(key_uri="aws://us-east-1/other", revision=2))
    assert _evaluate(database, opened + DAY_NS) == [f"AWS: {AWS_ROTATION}"]
    done = opened + 2 * DAY_NS
    with database.write() as connection:
        complete_rotation(connection, founded.project_id, "AWS", done)
    assert _evaluate(database, done) == []
    assert _evaluate(database, done + 90 * DAY_NS) == []
    assert _evaluate(database, done + 90 * DAY_NS + TICK_NS) == [f"AWS: {AWS_ROTATION}"]
    assert _types(database, founded) == [AWS_ROTATION, "AWS_ENCRYPTION_KEY_ROTATED", AWS_ROTATION]


def test_a_change_before_the_alert_is_written_down_too(database: Database, founded: Founded) -> None:
    _configure(database, founded)
    with database.write() as connection:
        complete_rotation(connection, founded.project_id, "AWS", FOUNDED_NS + DAY_NS)
    assert _types(database, founded) == ["AWS_ENCRYPTION_KEY_ROTATED"]


def test_providers_have_clocks_of_their_own(database: Database, founded: Founded) -> None:
    for provider in ("AWS", "AZURE", "GCP"):
        _configure(database, founded, provider)
    at = FOUNDED_NS + 100 * DAY_NS
    assert len(_evaluate(database, at)) == 3
    with database.write() as connection:
        complete_rotation(connection, founded.project_id, "AZURE", at)
        forget_provider(connection, founded.project_id, "GCP", at)
        assert [alert.provider for alert in list_alerts(connection, founded.project_id, OPEN)] == ["AWS"]
    assert _types(database, founded).count("AZURE_ENCRYPTION_KEY_ROTATED") == 1
    assert "GCP_ENCRYPTION_KEY_ROTATED" not in _types(database, founded)


def test_a_configuration_that_was_edited_is_kept_when_the_key_comes_again(database: Database, founded: Founded) -> None:
    _configure(database, founded)
    _set(database, founded, FOUNDED_NS, days=30)
    with database.write() as connection:
        create_provider_configs(connection, founded.project_id, "AWS", FOUNDED_NS)
        found = config_for(connection, founded.project_id, AWS_ROTATION)
    assert found is not None
    assert found.threshold_days == 30
