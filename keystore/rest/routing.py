"""A route of the API: what it takes, who may use it, what answers it. Tables of them are the API and its document.

Leaves to others: HTTP (`keystore.rest.app`), what is done (`keystore.projects`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import Meta

from keystore.projects.access import Caller, Role
from keystore.projects.ids import PATTERN
from keystore.projects.plane import ProjectPlane
from keystore.rest.patterns import ADDRESS, LINE

Item = TypeVar("Item")

PAGE_NUMBER_MAX = 1_000_000
ITEMS_PER_PAGE_MAX = 500
"""LIMIT: items of one page, as in the Atlas API."""

BASE = "/api/atlas/v2"

Id = Annotated[str, Meta(pattern=PATTERN, examples=["32b6e34b3d91647abb20e7b8"])]
Name = Annotated[str, Meta(min_length=1, max_length=64, pattern=LINE)]
Description = Annotated[str, Meta(min_length=1, max_length=250, pattern=LINE)]
Email = Annotated[str, Meta(min_length=3, max_length=254, pattern=ADDRESS)]


class Body(msgspec.Struct, rename="camel", forbid_unknown_fields=True, frozen=True):
    """Base of what a request has in its body."""


class Answer(msgspec.Struct, rename="camel", frozen=True, omit_defaults=True):
    """Base of what is answered; what has its default, None above all, is left out."""


class Query(msgspec.Struct, rename="camel", forbid_unknown_fields=True, frozen=True):
    """Base of the parameters behind the question mark."""


class PageQuery(Query, frozen=True):
    """Which part of a list is wanted."""

    page_num: Annotated[int, Meta(ge=1, le=PAGE_NUMBER_MAX)] = 1
    items_per_page: Annotated[int, Meta(ge=1, le=ITEMS_PER_PAGE_MAX)] = 100

    @property
    def skip(self) -> int:
        return (self.page_num - 1) * self.items_per_page


class Page(Answer, Generic[Item], frozen=True, omit_defaults=False):
    """A part of a list, and how many items there are in all."""

    results: list[Item]
    total_count: int


@dataclass(frozen=True)
class Call:
    """A request that may be answered: its caller has the role, its body and query were read.

    Attributes:
        path: the ids and names in the path, by their names there.
    """

    plane: ProjectPlane
    caller: Caller
    path: Mapping[str, str]
    query: Any
    body: Any

    @property
    def project_id(self) -> str:
        return self.path["groupId"]

    @property
    def actor(self) -> str:
        return self.caller.actor

    def now_ns(self) -> int:
        return self.plane.clock.now_ns()


@dataclass(frozen=True)
class Reply:
    """An answer with a status of its own."""

    value: Any
    status: int


@dataclass(frozen=True)
class Route:
    """One operation of the API.

    Attributes:
        path: below `BASE`; `{groupId}` is the project and `{orgId}` the organisation in which `roles` count.
        roles: of which the caller needs one; none for what everybody with a key may do.
        handle: gives what `answer` describes, or a `Reply`; raises errors of `keystore.errors`.
        query, body: what it takes; None for nothing.
    """

    method: str
    path: str
    operation_id: str
    summary: str
    roles: tuple[Role, ...]
    handle: Callable[[Call], Any]
    answer: Any = None
    query: type[Query] | None = None
    body: Any = None
    status: int = 200

    @property
    def full_path(self) -> str:
        return BASE + self.path


def page_of(items: list[Item], query: PageQuery) -> Page[Item]:
    """Return the part of a list that was asked for."""
    return Page(results=items[query.skip : query.skip + query.items_per_page], total_count=len(items))
