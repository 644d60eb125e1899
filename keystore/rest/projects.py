"""Organisations and projects: the routes."""

from keystore.projects import organizations
from keystore.projects.access import Role, require_organization_role
from keystore.rest.routing import Answer, Body, Call, Id, Name, Page, PageQuery, Route, page_of
from keystore.rest.times import shown


class GroupRequest(Body, frozen=True):
    """A project to make."""

    name: Name
    org_id: Id


class GroupUpdate(Body, frozen=True):
    """What of a project can be changed."""

    name: Name


class Group(Answer, frozen=True, omit_defaults=False):
    """A project."""

    id: Id
    org_id: Id
    name: str
    cluster_count: int
    created: str


class Organization(Answer, frozen=True):
    """An organisation."""

    id: Id
    name: str


def _shown(project: organizations.Project) -> Group:
    return Group(
        id=project.id,
        org_id=project.organization_id,
        name=project.name,
        cluster_count=project.deployments,
        created=shown(project.created_ns),
    )


def _list_organizations(call: Call) -> Page[Organization]:
    with call.plane.database.read() as connection:
        found = organizations.organization_of(connection, call.caller.organization_id)
    return page_of([Organization(id=found.id, name=found.name)], call.query)


def _organization(call: Call) -> Organization:
    with call.plane.database.read() as connection:
        found = organizations.organization_of(connection, call.path["orgId"])
    return Organization(id=found.id, name=found.name)


def _organization_groups(call: Call) -> Page[Group]:
    with call.plane.database.read() as connection:
        found = organizations.list_projects(connection, call.caller, whole_organization=True)
    return page_of([_shown(project) for project in found], call.query)


def _list_groups(call: Call) -> Page[Group]:
    with call.plane.database.read() as connection:
        found = organizations.list_projects(connection, call.caller, whole_organization=False)
    return page_of([_shown(project) for project in found], call.query)


def _create_group(call: Call) -> Group:
    require_organization_role(call.caller, call.body.org_id, Role.ORG_OWNER, Role.ORG_GROUP_CREATOR)
    with call.plane.database.write() as connection:
        name, now_ns = call.body.name, call.now_ns()
        return _shown(organizations.create_project(connection, call.caller, call.body.org_id, name, now_ns))


def _group(call: Call) -> Group:
    with call.plane.database.read() as connection:
        return _shown(organizations.project_of(connection, call.project_id))


def _update_group(call: Call) -> Group:
    with call.plane.database.write() as connection:
        name, now_ns = call.body.name, call.now_ns()
        return _shown(organizations.rename_project(connection, call.project_id, name, call.actor, now_ns))


READERS = (Role.GROUP_READ_ONLY,)
OWNERS = (Role.GROUP_OWNER,)

ROUTES = (
    Route(
        *("GET", "/orgs", "listOrgs", "Return the organisations of the caller"),
        roles=(),
        handle=_list_organizations,
        query=PageQuery,
        answer=Page[Organization],
    ),
    Route(
        *("GET", "/orgs/{orgId}", "getOrg", "Return an organisation"),
        roles=(Role.ORG_MEMBER,),
        handle=_organization,
        answer=Organization,
    ),
    Route(
        *("GET", "/orgs/{orgId}/groups", "getOrgGroups", "Return all projects of an organisation"),
        roles=(Role.ORG_READ_ONLY,),
        handle=_organization_groups,
        query=PageQuery,
        answer=Page[Group],
    ),
    Route(
        *("GET", "/groups", "listGroups", "Return the projects in which the caller has a role"),
        roles=(),
        handle=_list_groups,
        query=PageQuery,
        answer=Page[Group],
    ),
    Route(
        *("POST", "/groups", "createGroup", "Make a project; the key that asks becomes its owner"),
        roles=(),
        handle=_create_group,
        body=GroupRequest,
        answer=Group,
        status=201,
    ),
    Route(
        *("GET", "/groups/{groupId}", "getGroup", "Return a project"),
        roles=READERS,
        handle=_group,
        answer=Group,
    ),
    Route(
        *("PATCH", "/groups/{groupId}", "updateGroup", "Give a project another name"),
        roles=OWNERS,
        handle=_update_group,
        body=GroupUpdate,
        answer=Group,
    ),
)
