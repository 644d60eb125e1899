"""The tables of projects, in the same metadata as those of clusters. What rows mean is left to who uses them.

Invariants:
1. Times are nanoseconds since 1970 on the control plane's clock.
2. Whatever the API names has an id of 24 hexadecimal digits (`keystore.projects.ids`).
3. A secret is in a column `sealed` or is a hash; nowhere else, and never in JSON.
4. Names meet none of DBOS's, which on SQLite lie in the same file.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
)

from keystore.control.tables import METADATA, NUMBER

ID = String(24)
PROVIDER = String(8)
URI = String(2048)
TIME = BigInteger

organizations = Table(
    "organizations",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("name", String(64), nullable=False),
    Column("created_ns", TIME, nullable=False),
)

projects = Table(
    "projects",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("organization_id", ForeignKey("organizations.id"), nullable=False),
    Column("name", String(64), nullable=False),
    Column("created_ns", TIME, nullable=False),
)

Index("project_name_once", projects.c.organization_id, projects.c.name, unique=True)

users = Table(
    "users",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("email", String(254), nullable=False, unique=True),
    Column("name", String(128), nullable=False),
    Column("created_ns", TIME, nullable=False),
)
"""People, to whom mail goes. They have no password here: the API is used with keys."""

api_keys = Table(
    "api_keys",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("organization_id", ForeignKey("organizations.id"), nullable=False),
    Column("public_key", String(32), nullable=False, unique=True),
    Column("private_hash", LargeBinary(32), nullable=False),
    Column("description", String(250), nullable=False),
    Column("created_ns", TIME, nullable=False),
)

grants = Table(
    "grants",
    METADATA,
    Column("principal_kind", String(4), primary_key=True),
    Column("principal_id", ID, primary_key=True),
    Column("scope_kind", String(7), primary_key=True),
    Column("scope_id", ID, primary_key=True),
    Column("role", String(40), primary_key=True),
)
"""Who has which role where: `principal_kind` is user or key, `scope_kind` is org or project."""

Index("grants_by_scope", grants.c.scope_kind, grants.c.scope_id)

events = Table(
    "events",
    METADATA,
    Column("seq", NUMBER, primary_key=True, autoincrement=True),
    Column("id", ID, nullable=False, unique=True),
    Column("organization_id", ID, nullable=True),
    Column("project_id", ID, nullable=True),
    Column("deployment_id", ID, nullable=True),
    Column("type", String(96), nullable=False),
    Column("at_ns", TIME, nullable=False),
    Column("actor", String(64), nullable=False),
    Column("detail", JSON, nullable=False),
)
"""Never changed or deleted. `actor` is the public half of an API key, or `system`."""

Index("events_of_project", events.c.project_id, events.c.seq)
Index("events_of_organization", events.c.organization_id, events.c.seq)

configurations = Table(
    "configurations",
    METADATA,
    Column("project_id", ForeignKey("projects.id"), primary_key=True),
    Column("provider", PROVIDER, primary_key=True),
    Column("fields", JSON, nullable=False),
    Column("credential_id", ForeignKey("credentials.id"), nullable=False),
    Column("key_uri", URI, nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", String(1024), nullable=False),
    Column("error_code", String(96), nullable=True),
    Column("checked_ns", TIME, nullable=True),
    Column("since_ns", TIME, nullable=False),
    Column("rotated_ns", TIME, nullable=False),
    Column("revision", Integer, nullable=False),
)
"""A project's key at a provider. `fields` are the public ones; `state` is valid, invalid or unreachable, since
`since_ns`; `rotated_ns` is when the key was set, or its last change completed; `revision` grows with each save."""

credentials = Table(
    "credentials",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False),
    Column("provider", PROVIDER, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("created_ns", TIME, nullable=False),
    Column("retired_ns", TIME, nullable=True),
)
"""Kept after they were replaced, as long as a snapshot names them."""

checks = Table(
    "checks",
    METADATA,
    Column("id", NUMBER, primary_key=True, autoincrement=True),
    Column("project_id", ID, nullable=False),
    Column("provider", PROVIDER, nullable=False),
    Column("due_ns", TIME, nullable=True),
    Column("checked_ns", TIME, nullable=False),
    Column("cause", String(16), nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("error_code", String(96), nullable=True),
    Column("reason", String(1024), nullable=False),
    Column("address", String(64), nullable=True),
)
"""`cause` is scheduled (only these have `due_ns`), save, demand or try_again; `address` is where it was asked from."""

Index("check_once", checks.c.project_id, checks.c.provider, checks.c.due_ns, unique=True)
Index("checks_by_time", checks.c.checked_ns)

deployments = Table(
    "deployments",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False),
    Column("name", String(64), nullable=False),
    Column("cluster_id", ForeignKey("clusters.id"), nullable=True),
    Column("cloud", PROVIDER, nullable=False),
    Column("region", String(64), nullable=False),
    Column("tier", String(16), nullable=False),
    Column("disk_gb", Integer, nullable=False),
    Column("version", String(32), nullable=False),
    Column("size", Integer, nullable=False),
    Column("provider", PROVIDER, nullable=False),
    Column("backup_enabled", Boolean, nullable=False),
    Column("backup_type", String(8), nullable=False),
    Column("pit_enabled", Boolean, nullable=False),
    Column("life", String(16), nullable=False),
    Column("disabled_by", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", String(1024), nullable=False),
    Column("disabled_since_ns", TIME, nullable=True),
    Column("paused", Boolean, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("wakes", Integer, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("created_ns", TIME, nullable=False),
    Column("terminated_ns", TIME, nullable=True),
)
"""What a customer calls a cluster; `provider` is who manages its keys, NONE while customer keys are off. Its processes
are those of the cluster `cluster_id`, which is named by the deployment's id."""

_LIVING = deployments.c.terminated_ns.is_(None)
Index(
    "deployment_name_once",
    deployments.c.project_id,
    deployments.c.name,
    unique=True,
    sqlite_where=_LIVING,
    postgresql_where=_LIVING,
)

drafts = Table(
    "drafts",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("deployment_id", ForeignKey("deployments.id"), nullable=False),
    Column("base_revision", Integer, nullable=False),
    Column("change", JSON, nullable=False),
    Column("created_ns", TIME, nullable=False),
)

changes = Table(
    "changes",
    METADATA,
    Column("seq", NUMBER, primary_key=True, autoincrement=True),
    Column("deployment_id", ForeignKey("deployments.id"), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("change", JSON, nullable=False),
    Column("state", String(16), nullable=False),
    Column("actor", String(64), nullable=False),
    Column("submitted_ns", TIME, nullable=False),
    Column("applied_ns", TIME, nullable=True),
    Column("operation_id", ForeignKey("operations.id"), nullable=True),
    Column("reason", String(1024), nullable=False),
)
"""Updates of deployments in the order in which they were submitted; `state` is queued, applying, applied or failed."""

Index("changes_of_deployment", changes.c.deployment_id, changes.c.seq)

node_addresses = Table(
    "node_addresses",
    METADATA,
    Column("deployment_id", ForeignKey("deployments.id"), primary_key=True),
    Column("member", String(64), primary_key=True),
    Column("since_ns", TIME, primary_key=True, autoincrement=False),
    Column("address", String(64), nullable=False, unique=True),
    Column("released_ns", TIME, nullable=True),
)
"""Addresses from which nodes call a KMS, for the access lists of customers."""

addresses = Table(
    "addresses",
    METADATA,
    Column("kind", String(16), primary_key=True),
    Column("address", String(64), primary_key=True),
    Column("since_ns", TIME, primary_key=True, autoincrement=False),
    Column("released_ns", TIME, nullable=True),
)
"""The control plane's own; `kind` is control."""

snapshots = Table(
    "snapshots",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False),
    Column("deployment_id", ForeignKey("deployments.id"), nullable=False),
    Column("member", String(64), nullable=True),
    Column("node_snapshot_id", String(64), nullable=True),
    Column("location", String(1024), nullable=True),
    Column("type", String(16), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("key_uri", URI, nullable=True),
    Column("credential_id", ForeignKey("credentials.id"), nullable=True),
    Column("provider", PROVIDER, nullable=False),
    Column("created_ns", TIME, nullable=False),
    Column("expires_ns", TIME, nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", String(1024), nullable=False),
    Column("description", String(250), nullable=False),
    Column("version", String(32), nullable=False),
    Column("stored_bytes", BigInteger, nullable=False),
)
"""`key_uri` and `credential_id` are those of its moment, null where customer keys were off; `version` is that of the
deployment then."""

Index("snapshots_of_deployment", snapshots.c.deployment_id, snapshots.c.created_ns)

restore_jobs = Table(
    "restore_jobs",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False),
    Column("deployment_id", ForeignKey("deployments.id"), nullable=False),
    Column("snapshot_id", ID, nullable=False),
    Column("target_project_id", ForeignKey("projects.id"), nullable=True),
    Column("target_deployment_id", ForeignKey("deployments.id"), nullable=True),
    Column("delivery", String(16), nullable=False),
    Column("point_ns", TIME, nullable=True),
    Column("credential", String(64), nullable=False),
    Column("restored", JSON, nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", String(1024), nullable=False),
    Column("created_ns", TIME, nullable=False),
    Column("finished_ns", TIME, nullable=True),
)
"""A job outlives its snapshot. `credential` is what the key was asked with, `restored` the members that have it."""

schedules = Table(
    "schedules",
    METADATA,
    Column("deployment_id", ForeignKey("deployments.id"), primary_key=True),
    Column("reference_hour", Integer, nullable=False),
    Column("reference_minute", Integer, nullable=False),
    Column("restore_window_days", Integer, nullable=False),
    Column("policies", JSON, nullable=False),
    Column("since_ns", TIME, nullable=False),
)
"""`since_ns` is from when on its occurrences count."""

alert_configs = Table(
    "alert_configs",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False),
    Column("event_type", String(96), nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("threshold", JSON(none_as_null=True), nullable=True),
    Column("notifications", JSON, nullable=False),
    Column("created_ns", TIME, nullable=False),
    Column("updated_ns", TIME, nullable=False),
)

Index("alert_config_once", alert_configs.c.project_id, alert_configs.c.event_type, unique=True)

alerts = Table(
    "alerts",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("config_id", ID, nullable=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False),
    Column("deployment_id", ID, nullable=True),
    Column("provider", PROVIDER, nullable=True),
    Column("subject", String(40), nullable=False),
    Column("type", String(96), nullable=False),
    Column("state", String(8), nullable=False),
    Column("opened_ns", TIME, nullable=False),
    Column("closed_ns", TIME, nullable=True),
    Column("detail", JSON, nullable=False),
)
"""`subject` is what it is about, provider and deployment in one text: one alert of a type is open for each."""

_OPEN = alerts.c.state == "OPEN"
Index(
    "one_open_alert",
    alerts.c.project_id,
    alerts.c.type,
    alerts.c.subject,
    unique=True,
    sqlite_where=_OPEN,
    postgresql_where=_OPEN,
)

mails = Table(
    "mails",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False),
    Column("recipient", String(254), nullable=False),
    Column("subject", String(250), nullable=False),
    Column("body", Text, nullable=False),
    Column("created_ns", TIME, nullable=False),
    Column("sent_ns", TIME, nullable=True),
    Column("tries", Integer, nullable=False),
)

Index("mails_of_project", mails.c.project_id, mails.c.created_ns)

usage_lines = Table(
    "usage_lines",
    METADATA,
    Column("id", NUMBER, primary_key=True, autoincrement=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False),
    Column("deployment_id", ForeignKey("deployments.id"), nullable=True),
    Column("kind", String(32), nullable=False),
    Column("from_ns", TIME, nullable=False),
    Column("to_ns", TIME, nullable=True),
)
"""What is charged for, from when to when; `to_ns` is null while it goes on."""
