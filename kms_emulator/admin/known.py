"""What filters and faults may ask for: operations and outcomes that there are.

A slip of the pen would otherwise find nothing, or never fire, and look like a test that passed.
"""

import difflib
from collections.abc import Iterable

import grpc

from kms_emulator.calls import CallFilter
from kms_emulator.core import Core
from kms_emulator.model.faults import PROVIDERS
from kms_emulator.wire.aws import sts
from kms_emulator.wire.aws.adapter import AWS
from kms_emulator.wire.aws.shapes import api
from kms_emulator.wire.azure.adapter import AZURE
from kms_emulator.wire.faults import CLOSED_OUTCOME, HUNG_OUTCOME
from kms_emulator.wire.gcp import token_endpoint
from kms_emulator.wire.gcp.adapter import GCP, GCP_IAM
from kms_emulator.wire.perform import CANCELLED_CODE, INTERNAL_CODE

OPERATIONS = {
    "aws": frozenset((*AWS.operations, *sts.ACTIONS)),
    "azure": frozenset(AZURE.operations),
    "gcp": frozenset((*GCP.operations, *GCP_IAM.operations, token_endpoint.OPERATION)),
}
"""Operations by cloud, as the call log names them."""

OUTCOMES = frozenset(
    (
        *("OK", CLOSED_OUTCOME, HUNG_OUTCOME, CANCELLED_CODE, INTERNAL_CODE),
        *(status.name for status in grpc.StatusCode),
        *("AccessDenied", "AccessDeniedException", "ExpiredToken", "ExpiredTokenException", "IncompleteSignature"),
        *("IncompleteSignatureException", "InternalFailure", "InvalidAction", "InvalidClientTokenId"),
        *("InvalidSignatureException", "MissingAuthenticationToken", "MissingAuthenticationTokenException"),
        *("NotAuthorizedException", "SerializationException", "SignatureDoesNotMatch", "Throttling"),
        *("ThrottlingException", "ServiceUnavailableException", "UnknownOperationException"),
        *("UnrecognizedClientException", "ValidationError", "ValidationException"),
        *("AuthorizationFailed", "BadParameter", "Conflict", "Forbidden", "InternalServerError", "KeyNotFound"),
        *("MethodNotAllowed", "NotFound", "ServiceUnavailable", "Throttled", "Unauthorized"),
    )
)
"""How calls can end, besides the errors of AWS's model: without an answer, in Google's words, in AWS's, in Azure's."""


def check_operation(provider: str, operation: str) -> None:
    """ValueError, with what may have been meant, for an operation that no call can have; nothing stands for all."""
    if not operation or provider not in ("", *PROVIDERS):
        return
    there_are = OPERATIONS[provider] if provider else frozenset[str]().union(*OPERATIONS.values())
    if operation not in there_are:
        whose = f"{provider} has no" if provider else "no cloud has an"
        raise ValueError(f"{whose} operation {operation!r}{_meant(operation, there_are)}")


def check_filter(core: Core, wanted: CallFilter) -> None:
    """ValueError, with what there is, for a filter that no call can pass: no such cloud, operation or outcome."""
    if wanted.provider not in ("", *PROVIDERS):
        raise ValueError(f"there is no provider {wanted.provider!r}; there are {', '.join(PROVIDERS)}")
    check_operation(wanted.provider, wanted.operation)
    logged = {outcome for _, _, outcome in core.calls.counts}
    planned = {planned.fault.code for planned in core.faults.planned()}
    there_are = {*OUTCOMES, *api().errors, *logged, *planned}
    if wanted.outcome and wanted.outcome not in there_are:
        so_far = f"; calls have ended in {', '.join(sorted(logged))}" if logged else ""
        raise ValueError(f"no call ends in {wanted.outcome!r}{_meant(wanted.outcome, there_are)}{so_far}")


def _meant(wrong: str, names: Iterable[str]) -> str:
    by_lower = {name.lower(): name for name in sorted(names)}
    near = difflib.get_close_matches(wrong.lower(), by_lower, n=3)
    return f"; did you mean {' or '.join(by_lower[name] for name in near)}?" if near else ""
