"""An emulator inside a Python process, for tests: ``with KmsEmulator() as kms:`` or ``async with``.

It serves on free ports of 127.0.0.1 from a thread of its own, with an event loop of its own: whatever the caller's code
does with loops, or blocks on, the emulator answers. The calling thread only ever waits for that loop.
"""

import asyncio
import contextlib
import secrets
import threading
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from google.protobuf.message import Message
from keystore_api.admin.v1 import admin_pb2 as pb

from kms_emulator.admin.controls import Controls
from kms_emulator.admin.errors import RefusedError
from kms_emulator.admin.forms import form_of, known_length_s, to_form
from kms_emulator.calls import CallFilter, CallRecord
from kms_emulator.core import Core
from kms_emulator.embedded_azure import Azure
from kms_emulator.embedded_gcp import Google
from kms_emulator.embedded_guard import Guard
from kms_emulator.embedded_users import User, Users
from kms_emulator.model.entropy import RepeatedEntropy
from kms_emulator.sdks import needed
from kms_emulator.server import Server, start
from kms_emulator.storage.directory import DataDir

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

HOST = "127.0.0.1"
WAIT_S_MAX = 60.0
"""LIMIT: seconds that the calling thread waits for the emulator's loop."""

REGION_DEFAULT = "us-east-1"
DUMMY_KEY = "test"
"""Access key id and secret of clients made here: nobody's, so that a slip cannot reach real AWS with real ones."""

Result = TypeVar("Result")


class KmsEmulator:
    """One emulator; a context manager, sync and async. May be started once.

    Attributes:
        clock: the virtual clock.
        faults: faults on command.
        users: users of the AWS account, whom policies hold.
        azure: vaults, their clients, and applications of Azure's tenants.
        gcp: clients of Google Cloud KMS, and service accounts.
        guard: who uses which key, and whether that keeps it from being deleted.
    """

    def __init__(
        self,
        *,
        seed_file: str | Path | None = None,
        seed: int | None = None,
        data_dir: str | Path | None = None,
        data_key: bytes | None = None,
        strict_auth: bool = False,
    ) -> None:
        """Take what `kms-emulator serve` takes; the data directory is sealed under `data_key`, if one is given."""
        if data_key is not None and data_dir is None:
            raise ValueError("data_key seals a data directory: name one")
        if seed is not None and data_dir is not None:
            raise ValueError("seed and data_dir exclude each other: new ids would repeat stored ones")
        self._seed_file, self._seed, self._data_dir = seed_file, seed, data_dir
        self._data_key = data_key
        self._strict_auth = strict_auth
        self._closing = contextlib.ExitStack()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._core: Core | None = None
        self._server: Server | None = None
        self.clock = Clock(self)
        self.faults = Faults(self)
        self.users = Users(self)
        self.azure = Azure(self)
        self.gcp = Google(self)
        self.guard = Guard(self)

    # -- life

    def start(self) -> Self:
        """Start serving; what is refused raises SeedError, DataDirError or PortError, and nothing is left running."""
        if self._loop is not None:
            raise RuntimeError("this emulator was started already; make another")
        try:
            self._core = self._new_core()
            self._core.strict_auth = self._strict_auth
            self._begin_loop()
            http_port = 0 if find_spec("uvicorn") and find_spec("httptools") else None
            starting = start(self._core, HOST, 0, str(self._data_dir or ""), http_port, http_port, None, http_port)
            self._server = self._await(starting)
            self._closing.callback(lambda: self._await(self.server.stop()))
        except BaseException:
            self._closing.close()
            raise
        return self

    def stop(self) -> None:
        """Stop serving; may be called twice."""
        self._closing.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.start)

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.stop)

    def _new_core(self) -> Core:
        entropy = secrets.token_bytes if self._seed is None else RepeatedEntropy(self._seed)
        store = None
        if self._data_dir is not None:
            store = self._closing.enter_context(DataDir(Path(self._data_dir), self._data_key)).store
        state = None
        if self._seed_file is not None:
            from kms_emulator.seeding.sowing import read_seed

            state = read_seed(Path(self._seed_file), time.time_ns(), entropy)
        return Core(store, entropy=entropy, seed=state)

    def _begin_loop(self) -> None:
        loop = _new_loop()
        thread = threading.Thread(target=loop.run_forever, daemon=True, name="kms-emulator")
        thread.start()
        self._loop = loop

        def end() -> None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(WAIT_S_MAX)
            loop.close()

        self._closing.callback(end)

    # -- where it is

    @property
    def server(self) -> Server:
        """Return the running server; RuntimeError before the start."""
        if self._server is None:
            raise RuntimeError("the emulator is not running: use it in a with block, or call start()")
        return self._server

    @property
    def aws_endpoint(self) -> str:
        """Return the URL that AWS's clients take as endpoint; RuntimeError if HTTP is not installed."""
        url = self.server.url
        if url is None:
            raise RuntimeError("HTTP needs more packages: pip install 'cmk-keystore[emulator]'")
        return url

    @property
    def grpc_endpoint(self) -> str:
        """Return ``host:port`` of gRPC: the three clouds' operations, admin, health."""
        return self.server.endpoint

    @property
    def grpc_tls_endpoint(self) -> str:
        """Return ``host:port`` of gRPC over TLS; RuntimeError if HTTP is not installed."""
        secure = self.server.grpc_tls_endpoint
        if secure is None:
            raise RuntimeError("TLS needs more packages: pip install 'cmk-keystore[emulator]'")
        return secure

    def environment(self, *, gcp: str | None = None) -> dict[str, str]:
        """Return the variables that point clients of other processes here, as `kms-emulator env` prints them.

        `gcp`, ``"grpc"`` or ``"rest"``, adds those that lead every Google client of that transport here.
        """
        from kms_emulator.cli.env import variables
        from kms_emulator.cli.places import Places

        found = variables(Places.of(self.server.endpoints))
        return found if gcp is None else found | self.gcp.environment(gcp)

    def boto3_client(
        self,
        service: str = "kms",
        *,
        user: "str | User | None" = None,
        region_name: str = REGION_DEFAULT,
        **options: Any,
    ) -> "KMSClient":
        """Return a client of boto3, unmodified, that talks to this emulator; the caller closes it.

        It calls as `user`, by name or as `users.put` returned it. Without one credentials are nobody's unless given:
        such a caller may do everything, and under `strict_auth` nothing. All other options go to `boto3.client`.
        """
        with needed("aws"):
            import boto3

        known = {"aws_access_key_id": DUMMY_KEY, "aws_secret_access_key": DUMMY_KEY, "endpoint_url": self.aws_endpoint}
        if user is not None:
            known |= (self.users.get(user) if isinstance(user, str) else user).credentials
        client: KMSClient = boto3.session.Session().client(service, region_name=region_name, **known | options)  # type: ignore[call-overload] # the service is the caller's choice
        return client

    # -- what it holds

    def reset(self) -> None:
        """Go back to the seed: keys, users, calls, faults and clock."""
        self._ask(lambda controls: controls.reset(pb.ResetRequest()))

    def calls(
        self,
        *,
        provider: str | None = None,
        operation: str | None = None,
        key: str | None = None,
        outcome: str | None = None,
        caller: str | None = None,
    ) -> list[CallRecord]:
        """Return the logged calls that fit, oldest first: names, outcomes and lengths, never contents.

        What is None or empty fits all.
        """
        wanted = CallFilter(provider or "", operation or "", key or "", outcome or "", caller or "")
        return self._run(lambda: list(self._started_core().calls.select(wanted)))

    def state(self) -> dict[str, Any]:
        """Return everything there is as plain values, without key material and secrets."""
        return to_form(self._ask(lambda controls: controls.get_state(pb.GetStateRequest())))

    # -- the emulator's own loop

    def _started_core(self) -> Core:
        if self._core is None:
            raise RuntimeError("the emulator is not running: use it in a with block, or call start()")
        return self._core

    def _ask(self, act: Callable[[Controls], Result]) -> Result:
        """Act on the core in its own loop, between two calls; what is refused becomes a ValueError."""
        core = self._started_core()
        try:
            return self._run(lambda: act(Controls(core, str(self._data_dir or ""))))
        except RefusedError as error:
            raise ValueError(str(error)) from None

    def _run(self, act: Callable[[], Result]) -> Result:
        async def run() -> Result:
            return act()

        return self._await(run())

    def _await(self, work: Coroutine[Any, Any, Result]) -> Result:
        if self._loop is None or self._loop.is_closed():
            work.close()
            raise RuntimeError("the emulator is not running: use it in a with block, or call start()")
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(WAIT_S_MAX)


class Clock:
    """The virtual clock of a running emulator. Every change does what is due by then before it returns."""

    def __init__(self, emulator: KmsEmulator) -> None:
        self._emulator = emulator

    def now(self) -> datetime:
        """Return the emulator's time, in UTC."""
        return self._told(lambda controls: controls.get_clock(pb.GetClockRequest()))

    def advance(self, by: timedelta | str | None = None, **parts: float) -> datetime:
        """Move time forward: by a `timedelta`, ``"30d"``, or parts as `timedelta` takes them: ``advance(days=400)``."""
        request = pb.AdvanceClockRequest()
        if isinstance(by, str):
            request.by.seconds = known_length_s(by)
        else:
            request.by.FromTimedelta(by if by is not None else timedelta(**parts))
        return self._told(lambda controls: controls.advance_clock(request))

    def set(self, now: datetime, *, frozen: bool = False) -> datetime:
        """Set the time, also back; ValueError for one without a zone."""
        _check_zoned(now)
        request = pb.SetClockRequest(frozen=frozen)
        request.now.FromDatetime(now)
        return self._told(lambda controls: controls.set_clock(request))

    def freeze(self) -> datetime:
        """Let time stand still, now."""
        return self.set(self.now(), frozen=True)

    def restore(self) -> datetime:
        """Go back to the host's time."""
        return self._told(lambda controls: controls.set_clock(pb.SetClockRequest()))

    def _told(self, act: Callable[[Controls], pb.Clock]) -> datetime:
        return self._emulator._ask(act).now.ToDatetime(tzinfo=UTC)


class Faults:
    """Faults on command of a running emulator."""

    def __init__(self, emulator: KmsEmulator) -> None:
        self._emulator = emulator

    def add(self, kind: str, **fields: object) -> int:
        """Plan a fault and return its number; ValueError says which field is wrong.

        Kinds: close, hang, unavailable, throttle, error, latency, addresses, expired-credentials. Fields: the scope is
        provider, operation, key, caller, from_time and until_time (datetime with a zone); the schedule first, every
        and count; then delay (seconds), code, message, retry_after_s and networks, each for the kind that needs it.
        """
        values = {name: _plain(value) for name, value in fields.items() if value is not None}

        def add(controls: Controls) -> pb.Fault:
            return controls.add_fault(form_of(pb.Fault, {"kind": kind, **values}))

        return self._emulator._ask(add).number

    def list(self) -> "list[dict[str, Any]]":
        """Return the faults, oldest first, with the calls that each has `seen` and `met`."""
        found: Message = self._emulator._ask(lambda controls: controls.list_faults(pb.ListFaultsRequest()))
        faults: list[dict[str, Any]] = to_form(found)["faults"]
        return faults

    def remove(self, number: int) -> None:
        """Remove a fault; ValueError if there is none of that number."""
        if number < 1:
            raise ValueError(f"there is no fault {number}")
        self._emulator._ask(lambda controls: controls.remove_faults(pb.RemoveFaultsRequest(number=number)))

    def clear(self) -> None:
        """Remove all; calls that hang end."""
        self._emulator._ask(lambda controls: controls.remove_faults(pb.RemoveFaultsRequest()))


def _check_zoned(time: datetime) -> None:
    if time.utcoffset() is None:
        raise ValueError(f"{time!r} has no zone, and could mean any: give it one, such as tzinfo=datetime.UTC")


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        _check_zoned(value)
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, timedelta):
        return value.total_seconds()
    return list(value) if isinstance(value, tuple) else value


def _new_loop() -> asyncio.AbstractEventLoop:
    if find_spec("uvloop") is None:
        return asyncio.new_event_loop()
    import uvloop

    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop
