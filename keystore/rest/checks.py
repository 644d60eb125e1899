"""What the checks of a project's keys found: the route."""

from keystore.projects.access import Role
from keystore.projects.check_history import CheckRecord, list_checks
from keystore.projects.fields import provider_named
from keystore.rest.encryption import PATH
from keystore.rest.routing import Answer, Call, Page, PageQuery, Route
from keystore.rest.times import shown, shown_or_none


class Check(Answer, frozen=True):
    """A check: scheduled (`due` says for when), at a change (save), on demand or try_again, and what is wrong."""

    checked: str
    cause: str
    outcome: str
    due: str | None = None
    error_code: str | None = None
    reason: str | None = None
    address: str | None = None


def _shown(found: CheckRecord) -> Check:
    return Check(
        checked=shown(found.checked_ns),
        cause=found.cause,
        outcome=found.outcome.upper(),
        due=shown_or_none(found.due_ns),
        error_code=found.error_code,
        reason=found.reason or None,
        address=found.address,
    )


def _list(call: Call) -> Page[Check]:
    provider, query = provider_named(call.path["provider"]), call.query
    with call.plane.database.read() as connection:
        found, total = list_checks(connection, call.project_id, provider, query.items_per_page, query.skip)
    return Page(results=[_shown(each) for each in found], total_count=total)


ROUTES = (
    Route(
        *("GET", f"{PATH}/{{provider}}/checks", "listEncryptionAtRestChecks"),
        "Return what the checks of a key found in the last 30 days, the latest first",
        roles=(Role.GROUP_READ_ONLY,),
        handle=_list,
        query=PageQuery,
        answer=Page[Check],
    ),
)
