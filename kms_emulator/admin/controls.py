"""What admin can do to an emulator, as functions of messages; `service` and `front` put it on a wire."""

import os
from itertools import islice

from keystore_api.admin.v1 import admin_pb2 as pb

from kms_emulator import __version__
from kms_emulator.admin import guard, service_accounts, users, vaults
from kms_emulator.admin.errors import MissingError, RefusedError
from kms_emulator.admin.failpoints import Failpoints
from kms_emulator.admin.known import check_filter
from kms_emulator.admin.metrics import metrics_text
from kms_emulator.admin.rules import fault_message, fault_of
from kms_emulator.admin.state import state_message
from kms_emulator.calls import CallFilter, CallRecord
from kms_emulator.clock import ClockSetting
from kms_emulator.core import Core
from kms_emulator.model.faults import Planned
from kms_emulator.wire.times import duration, duration_ns, timestamp, timestamp_ns

CALLS_DEFAULT, CALLS_MAX = 1000, 10_000
TIME_MAX_NS = 253_402_300_799 * 1_000_000_000
"""LIMIT: the end of the year 9999, the last time a protobuf timestamp can hold."""


class Controls:
    """Acts on one core. Every method returns its answer, or raises RefusedError or MissingError and changes nothing.

    Attributes:
        endpoints: where each surface is served, and the path of the certificate; set by the server.
        failpoints: faults by the paths of the tests of MongoDB's drivers.
    """

    def __init__(self, core: Core, data_dir: str) -> None:
        self._core, self._data_dir = core, data_dir
        self.endpoints: dict[str, str] = {}
        self.failpoints = Failpoints(core)
        self._started_ns = core.clock.host_ns()

    def server_info(self, _: pb.GetServerInfoRequest) -> pb.ServerInfo:
        """Say which server this is."""
        return pb.ServerInfo(
            version=__version__,
            pid=os.getpid(),
            data_dir=self._data_dir,
            started_at=timestamp(self._started_ns),
            key_count=len(self._core.registry),
            endpoints=self.endpoints,
        )

    # -- clock

    def get_clock(self, _: pb.GetClockRequest) -> pb.Clock:
        """Return the virtual time."""
        now_ns, setting = self._core.now_ns(), self._core.clock.setting
        offset_ns = now_ns - self._core.clock.host_ns() if setting.frozen_ns is not None else setting.offset_ns
        return pb.Clock(now=timestamp(now_ns), frozen=setting.frozen_ns is not None, offset=duration(offset_ns))

    def advance_clock(self, request: pb.AdvanceClockRequest) -> pb.Clock:
        """Move time forward, and do what was due on the way."""
        by_ns = duration_ns(request.by)
        if by_ns < 0:
            raise RefusedError("time is advanced by zero or more; use SetClock to set it back")
        if self._core.clock.now_ns() + by_ns > TIME_MAX_NS:
            raise RefusedError("time ends with the year 9999")
        self._core.set_clock(self._core.clock.advance(by_ns))
        return self.get_clock(pb.GetClockRequest())

    def set_clock(self, request: pb.SetClockRequest) -> pb.Clock:
        """Set the time, or go back to the host's."""
        clock = self._core.clock
        if request.HasField("now"):
            if not 0 <= timestamp_ns(request.now) <= TIME_MAX_NS:
                raise RefusedError("time must lie between 1970 and the year 9999")
            setting = clock.at(timestamp_ns(request.now), frozen=request.frozen)
        else:
            setting = clock.at(clock.host_ns(), frozen=True) if request.frozen else ClockSetting()
        self._core.set_clock(setting)
        return self.get_clock(pb.GetClockRequest())

    # -- calls

    def list_calls(self, request: pb.ListCallsRequest) -> pb.ListCallsResponse:
        """Return the calls that pass the filter, oldest first."""
        if not 0 <= request.limit <= CALLS_MAX:
            raise RefusedError(f"limit must be between 1 and {CALLS_MAX}")
        wanted = CallFilter(
            request.provider, request.operation, request.key, request.outcome, request.caller, request.after_number
        )
        try:
            check_filter(self._core, wanted)
        except ValueError as error:
            raise RefusedError(str(error)) from None
        found = islice(self._core.calls.select(wanted), request.limit or CALLS_DEFAULT)
        log = self._core.calls
        return pb.ListCallsResponse(calls=[_call(call) for call in found], total=log.total, dropped=log.dropped)

    def get_metrics(self, _: pb.GetMetricsRequest) -> pb.Metrics:
        """Return counters and gauges as text."""
        return pb.Metrics(text=metrics_text(self._core))

    # -- faults

    def add_fault(self, request: pb.Fault) -> pb.Fault:
        """Plan a fault for the calls that come after this."""
        try:
            return fault_message(Planned(self._core.faults.add(fault_of(request))))
        except ValueError as error:
            raise RefusedError(str(error)) from None

    def list_faults(self, _: pb.ListFaultsRequest) -> pb.ListFaultsResponse:
        """Return the faults, oldest first, and what became of them."""
        return pb.ListFaultsResponse(faults=[fault_message(planned) for planned in self._core.faults.planned()])

    def remove_faults(self, request: pb.RemoveFaultsRequest) -> pb.RemoveFaultsResponse:
        """Remove one fault, or all; calls that hang because of it end."""
        if not request.number:
            removed = len(self._core.faults)
            self._core.faults.clear()
            return pb.RemoveFaultsResponse(removed=removed)
        if not self._core.faults.remove(request.number):
            raise MissingError(f"there is no fault {request.number}")
        return pb.RemoveFaultsResponse(removed=1)

    # -- users

    def put_user(self, request: pb.PutUserRequest) -> pb.User:
        """Create or change a user."""
        return users.put_user(self._core, request)

    def list_users(self, _: pb.ListUsersRequest) -> pb.ListUsersResponse:
        """Return all users, without secrets."""
        return pb.ListUsersResponse(users=users.list_users(self._core))

    def remove_user(self, request: pb.RemoveUserRequest) -> pb.RemoveUserResponse:
        """Remove a user."""
        users.remove_user(self._core, request.name)
        return pb.RemoveUserResponse()

    # -- service accounts

    def put_service_account(self, request: pb.PutServiceAccountRequest) -> pb.ServiceAccount:
        """Create or change a service account."""
        return service_accounts.put_service_account(self._core, request)

    def list_service_accounts(self, _: pb.ListServiceAccountsRequest) -> pb.ListServiceAccountsResponse:
        """Return all service accounts."""
        return pb.ListServiceAccountsResponse(service_accounts=service_accounts.list_service_accounts(self._core))

    def remove_service_account(self, request: pb.RemoveServiceAccountRequest) -> pb.RemoveServiceAccountResponse:
        """Remove a service account."""
        service_accounts.remove_service_account(self._core, request.email)
        return pb.RemoveServiceAccountResponse()

    # -- everything

    def get_state(self, _: pb.GetStateRequest) -> pb.State:
        """Return everything there is, without key material and secrets."""
        found = state_message(self._core)
        found.clock.CopyFrom(self.get_clock(pb.GetClockRequest()))
        return found

    # -- Azure's applications and vaults

    def put_application(self, request: pb.PutApplicationRequest) -> pb.Application:
        """Create or change an application."""
        return vaults.put_application(self._core, request)

    def list_applications(self, _: pb.ListApplicationsRequest) -> pb.ListApplicationsResponse:
        """Return all applications, without secrets."""
        return vaults.list_applications(self._core)

    def remove_application(self, request: pb.RemoveApplicationRequest) -> pb.RemoveApplicationResponse:
        """Remove an application."""
        return vaults.remove_application(self._core, request)

    def put_vault(self, request: pb.PutVaultRequest) -> pb.Vault:
        """Describe a vault."""
        return vaults.put_vault(self._core, request)

    def list_vaults(self, _: pb.ListVaultsRequest) -> pb.ListVaultsResponse:
        """Return the vaults that were described."""
        return vaults.list_vaults(self._core)

    # -- the guard of keys in use

    def get_guard(self, _: pb.GetGuardRequest) -> pb.Guard:
        """Return the switch and all uses."""
        return guard.guard_message(self._core)

    def set_guard(self, request: pb.SetGuardRequest) -> pb.Guard:
        """Turn the guard on or off."""
        self._core.guard.switch(request.on)
        return guard.guard_message(self._core)

    def add_key_use(self, request: pb.KeyUse) -> pb.KeyUse:
        """Note that somebody uses a key."""
        return guard.add_use(self._core, request)

    def remove_key_uses(self, request: pb.RemoveKeyUsesRequest) -> pb.RemoveKeyUsesResponse:
        """Forget uses."""
        return guard.remove_uses(self._core, request)

    def reset(self, _: pb.ResetRequest) -> pb.ResetResponse:
        """Go back to the seed."""
        self._core.reset()
        return pb.ResetResponse()


def _call(call: CallRecord) -> pb.Call:
    return pb.Call(
        number=call.number,
        time=timestamp(call.time_ns),
        provider=call.provider,
        operation=call.operation,
        key=call.key,
        key_version=call.key_version,
        outcome=call.outcome,
        plaintext_bytes=call.plaintext_bytes,
        ciphertext_bytes=call.ciphertext_bytes,
        caller=call.caller,
        access_key_id=call.access_key_id,
        address=call.address,
        fault=call.fault,
    )
