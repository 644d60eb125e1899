"""API keys of an organisation and of a project, and the people of a project: the routes."""

from typing import Annotated, Literal

from msgspec import Meta

from keystore.projects import api_keys, people
from keystore.projects.access import KEY, ORGANIZATION, PROJECT, Role
from keystore.projects.api_keys import ApiKey
from keystore.projects.codes import Code
from keystore.projects.grants import principals_with
from keystore.projects.people import Person
from keystore.rest.alerts import ProjectRole
from keystore.rest.routing import Answer, Body, Call, Description, Email, Id, Page, PageQuery, Route, page_of

ORG_OWNERS = (Role.ORG_OWNER,)
OWNERS = (Role.GROUP_OWNER,)
GIVERS = (Role.GROUP_OWNER, Role.ORG_OWNER)
"""Who gives roles in a project: its owners, and the organisation's, who may so make themselves one of them."""

OrganizationRole = Literal["ORG_OWNER", "ORG_GROUP_CREATOR", "ORG_MEMBER", "ORG_READ_ONLY"]


class OrganizationKeyRequest(Body, frozen=True):
    """A key to make in an organisation."""

    desc: Description
    roles: Annotated[list[OrganizationRole], Meta(min_length=1, max_length=10)]


class ProjectKeyRequest(Body, frozen=True):
    """A key to make in a project."""

    desc: Description
    roles: Annotated[list[ProjectRole], Meta(min_length=1, max_length=10)]


class ProjectRoles(Body, frozen=True):
    """The roles that a key of the organisation is to have in a project, and no others."""

    roles: Annotated[list[ProjectRole], Meta(min_length=1, max_length=10)]


class UserRequest(Body, frozen=True):
    """Somebody who is to have roles in a project."""

    username: Email
    roles: Annotated[list[ProjectRole], Meta(min_length=1, max_length=10)]


class RoleAssignment(Answer, frozen=True):
    """A role, and where."""

    role_name: str
    org_id: Id | None = None
    group_id: Id | None = None


class ApiKeyAnswer(Answer, frozen=True):
    """A key. `privateKey` is shown when it is made, and never again."""

    id: Id
    desc: str
    public_key: str
    roles: list[RoleAssignment]
    private_key: str | None = None


class UserAnswer(Answer, frozen=True):
    """Somebody with roles in a project."""

    id: Id
    username: str
    roles: list[str]


def _key_shown(key: ApiKey) -> ApiKeyAnswer:
    roles = [
        RoleAssignment(role_name=role.value, **{"org_id" if kind == ORGANIZATION else "group_id": scope_id})
        for kind, scope_id, role in key.roles
    ]
    return ApiKeyAnswer(
        id=key.id, desc=key.description, public_key=key.public_key, roles=roles, private_key=key.private_key
    )


def _scope(call: Call) -> tuple[str, str]:
    return (PROJECT, call.project_id) if "groupId" in call.path else (ORGANIZATION, call.path["orgId"])


def _list_keys(call: Call) -> Page[ApiKeyAnswer]:
    with call.plane.database.read() as connection:
        found = api_keys.list_keys(connection, _scope(call)[1])
    return page_of([_key_shown(key) for key in found], call.query)


def _create_key(call: Call) -> ApiKeyAnswer:
    roles = [Role(role) for role in call.body.roles]
    with call.plane.database.write() as connection:
        where = (call.caller.organization_id, call.body.desc, *_scope(call))
        return _key_shown(api_keys.create_key(connection, *where, roles, call.actor, call.now_ns()))


def _delete_key(call: Call) -> None:
    with call.plane.database.write() as connection:
        api_keys.delete_key(connection, call.caller, call.path["apiUserId"], call.now_ns())


def _assign_key(call: Call) -> ApiKeyAnswer:
    roles = [Role(role) for role in call.body.roles]
    with call.plane.database.write() as connection:
        key_id, scope = call.path["apiUserId"], _scope(call)
        return _key_shown(api_keys.assign(connection, call.caller, key_id, *scope, roles, call.now_ns()))


def _remove_key(call: Call) -> None:
    with call.plane.database.write() as connection:
        key_id, scope = call.path["apiUserId"], _scope(call)
        if key_id not in principals_with(connection, KEY, call.project_id):
            raise Code.API_KEY_NOT_FOUND.error(key_id)
        api_keys.assign(connection, call.caller, key_id, *scope, [], call.now_ns())


def _user_shown(person: Person) -> UserAnswer:
    return UserAnswer(id=person.id, username=person.email, roles=[role.value for role in person.roles])


def _list_users(call: Call) -> Page[UserAnswer]:
    with call.plane.database.read() as connection:
        found = people.list_people(connection, call.project_id)
    return page_of([_user_shown(person) for person in found], call.query)


def _set_user(call: Call) -> UserAnswer:
    roles = [Role(role) for role in call.body.roles]
    with call.plane.database.write() as connection:
        where = (call.project_id, call.body.username)
        return _user_shown(people.set_person(connection, *where, roles, call.actor, call.now_ns()))


def _remove_user(call: Call) -> None:
    with call.plane.database.write() as connection:
        people.remove_person(connection, call.project_id, call.path["userId"], call.actor, call.now_ns())


_ORG_KEYS, _KEYS = "/orgs/{orgId}/apiKeys", "/groups/{groupId}/apiKeys"
_ONE_KEY = _KEYS + "/{apiUserId}"
_USERS = "/groups/{groupId}/users"

ROUTES = (
    Route(
        *("GET", _ORG_KEYS, "listOrgApiKeys", "Return the API keys of an organisation"),
        roles=ORG_OWNERS,
        handle=_list_keys,
        query=PageQuery,
        answer=Page[ApiKeyAnswer],
    ),
    Route(
        *("POST", _ORG_KEYS, "createOrgApiKey", "Make an API key; its private half is shown in the answer only"),
        roles=ORG_OWNERS,
        handle=_create_key,
        body=OrganizationKeyRequest,
        answer=ApiKeyAnswer,
        status=201,
    ),
    Route(
        *("DELETE", _ORG_KEYS + "/{apiUserId}", "deleteOrgApiKey", "Delete an API key with all its roles"),
        roles=ORG_OWNERS,
        handle=_delete_key,
        status=204,
    ),
    Route(
        *("GET", _KEYS, "listGroupApiKeys", "Return the API keys with a role in a project"),
        roles=OWNERS,
        handle=_list_keys,
        query=PageQuery,
        answer=Page[ApiKeyAnswer],
    ),
    Route(
        *("POST", _KEYS, "createGroupApiKey", "Make an API key with roles in a project"),
        roles=OWNERS,
        handle=_create_key,
        body=ProjectKeyRequest,
        answer=ApiKeyAnswer,
        status=201,
    ),
    Route(
        *("PATCH", _ONE_KEY, "updateGroupApiKeyRoles", "Give an API key exactly these roles in a project"),
        roles=GIVERS,
        handle=_assign_key,
        body=ProjectRoles,
        answer=ApiKeyAnswer,
    ),
    Route(
        *("DELETE", _ONE_KEY, "removeGroupApiKey", "Take an API key out of a project"),
        roles=GIVERS,
        handle=_remove_key,
        status=204,
    ),
    Route(
        *("GET", _USERS, "listGroupUsers", "Return the people of a project"),
        roles=(Role.GROUP_READ_ONLY,),
        handle=_list_users,
        query=PageQuery,
        answer=Page[UserAnswer],
    ),
    Route(
        *("POST", _USERS, "addGroupUser", "Give somebody exactly these roles in a project; mail goes by them"),
        roles=OWNERS,
        handle=_set_user,
        body=UserRequest,
        answer=UserAnswer,
        status=201,
    ),
    Route(
        *("DELETE", _USERS + "/{userId}", "removeGroupUser", "Take somebody out of a project"),
        roles=OWNERS,
        handle=_remove_user,
        status=204,
    ),
)
