"""Projects and what belongs to them. Alembic counts versions from here on, no column of ours."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.drop_column("control", "schema_version")
    op.add_column("clusters", sa.Column("removed_ns", sa.BigInteger(), nullable=True))
    op.create_table(
        "addresses",
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("since_ns", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("released_ns", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("kind", "address", "since_ns"),
    )
    op.create_table(
        "checks",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("project_id", sa.String(length=24), nullable=False),
        sa.Column("provider", sa.String(length=8), nullable=False),
        sa.Column("due_ns", sa.BigInteger(), nullable=True),
        sa.Column("checked_ns", sa.BigInteger(), nullable=False),
        sa.Column("cause", sa.String(length=16), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("error_code", sa.String(length=96), nullable=True),
        sa.Column("reason", sa.String(length=1024), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("check_once", "checks", ["project_id", "provider", "due_ns"], unique=True)
    op.create_index("checks_by_time", "checks", ["checked_ns"], unique=False)
    op.create_table(
        "events",
        sa.Column("seq", NUMBER, autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=24), nullable=False),
        sa.Column("organization_id", sa.String(length=24), nullable=True),
        sa.Column("project_id", sa.String(length=24), nullable=True),
        sa.Column("deployment_id", sa.String(length=24), nullable=True),
        sa.Column("type", sa.String(length=96), nullable=False),
        sa.Column("at_ns", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("id"),
    )
    op.create_index("events_of_organization", "events", ["organization_id", "seq"], unique=False)
    op.create_index("events_of_project", "events", ["project_id", "seq"], unique=False)
    op.create_table(
        "grants",
        sa.Column("principal_kind", sa.String(length=4), nullable=False),
        sa.Column("principal_id", sa.String(length=24), nullable=False),
        sa.Column("scope_kind", sa.String(length=7), nullable=False),
        sa.Column("scope_id", sa.String(length=24), nullable=False),
        sa.Column("role", sa.String(length=40), nullable=False),
        sa.PrimaryKeyConstraint("principal_kind", "principal_id", "scope_kind", "scope_id", "role"),
    )
    op.create_index("grants_by_scope", "grants", ["scope_kind", "scope_id"], unique=False)
    op.create_table(
        "organizations",
        sa.Column("id", sa.String(length=24), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "users",
        sa.Column("id", sa.String(length=24), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("email"),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(length=24), nullable=False),
        sa.Column("organization_id", sa.String(length=24), nullable=False),
        sa.Column("public_key", sa.String(length=32), nullable=False),
        sa.Column("private_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("description", sa.String(length=250), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("public_key"),
    )
    op.create_table(
        "projects",
        sa.Column("id", sa.String(length=24), nullable=False),
        sa.Column("organization_id", sa.String(length=24), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("project_name_once", "projects", ["organization_id", "name"], unique=True)
    op.create_table(
        "alert_configs",
        sa.Column("id", sa.String(length=24), nullable=False),
        sa.Column("project_id", sa.String(length=24), nullable=False),
        sa.Column("event_type", sa.String(length=96), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("threshold", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("notifications", sa.JSON(), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("updated_ns", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"],
            ["projects.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("alert_config_once", "alert_configs", ["project_id", "event_type"], unique=True)
    op.create_table(
        "alerts",
        sa.Column("id", sa.String(length=24), nullable=False),
        sa.Column("config_id", sa.String(length=24), nullable=True),
        sa.Column("project_id", sa.String(length=24), nullable=False),
        sa.Column("deployment_id", sa.String(length=24), nullable=True),
        sa.Column("provider", sa.String(length=8), nullable=True),
        sa.Column("subject", sa.String(length=40), nullable=False),
        sa.Column("type", sa.String(length=96), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("opened_ns", sa.BigInteger(), nullable=False),
        sa.Column("closed_ns", sa.BigInteger(), nullable=True),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"],
            ["projects.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "one_open_alert",
        "alerts",
        ["project_id", "type", "subject"],
        unique=True,
        sqlite_where=sa.text("state = 'OPEN'"),
        postgresql_where=sa.text("state = 'OPEN'"),
    )
    op.create_table(
        "credentials",
        sa.Column("id", sa.String(length=24), nullable=False),
        sa.Column("project_id", sa.String(length=24), nullable=False),
        sa.Column("provider", sa.String(length=8), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("retired_ns", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["project_id"],
            ["projects.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "deployments",
        sa.Column("id", sa.String(length=24), nullable=False),
        sa.Column("project_id", sa.String(length=24), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("cluster_id", NUMBER, nullable=True),
        sa.Column("cloud", sa.String(length=8), nullable=False),
        sa.Column("region", sa.String(length=64), nullable=False),
        sa.Column("tier", sa.String(length=16), nullable=False),
        sa.Column("disk_gb", sa.Integer(), nullable=False),
        sa.Column("version", sa.String(length=32), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("provider", sa.String(length=8), nullable=False),
        sa.Column("backup_enabled", sa.Boolean(), nullable=False),
        sa.Column("backup_type", sa.String(length=8), nullable=False),
        sa.Column("pit_enabled", sa.Boolean(), nullable=False),
        sa.Column("life", sa.String(length=16), nullable=False),
        sa.Column("disabled_by", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=1024), nullable=False),
        sa.Column("disabled_since_ns", sa.BigInteger(), nullable=True),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("wakes", sa.Integer(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("terminated_ns", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["cluster_id"],
            ["clusters.id"],
        ),
        sa.ForeignKeyConstraint(
            ["project_id"],
            ["projects.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "deployment_name_once",
        "deployments",
        ["project_id", "name"],
        unique=True,
        sqlite_where=sa.text("terminated_ns IS NULL"),
        postgresql_where=sa.text("terminated_ns IS NULL"),
    )
    op.create_table(
        "mails",
        sa.Column("id", sa.String(length=24), nullable=False),
        sa.Column("project_id", sa.String(length=24), nullable=False),
        sa.Column("recipient", sa.String(length=254), nullable=False),
        sa.Column("subject", sa.String(length=250), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("sent_ns", sa.BigInteger(), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"],
            ["projects.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("mails_of_project", "mails", ["project_id", "created_ns"], unique=False)
    op.create_table(
        "changes",
        sa.Column("seq", NUMBER, autoincrement=True, nullable=False),
        sa.Column("deployment_id", sa.String(length=24), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("change", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("submitted_ns", sa.BigInteger(), nullable=False),
        sa.Column("applied_ns", sa.BigInteger(), nullable=True),
        sa.Column("operation_id", NUMBER, nullable=True),
        sa.Column("reason", sa.String(length=1024), nullable=False),
        sa.ForeignKeyConstraint(
            ["deployment_id"],
            ["deployments.id"],
        ),
        sa.ForeignKeyConstraint(
            ["operation_id"],
            ["operations.id"],
        ),
        sa.PrimaryKeyConstraint("seq"),
    )
    op.create_index("changes_of_deployment", "changes", ["deployment_id", "seq"], unique=False)
    op.create_table(
        "configurations",
        sa.Column("project_id", sa.String(length=24), nullable=False),
        sa.Column("provider", sa.String(length=8), nullable=False),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.Column("credential_id", sa.String(length=24), nullable=False),
        sa.Column("key_uri", sa.String(length=2048), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=1024), nullable=False),
        sa.Column("error_code", sa.String(length=96), nullable=True),
        sa.Column("checked_ns", sa.BigInteger(), nullable=True),
        sa.Column("since_ns", sa.BigInteger(), nullable=False),
        sa.Column("rotated_ns", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["credential_id"],
            ["credentials.id"],
        ),
        sa.ForeignKeyConstraint(
            ["project_id"],
            ["projects.id"],
        ),
        sa.PrimaryKeyConstraint("project_id", "provider"),
    )
    op.create_table(
        "drafts",
        sa.Column("id", sa.String(length=24), nullable=False),
        sa.Column("deployment_id", sa.String(length=24), nullable=False),
        sa.Column("base_revision", sa.Integer(), nullable=False),
        sa.Column("change", sa.JSON(), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["deployment_id"],
            ["deployments.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "node_addresses",
        sa.Column("deployment_id", sa.String(length=24), nullable=False),
        sa.Column("member", sa.String(length=64), nullable=False),
        sa.Column("since_ns", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("released_ns", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["deployment_id"],
            ["deployments.id"],
        ),
        sa.PrimaryKeyConstraint("deployment_id", "member", "since_ns"),
        sa.UniqueConstraint("address"),
    )
    op.create_table(
        "schedules",
        sa.Column("deployment_id", sa.String(length=24), nullable=False),
        sa.Column("reference_hour", sa.Integer(), nullable=False),
        sa.Column("reference_minute", sa.Integer(), nullable=False),
        sa.Column("restore_window_days", sa.Integer(), nullable=False),
        sa.Column("policies", sa.JSON(), nullable=False),
        sa.Column("since_ns", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["deployment_id"],
            ["deployments.id"],
        ),
        sa.PrimaryKeyConstraint("deployment_id"),
    )
    op.create_table(
        "snapshots",
        sa.Column("id", sa.String(length=24), nullable=False),
        sa.Column("project_id", sa.String(length=24), nullable=False),
        sa.Column("deployment_id", sa.String(length=24), nullable=False),
        sa.Column("member", sa.String(length=64), nullable=True),
        sa.Column("node_snapshot_id", sa.String(length=64), nullable=True),
        sa.Column("location", sa.String(length=1024), nullable=True),
        sa.Column("type", sa.String(length=16), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("key_uri", sa.String(length=2048), nullable=True),
        sa.Column("credential_id", sa.String(length=24), nullable=True),
        sa.Column("provider", sa.String(length=8), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("expires_ns", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=1024), nullable=False),
        sa.Column("description", sa.String(length=250), nullable=False),
        sa.Column("version", sa.String(length=32), nullable=False),
        sa.Column("stored_bytes", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["credential_id"],
            ["credentials.id"],
        ),
        sa.ForeignKeyConstraint(
            ["deployment_id"],
            ["deployments.id"],
        ),
        sa.ForeignKeyConstraint(
            ["project_id"],
            ["projects.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("snapshots_of_deployment", "snapshots", ["deployment_id", "created_ns"], unique=False)
    op.create_table(
        "usage_lines",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("project_id", sa.String(length=24), nullable=False),
        sa.Column("deployment_id", sa.String(length=24), nullable=True),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("from_ns", sa.BigInteger(), nullable=False),
        sa.Column("to_ns", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["deployment_id"],
            ["deployments.id"],
        ),
        sa.ForeignKeyConstraint(
            ["project_id"],
            ["projects.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "restore_jobs",
        sa.Column("id", sa.String(length=24), nullable=False),
        sa.Column("project_id", sa.String(length=24), nullable=False),
        sa.Column("deployment_id", sa.String(length=24), nullable=False),
        sa.Column("snapshot_id", sa.String(length=24), nullable=False),
        sa.Column("target_project_id", sa.String(length=24), nullable=True),
        sa.Column("target_deployment_id", sa.String(length=24), nullable=True),
        sa.Column("delivery", sa.String(length=16), nullable=False),
        sa.Column("point_ns", sa.BigInteger(), nullable=True),
        sa.Column("credential", sa.String(length=64), nullable=False),
        sa.Column("restored", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=1024), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("finished_ns", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["deployment_id"],
            ["deployments.id"],
        ),
        sa.ForeignKeyConstraint(
            ["project_id"],
            ["projects.id"],
        ),
        sa.ForeignKeyConstraint(
            ["target_deployment_id"],
            ["deployments.id"],
        ),
        sa.ForeignKeyConstraint(
            ["target_project_id"],
            ["projects.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
