"""Admin over gRPC."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import Message
from keystore_api.admin.v1 import admin_pb2 as pb

from kms_emulator.admin.controls import Controls
from kms_emulator.admin.errors import MissingError, RefusedError
from kms_emulator.wire.perform import internal_error

SERVICE = "keystore_api.admin.v1.Admin"

Context = grpc.aio.ServicerContext[Any, Any]
Request = TypeVar("Request", bound=Message)


def admin_handler(controls: Controls) -> grpc.GenericRpcHandler:
    """Return the handler of all operations."""
    methods: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        "GetServerInfo": _method(pb.GetServerInfoRequest, controls.server_info),
        "GetClock": _method(pb.GetClockRequest, controls.get_clock),
        "AdvanceClock": _method(pb.AdvanceClockRequest, controls.advance_clock),
        "SetClock": _method(pb.SetClockRequest, controls.set_clock),
        "ListCalls": _method(pb.ListCallsRequest, controls.list_calls),
        "GetMetrics": _method(pb.GetMetricsRequest, controls.get_metrics),
        "AddFault": _method(pb.Fault, controls.add_fault),
        "ListFaults": _method(pb.ListFaultsRequest, controls.list_faults),
        "RemoveFaults": _method(pb.RemoveFaultsRequest, controls.remove_faults),
        "PutUser": _method(pb.PutUserRequest, controls.put_user),
        "ListUsers": _method(pb.ListUsersRequest, controls.list_users),
        "RemoveUser": _method(pb.RemoveUserRequest, controls.remove_user),
        "PutServiceAccount": _method(pb.PutServiceAccountRequest, controls.put_service_account),
        "ListServiceAccounts": _method(pb.ListServiceAccountsRequest, controls.list_service_accounts),
        "RemoveServiceAccount": _method(pb.RemoveServiceAccountRequest, controls.remove_service_account),
        "PutApplication": _method(pb.PutApplicationRequest, controls.put_application),
        "ListApplications": _method(pb.ListApplicationsRequest, controls.list_applications),
        "RemoveApplication": _method(pb.RemoveApplicationRequest, controls.remove_application),
        "PutVault": _method(pb.PutVaultRequest, controls.put_vault),
        "ListVaults": _method(pb.ListVaultsRequest, controls.list_vaults),
        "GetGuard": _method(pb.GetGuardRequest, controls.get_guard),
        "SetGuard": _method(pb.SetGuardRequest, controls.set_guard),
        "AddKeyUse": _method(pb.KeyUse, controls.add_key_use),
        "RemoveKeyUses": _method(pb.RemoveKeyUsesRequest, controls.remove_key_uses),
        "GetState": _method(pb.GetStateRequest, controls.get_state),
        "Reset": _method(pb.ResetRequest, controls.reset),
    }
    return grpc.method_handlers_generic_handler(SERVICE, methods)


def _method(
    request_type: type[Request], run: Callable[[Request], Message]
) -> "grpc.RpcMethodHandler[Request, Message]":
    async def answer(request: Request, context: Context) -> Message:
        try:
            return run(request)
        except MissingError as error:
            return await _refuse(context, grpc.StatusCode.NOT_FOUND, str(error))
        except RefusedError as error:
            return await _refuse(context, grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except Exception as error:
            failed = internal_error(f"admin {request.DESCRIPTOR.name}", error)
            return await _refuse(context, failed.status, failed.message)

    handler: Callable[[Request, Context], Awaitable[Message]] = answer
    return grpc.unary_unary_rpc_method_handler(
        handler, request_deserializer=request_type.FromString, response_serializer=_serialize
    )


async def _refuse(context: Context, status: grpc.StatusCode, message: str) -> Message:
    await context.abort(status, message)


def _serialize(answer: Message) -> bytes:
    return answer.SerializeToString()
