"""Whether a caller may do what it asks for: key policies, policies of identities and sessions, and grants.

Every operation that means a key comes by here, through `lookup.find_key`; what means no key comes through
`authorize_account`. Held to it are known callers only: everybody else is the account's root, whom nothing stops.

In this order: a deny anywhere refuses, and so does a session's policy that does not allow; then the key's policy must
allow, either the caller itself or its account, and in the latter case the caller's own policies must too; otherwise a
grant may. A caller of another account needs both the key's policy and its own. Source: AWS KMS developer guide,
"Determining access to AWS KMS keys".

What a refusal says: it names the missing permission, and no more of a key than the caller may know. Unless the key's
policy denies explicitly, a key that does not exist and one that the caller's own policies do not cover are answered
with the same words.
"""

from dataclasses import dataclass

from kms_emulator.model.grants import Grant
from kms_emulator.model.identities import Credential, Identity, IdentityKind
from kms_emulator.model.keys import Key
from kms_emulator.model.policy import AccessRequest, Decision, PolicyKind, parse_policy, strongest
from kms_emulator.wire.aws import names
from kms_emulator.wire.aws.errors import aws_error
from kms_emulator.wire.aws.key_policy import policy_of
from kms_emulator.wire.aws.principals import name_of, root_arn
from kms_emulator.wire.aws.request_values import encryption_context, values_of
from kms_emulator.wire.call import Call, Caller, CloudError

ANY_RESOURCE = "*"
CROSS_ACCOUNT = frozenset({
    "CreateGrant", "Decapsulate", "Decrypt", "DeriveSharedSecret", "DescribeKey", "Encapsulate", "Encrypt",
    "GenerateDataKey", "GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext", "GenerateDataKeyWithoutPlaintext",
    "GenerateMac", "GetKeyRotationStatus", "GetPublicKey", "ListGrants", "ReEncryptFrom", "ReEncryptTo", "RetireGrant",
    "RevokeGrant", "Sign", "Verify", "VerifyMac",
})  # fmt: skip
"""Actions that a caller of another account may be allowed; source: developer guide, "AWS KMS permissions"."""

_HIDDEN = (
    "because the resource does not exist in this Region, no resource-based policies allow access, or a resource-based "
    "policy explicitly denies access"
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why something is refused, in AWS's words, or nothing; `final` if no grant helps."""

    refused: str = ""
    final: bool = False


ALLOWED = Verdict()


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a caller: the identity behind it, and the credential it came with."""

    caller: Caller
    identity: Identity | None
    credential: Credential | None

    @property
    def names(self) -> frozenset[str]:
        """Return every name by which a policy may mean exactly this caller."""
        found = {self.caller.arn}
        if self.identity is not None:
            found.add(self.identity.name)
        return frozenset(found) | (self.account_names if self.is_root else frozenset())

    @property
    def account_names(self) -> frozenset[str]:
        """Return the names that mean everybody in the caller's account."""
        return frozenset({root_arn(self.caller.account), self.caller.account})

    @property
    def is_root(self) -> bool:
        """Tell whether it is the root of its account."""
        return self.caller.arn == root_arn(self.caller.account)

    def judge(self, request: AccessRequest) -> Verdict:
        """Return what the caller's own policies say."""
        texts = self.identity.policies.values() if self.identity is not None else ()
        own = strongest(parse_policy(text, PolicyKind.IDENTITY).decide(request) for text in texts)
        limit = Decision.ALLOWED
        if self.credential is not None and self.credential.policy:
            limit = parse_policy(self.credential.policy, PolicyKind.IDENTITY).decide(request)
        if own is Decision.DENIED:
            return Verdict("with an explicit deny in an identity-based policy", final=True)
        if limit is Decision.DENIED:
            return Verdict("with an explicit deny in a session policy", final=True)
        if limit is not Decision.ALLOWED:
            return Verdict(_no_policy("session", request), final=True)
        if own is Decision.ALLOWED or self.is_root:
            return ALLOWED
        return Verdict(_no_policy("identity-based", request))

    def values(self) -> dict[str, tuple[str, ...]]:
        """Return the condition keys that say who calls."""
        kind = self.identity.kind if self.identity is not None else IdentityKind.ROOT
        role = kind is IdentityKind.ROLE
        found: dict[str, tuple[str, ...]] = {
            "aws:principalarn": (self.identity.name if self.identity is not None else self.caller.arn,),
            "aws:principalaccount": (self.caller.account,),
            "kms:calleraccount": (self.caller.account,),
            "aws:principaltype": ({"user": "User", "role": "AssumedRole", "root": "Account"}[kind.value],),
            "aws:principalisawsservice": ("false",),
            "aws:viaawsservice": ("false",),
        }
        if kind is IdentityKind.USER:
            found["aws:username"] = (name_of(self.caller.arn),)
        if self.identity is not None:
            session = f":{name_of(self.caller.arn)}" if role else ""
            found["aws:userid"] = (self.identity.id + session,)
        if self.credential is not None and self.credential.expires_ns is not None:
            found["aws:multifactorauthpresent"] = ("false",)
        return found


def standing_of(call: Call) -> Standing:
    """Return what is known of the caller."""
    identities = call.core.identities
    credential = identities.credential(call.caller.access_key_id)
    return Standing(call.caller, identities.get(credential.identity if credential else call.caller.arn), credential)


def authorize(call: Call, key: Key, *, action: str = "", asked: str = "", by_grants: bool = True) -> None:
    """Refuse the call unless the caller may do `action` (the operation's own, if not given) with the key.

    `asked` is the ARN by which the caller named the key: a refusal names no other. `by_grants` tells whether grants on
    the key can allow it.

    Raises:
        CloudError: AccessDeniedException.
    """
    if not call.caller.known:
        return
    standing, action = standing_of(call), action or call.operation
    request = access_request(call, standing, action, names.key_arn(key), key)
    verdict = _judge(call, standing, request, key, action, by_grants=by_grants)
    if verdict.refused:
        raise _denied(call, request.action, f"resource: {asked or request.resource} {verdict.refused}")


def authorize_missing(call: Call, asked: str, *, action: str = "") -> None:
    """Refuse a call about a key that does not exist, unless the caller may learn that it does not."""
    authorize_account(call, action=action, resource=asked)


def authorize_ciphertext(call: Call, key: Key | None, *, action: str = "") -> None:
    """Refuse the call unless the caller may use the key that a ciphertext names; None if there is no such key here."""
    if not call.caller.known:
        return
    standing, action = standing_of(call), action or call.operation
    resource = names.key_arn(key) if key is not None else ANY_RESOURCE
    request = access_request(call, standing, action, resource, key)
    if key is None or _judge(call, standing, request, key, action).refused:
        raise _denied(call, request.action, f"the resource associated with this ciphertext {_HIDDEN}")


def authorize_account(call: Call, *, action: str = "", resource: str = ANY_RESOURCE) -> None:
    """Refuse a call that means no key, unless the caller's own policies allow it."""
    if not call.caller.known:
        return
    standing, action = standing_of(call), action or call.operation
    request = access_request(call, standing, action, resource, None)
    refused = standing.judge(request).refused
    if call.caller.account != names.ACCOUNT_ID:
        refused = _HIDDEN
    if refused:
        raise _denied(call, request.action, f"resource: {resource} {refused}")


def access_request(call: Call, standing: Standing, action: str, resource: str, key: Key | None) -> AccessRequest:
    """Return what is asked of policies."""
    values = values_of(call, action, key) | standing.values()
    return AccessRequest(f"kms:{action}", resource, standing.names, standing.account_names, values)


def allowing_grants(call: Call, key: Key, action: str) -> list[Grant]:
    """Return the grants that let the caller do `action` with the key."""
    standing = standing_of(call)
    context = encryption_context(call.request, action)
    found = (grant for grant in call.registry.grants.usable(key.uid) if grant.grantee in standing.names)
    return [grant for grant in found if grant.allows(action, context)]


def policies_allow(call: Call, key: Key, action: str, policy: str = "") -> bool:
    """Tell whether policies alone, without grants, allow the caller an action; `policy` stands for the key's own."""
    standing = standing_of(call)
    request = access_request(call, standing, action, names.key_arn(key), key)
    return not _judge_policies(standing, request, policy or policy_of(key), action).refused


def _judge(
    call: Call, standing: Standing, request: AccessRequest, key: Key, action: str, *, by_grants: bool = True
) -> Verdict:
    verdict = _judge_policies(standing, request, policy_of(key), action)
    if by_grants and verdict.refused and not verdict.final and allowing_grants(call, key, action):
        return ALLOWED
    return verdict


def _judge_policies(standing: Standing, request: AccessRequest, key_policy: str, action: str) -> Verdict:
    stranger = standing.caller.account != names.ACCOUNT_ID
    own = standing.judge(request)
    if own.final:
        return own
    of_key = parse_policy(key_policy, PolicyKind.RESOURCE).decide(request)
    if of_key is Decision.DENIED:
        return Verdict(_HIDDEN if stranger else "with an explicit deny in a resource-based policy", final=True)
    if of_key is Decision.ALLOWED and not stranger:
        return ALLOWED
    if stranger and (of_key is Decision.SILENT or action not in CROSS_ACCOUNT):
        return Verdict(_HIDDEN)
    if own.refused or of_key is not Decision.SILENT:
        return own
    return Verdict(_no_policy("resource-based", request))


def _no_policy(kind: str, request: AccessRequest) -> str:
    return f"because no {kind} policy allows the {request.action} action"


def _denied(call: Call, action: str, rest: str) -> CloudError:
    return aws_error(
        "AccessDeniedException", f"User: {call.caller.arn} is not authorized to perform: {action} on {rest}"
    )
