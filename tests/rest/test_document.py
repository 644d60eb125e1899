"""The OpenAPI document: what it says of the API, the API does, with requests that fit it and with those that do not."""

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from keystore.control.database import open_database
from keystore.rest.app import DOCUMENT_PATH
from keystore.rest.openapi import document
from keystore.rest.routes import ROUTES
from keystore.rest.routing import Route
from tests.rest.conftest import Rest, create_plane, found_organization
from tests.rest.serving import serving

EXAMPLES = 4
"""Requests of each kind to each operation; what one of them found in a longer run has a test of its own."""

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]

ASKED = [
    *((route, GenerationMode.POSITIVE) for route in ROUTES),
    *((route, GenerationMode.NEGATIVE) for route in ROUTES if route.query or route.body or "{" in route.path),
]
"""Every operation with what fits it, and with what does not, where anything could be wrong."""


@pytest.fixture(scope="module")
def rest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rest]:
    """One server that takes everything that comes."""
    directory: Path = tmp_path_factory.mktemp("document")
    database = open_database(f"sqlite:///{directory / 'control.db'}")
    plane = create_plane(database, directory)
    with serving(plane) as url:
        yield found_organization(plane, url)
    database.close()


def test_the_document_is_served_without_a_key(rest: Rest) -> None:
    parts = urlsplit(rest.url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=60)
    connection.request("GET", DOCUMENT_PATH)
    found = json.loads(connection.getresponse().read())
    connection.close()
    assert found == json.loads(json.dumps(document(ROUTES)))
    operations = [operation for methods in found["paths"].values() for operation in methods.values()]
    assert {operation["operationId"] for operation in operations} == {route.operation_id for route in ROUTES}
    roles = {operation["operationId"]: operation.get("x-roles", []) for operation in operations}
    assert roles["updateGroup"] == ["GROUP_OWNER"]


@pytest.mark.parametrize(("route", "mode"), ASKED, ids=lambda value: getattr(value, "operation_id", value))
def test_an_operation_is_as_the_document_says(rest: Rest, route: Route, mode: GenerationMode) -> None:
    described = json.loads(json.dumps(document([route])))
    del described["security"]  # otherwise requests without a key are among those that do not fit
    schema = schemathesis.openapi.from_dict(described)
    operation = schema[route.full_path][route.method]
    places = {"groupId": rest.project_id, "orgId": rest.organization_id}
    fixed = {name: value for name, value in places.items() if f"{{{name}}}" in route.path}
    if mode is GenerationMode.NEGATIVE and not (route.body or route.query):
        fixed = {}

    @settings(max_examples=EXAMPLES, phases=[Phase.generate], suppress_health_check=list(HealthCheck), database=None)
    @given(case=operation.as_strategy(mode, path_parameters=fixed or None))
    def ask(case: schemathesis.Case[Any]) -> None:
        auth = (rest.owner.public_key, rest.owner.private_key)
        case.call_and_validate(base_url=rest.url, checks=CHECKS, auth=auth, timeout=60)

    ask()
