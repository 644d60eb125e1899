"""Errors over a real connection: every class arrives as itself, and what is ours alone tells nothing."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
from keystore_api.node.v1 import node_pb2 as pb

from keystore import errors
from keystore.agents.client import NodeClient
from keystore.agents.identity import Role
from keystore.agents.serving import AgentServer, Service
from keystore.errors import AgentError, ApiError, InputError, KeystoreError, LogGapError, StoreDamagedError, StoreError
from tests.agents.running import Cluster

NODE = pb.DESCRIPTOR.services_by_name["Node"]
ALLOWED = dict.fromkeys(("GetStatus", "ReadFile"), frozenset({Role.CONTROL}))

CLASSES = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type)
    and issubclass(kind, KeystoreError)
    and not issubclass(kind, StoreDamagedError | LogGapError | ApiError)
]


@contextmanager
def served(cluster: Cluster, raising: Callable[[], BaseException]) -> Iterator[NodeClient]:
    """Serve a node of which every call fails as `raising` says."""

    def fail(request: Any, call: Any) -> NoReturn:
        raise raising()

    calls = Service(NODE, SimpleNamespace(get_status=fail, read_file=fail), ALLOWED)
    server = AgentServer("127.0.0.1:0", cluster.tls(Role.NODE, "node-1"), Role.NODE, calls)
    server.start()
    try:
        with NodeClient(server.address, cluster.tls(Role.CONTROL), "node-1") as client:
            yield client
    finally:
        server.stop()


def test_every_class_arrives_as_itself_with_its_message(cluster: Cluster) -> None:
    waiting = list(CLASSES)
    with served(cluster, lambda: waiting[0](f"{waiting[0].__name__} of /data/näme. Nothing was changed.")) as client:
        while waiting:
            for call in (client.status, lambda: list(client.read_file("db", "file"))):
                with pytest.raises(KeystoreError) as raised:
                    call()
                assert type(raised.value) is waiting[0]
                assert str(raised.value) == f"{waiting[0].__name__} of /data/näme. Nothing was changed."
            waiting.pop(0)
    assert len(CLASSES) > 60


def test_a_node_has_no_say_in_what_the_api_answers(cluster: Cluster) -> None:
    with (
        served(cluster, lambda: ApiError(403, "FORBIDDEN", "it is refused")) as client,
        pytest.raises(AgentError, match="it is refused") as raised,
    ):
        client.status()
    assert type(raised.value) is AgentError


@pytest.mark.parametrize(
    "error",
    [
        StoreDamagedError("db/file", "page", 7, "its tag is wrong"),
        StoreDamagedError("db/file", "map node", 3, "its tag is wrong", range(5, 90)),
        StoreDamagedError("db/ü", "header", None, "both copies are damaged"),
        LogGapError("nobody knows", 5, None),
    ],
)
def test_classes_with_attributes_arrive_with_them(cluster: Cluster, error: KeystoreError) -> None:
    with served(cluster, lambda: error) as client, pytest.raises(type(error)) as raised:
        client.status()
    assert (vars(raised.value), str(raised.value)) == (vars(error), str(error))


@pytest.mark.parametrize("letter", ["x", "ü", "語", "\U0001f600", "\n"])
def test_a_message_of_any_length_and_script_arrives_cut(cluster: Cluster, letter: str) -> None:
    with served(cluster, lambda: InputError(letter * 100_000)) as client, pytest.raises(InputError) as raised:
        client.status()
    message = str(raised.value)
    assert message.rstrip("…").replace(letter, "") == ""
    assert len(message) > 200
    long = StoreDamagedError(letter * 10_000, "page", 1, letter * 10_000)
    with served(cluster, lambda: long) as client, pytest.raises(StoreError):
        client.status()


def test_an_error_of_our_own_is_logged_by_its_place_and_tells_nobody_its_values(
    cluster: Cluster, capfd: pytest.CaptureFixture[str]
) -> None:
    with served(cluster, lambda: ZeroDivisionError("a page of plaintext")) as client:
        for call in (client.status, lambda: list(client.read_file("db", "file"))):
            with pytest.raises(AgentError, match=r"failed .*ZeroDivisionError.*Look at its log") as raised:
                call()
            assert "plaintext" not in str(raised.value)
    logged = capfd.readouterr().err
    assert logged.count("failed: ZeroDivisionError") == 2
    assert "in fail" in logged
    assert "plaintext" not in logged
