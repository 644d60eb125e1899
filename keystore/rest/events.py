"""Events of a project and of an organisation: the routes."""

from typing import Annotated, Any

import sqlalchemy as sa
from msgspec import Meta, field

from keystore.projects.access import Role
from keystore.projects.codes import Code
from keystore.projects.events import Event, event_of, list_events
from keystore.projects.tables import events
from keystore.rest.patterns import TYPE
from keystore.rest.routing import Answer, Call, Id, Page, PageQuery, Route
from keystore.rest.times import shown


class EventAnswer(Answer, frozen=True):
    """Something that happened; `publicKey` is of the API key that asked for it."""

    id: Id
    event_type_name: str
    created: str
    detail: dict[str, Any]
    public_key: str | None = None
    org_id: Id | None = None
    group_id: Id | None = None
    cluster_id: Id | None = None


class EventQuery(PageQuery, frozen=True):
    """Which events are wanted: all, or those of some types, or of one cluster."""

    event_type: list[Annotated[str, Meta(min_length=1, max_length=96, pattern=TYPE)]] = field(default_factory=list)
    cluster_id: Id | None = None


def _shown(event: Event) -> EventAnswer:
    return EventAnswer(
        id=event.id,
        event_type_name=event.type,
        created=shown(event.at_ns),
        public_key=None if event.actor in ("system", "") else event.actor,
        org_id=event.organization_id,
        group_id=event.project_id,
        cluster_id=event.deployment_id,
        detail=dict(event.detail),
    )


def _list(call: Call) -> Page[EventAnswer]:
    scope = {"project_id": call.path.get("groupId"), "organization_id": call.path.get("orgId")}
    query: EventQuery = call.query
    readable = sorted(scope_id for scope_id, role in call.caller.roles if role.of_project)
    with call.plane.database.read() as connection:
        found, total = list_events(
            connection,
            **scope,
            types=query.event_type,
            deployment_id=query.cluster_id,
            project_ids=readable,
            limit=query.items_per_page,
            skip=query.skip,
        )
    return Page(results=[_shown(event) for event in found], total_count=total)


def _one(call: Call) -> EventAnswer:
    mine = (events.c.project_id == call.project_id) & (events.c.id == call.path["eventId"])
    with call.plane.database.read() as connection:
        row = connection.execute(sa.select(events).where(mine)).one_or_none()
    if row is None:
        raise Code.EVENT_NOT_FOUND.error(call.path["eventId"])
    return _shown(event_of(row))


ROUTES = (
    Route(
        *("GET", "/groups/{groupId}/events", "listGroupEvents", "Return the events of a project, the latest first"),
        roles=(Role.GROUP_READ_ONLY,),
        handle=_list,
        query=EventQuery,
        answer=Page[EventAnswer],
    ),
    Route(
        *("GET", "/groups/{groupId}/events/{eventId}", "getGroupEvent", "Return an event"),
        roles=(Role.GROUP_READ_ONLY,),
        handle=_one,
        answer=EventAnswer,
    ),
    Route(
        *(
            "GET",
            "/orgs/{orgId}/events",
            "listOrgEvents",
            "Return the events of an organisation and of projects that the caller may read",
        ),
        roles=(Role.ORG_OWNER,),
        handle=_list,
        query=EventQuery,
        answer=Page[EventAnswer],
    ),
)
