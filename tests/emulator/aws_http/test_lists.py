"""Lists in pages through boto3: every item once, and markers that are good for one list only."""

import base64
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from tests.emulator.aws_http.clients import client, refused

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

List = Callable[..., Any]


@pytest.fixture
def key_id(kms: "KMSClient") -> str:
    """A key with seven tags, aliases and rotations, among seven keys."""
    found = [kms.create_key()["KeyMetadata"]["KeyId"] for _ in range(7)][3]
    for number in range(7):
        kms.create_alias(AliasName=f"alias/{number}", TargetKeyId=found)
        kms.tag_resource(KeyId=found, Tags=[{"TagKey": f"t{number}", "TagValue": str(number)}])
        kms.rotate_key_on_demand(KeyId=found)
    return found


LISTS: dict[str, Callable[["KMSClient", str], tuple[List, dict[str, Any], str]]] = {
    "ListKeys": lambda kms, _: (kms.list_keys, {}, "Keys"),
    "ListAliases": lambda kms, _: (kms.list_aliases, {}, "Aliases"),
    "ListAliases of a key": lambda kms, key: (kms.list_aliases, {"KeyId": key}, "Aliases"),
    "ListResourceTags": lambda kms, key: (kms.list_resource_tags, {"KeyId": key}, "Tags"),
    "ListKeyRotations": lambda kms, key: (kms.list_key_rotations, {"KeyId": key}, "Rotations"),
}


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("limit", [1, 2, 3, 6, 7, 8])
def test_pages_have_every_item_once(kms: "KMSClient", key_id: str, name: str, limit: int) -> None:
    ask, arguments, items = LISTS[name](kms, key_id)
    every = ask(**arguments)
    assert (len(every[items]), every["Truncated"], "NextMarker" in every) == (7, False, False)
    pages = [ask(**arguments, Limit=limit)]
    while pages[-1]["Truncated"] and len(pages) < 8:
        pages.append(ask(**arguments, Limit=limit, Marker=pages[-1]["NextMarker"]))
    assert [item for page in pages for item in page[items]] == every[items]
    assert [len(page[items]) for page in pages[:-1]] == [limit] * (-(-7 // limit) - 1)
    assert "NextMarker" not in pages[-1]


@pytest.mark.parametrize("operation", ["list_keys", "list_aliases", "list_resource_tags", "list_key_rotations"])
def test_paginators_of_boto3_go_to_the_end(kms: "KMSClient", key_id: str, operation: str) -> None:
    paginator: Any = kms.get_paginator(operation)  # type: ignore[call-overload]
    arguments = {} if operation in ("list_keys", "list_aliases") else {"KeyId": key_id}
    pages = list(paginator.paginate(**arguments, PaginationConfig={"PageSize": 3}))
    assert len(pages) == 3


def test_markers_from_elsewhere_are_refused(url: str, kms: "KMSClient", key_id: str) -> None:
    marker = kms.list_keys(Limit=2)["NextMarker"]
    other_key = next(key["KeyId"] for key in kms.list_keys()["Keys"] if key["KeyId"] != key_id)
    tags = kms.list_resource_tags(KeyId=key_id, Limit=2)["NextMarker"]
    decoded = base64.urlsafe_b64decode(marker)
    changed = base64.urlsafe_b64encode(decoded[:-1] + bytes([decoded[-1] ^ 1])).decode()
    attempts: list[Callable[[], object]] = [
        lambda: kms.list_aliases(Marker=marker),
        lambda: client(url, "eu-west-1").list_keys(Marker=marker),
        lambda: kms.list_keys(Marker=tags),
        lambda: kms.list_resource_tags(KeyId=other_key, Marker=tags),
        lambda: kms.list_keys(Marker="abc"),
        lambda: kms.list_keys(Marker="x" * 1024),
        lambda: kms.list_keys(Marker="\u00e9"),
        lambda: kms.list_keys(Marker=key_id),
        lambda: kms.list_keys(Marker=changed),
    ]
    for attempt in attempts:
        with refused("InvalidMarkerException", "Could not deserialize marker"):
            attempt()
    assert len(kms.list_keys(Marker=marker)["Keys"]) == 5


def test_a_marker_is_good_whatever_the_key_is_called(kms: "KMSClient", key_id: str) -> None:
    arn = kms.describe_key(KeyId=key_id)["KeyMetadata"]["Arn"]
    marker = kms.list_aliases(KeyId=key_id, Limit=2)["NextMarker"]
    assert len(kms.list_aliases(KeyId=arn, Marker=marker)["Aliases"]) == 5
    with refused("InvalidMarkerException"):
        kms.list_aliases(Marker=marker)


def test_list_outlives_what_it_lost(kms: "KMSClient", key_id: str) -> None:
    reply = kms.list_aliases(Limit=2)
    kms.delete_alias(AliasName=reply["Aliases"][-1]["AliasName"])
    rest = kms.list_aliases(Marker=reply["NextMarker"])["Aliases"]
    assert [alias["AliasName"] for alias in rest] == [f"alias/{number}" for number in range(2, 7)]


def test_longest_pages(kms: "KMSClient", key_id: str) -> None:
    attempts: list[Callable[[], object]] = [
        lambda: kms.list_aliases(Limit=101),
        lambda: kms.list_resource_tags(KeyId=key_id, Limit=51),
        lambda: kms.list_keys(Limit=1001),
    ]
    for attempt in attempts:
        with refused("ValidationException") as seen:
            attempt()
        assert "at 'limit' failed to satisfy constraint: Member must have value less than" in seen.message


def test_keys_of_others_are_none(kms: "KMSClient", key_id: str) -> None:
    ask: Any = kms.list_keys
    assert ask(ResourceOwners=["OTHER_ACCOUNTS_VIA_RAM"])["Keys"] == []
    assert len(ask(ResourceOwners=["SELF", "OTHER_ACCOUNTS_VIA_RAM"])["Keys"]) == 7
