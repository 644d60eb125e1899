"""Mail: into the outbox in the transaction of what it tells, out of it by a job.

What is queued is sent at least once. A process that is killed after a mail was taken and before that was written down
sends it again under the same Message-ID, by which mailboxes know that they have it.

To one recipient mails go in the order in which they were queued, through outages of about an hour: one that was not
taken holds up those after it until it was tried `HOLDING_TRIES_MAX` times. One that is never taken holds up no more.

Leaves to others: SMTP (`keystore.projects.smtp`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from keystore.control.due import DONE, Due, add_job
from keystore.control.tables import due
from keystore.projects.access import USER, Role
from keystore.projects.ids import new_id
from keystore.projects.tables import grants, mails, users

MAIL_JOB = "mail"
"""Kind of the job that sends a mail; its subject is the mail's id."""

SUBJECT_CHARACTERS_MAX = 250

HOLDING_TRIES_MAX = 8
"""LIMIT: tries after which a mail holds up no other; the eighth comes 64 minutes after the first."""


@dataclass(frozen=True)
class Mail:
    """A mail; `sent_ns` is None until somebody took it."""

    id: str
    project_id: str
    recipient: str
    subject: str
    body: str
    created_ns: int
    sent_ns: int | None
    tries: int


def queue_mail(
    connection: sa.Connection, project_id: str, role: Role, subject: str, body: str, now_ns: int
) -> list[str]:
    """Queue a mail to everybody who has exactly that role in a project; return the ids, in the order of addresses."""
    return _queue(connection, project_id, _addresses_with(connection, project_id, [role]), subject, body, now_ns)


def notify(
    connection: sa.Connection,
    project_id: str,
    notifications: Sequence[Mapping[str, Any]],
    subject: str,
    body: str,
    now_ns: int,
) -> list[str]:
    """Queue a mail to whom the notifications of an alert configuration name, once each; return the ids."""
    found: set[str] = set()
    for notification in notifications:
        if notification["typeName"] == "EMAIL":
            found.add(notification["emailAddress"])
        elif notification.get("emailEnabled", True):
            roles = [Role(role) for role in notification.get("roles", [])]
            found.update(_addresses_with(connection, project_id, roles))
    return _queue(connection, project_id, sorted(found), subject, body, now_ns)


def list_mails(connection: sa.Connection, project_id: str) -> list[Mail]:
    """Return all mails of a project, in the order in which they were queued."""
    query = sa.select(mails).where(mails.c.project_id == project_id).order_by(mails.c.created_ns, mails.c.recipient)
    return [_mail(row) for row in connection.execute(query)]


def mail_of(connection: sa.Connection, mail_id: str) -> Mail:
    """Return a mail that is there."""
    return _mail(connection.execute(sa.select(mails).where(mails.c.id == mail_id)).one())


def first_due_ns(connection: sa.Connection, mail: Mail) -> int | None:
    """Return when an older mail to the same recipient is due that waits and goes first; None for none."""
    older = (mails.c.project_id == mail.project_id) & (mails.c.recipient == mail.recipient)
    older &= (mails.c.created_ns < mail.created_ns) & mails.c.sent_ns.is_(None)
    held = older & (mails.c.tries < HOLDING_TRIES_MAX) & (due.c.at_ns > mails.c.created_ns)  # not for the first time
    waits = (due.c.kind == MAIL_JOB) & (due.c.subject == mails.c.id) & (due.c.state != DONE)
    found: int | None = connection.scalar(
        sa.select(sa.func.max(due.c.at_ns)).select_from(mails).join(due, waits).where(held)
    )
    return found


def record_sent(connection: sa.Connection, mail_id: str, now_ns: int) -> None:
    """Record that a mail was taken."""
    connection.execute(mails.update().where(mails.c.id == mail_id).values(sent_ns=now_ns, tries=mails.c.tries + 1))


def record_failed(connection: sa.Connection, mail_id: str) -> None:
    """Record that a mail was not taken."""
    connection.execute(mails.update().where(mails.c.id == mail_id).values(tries=mails.c.tries + 1))


def _addresses_with(connection: sa.Connection, project_id: str, roles: Sequence[Role]) -> list[str]:
    who = (grants.c.principal_kind == USER) & (grants.c.scope_id == project_id)
    if roles:
        who &= grants.c.role.in_([role.value for role in roles])
    query = sa.select(users.c.email).where(users.c.id.in_(sa.select(grants.c.principal_id).where(who)))
    return list(connection.scalars(query.order_by(users.c.email)))


def _queue(
    connection: sa.Connection, project_id: str, recipients: Sequence[str], subject: str, body: str, now_ns: int
) -> list[str]:
    one_line = " ".join(subject.split())[:SUBJECT_CHARACTERS_MAX]
    ids = []
    for recipient in recipients:
        ids.append(new_id())
        row = {
            "id": ids[-1],
            "project_id": project_id,
            "recipient": recipient,
            "subject": one_line,
            "body": body,
            "created_ns": now_ns,
            "sent_ns": None,
            "tries": 0,
        }
        connection.execute(mails.insert().values(row))
        add_job(connection, Due(MAIL_JOB, ids[-1], now_ns))
    return ids


def _mail(row: sa.Row[Any]) -> Mail:
    return Mail(**row._mapping)
