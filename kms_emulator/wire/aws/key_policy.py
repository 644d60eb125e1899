"""The policy of a key: what it is when nobody set one, and what a new one must be."""

from kms_emulator.model.keys import Key
from kms_emulator.model.policy import Policy, PolicyError, PolicyKind, parse_policy
from kms_emulator.wire.aws.errors import aws_error
from kms_emulator.wire.aws.principals import ACCOUNT_PATTERN, DEFAULT_ROOT, is_principal

ATTRIBUTE = "policy"
"""Where a key has its policy; without it the default one holds."""

POLICY_BYTES_MAX = 32_768
"""LIMIT: bytes of a key policy (AWS KMS developer guide, "Resource quotas")."""

DEFAULT_POLICY = f"""{{
  "Version" : "2012-10-17",
  "Id" : "key-default-1",
  "Statement" : [ {{
    "Sid" : "Enable IAM User Permissions",
    "Effect" : "Allow",
    "Principal" : {{
      "AWS" : "{DEFAULT_ROOT}"
    }},
    "Action" : "kms:*",
    "Resource" : "*"
  }} ]
}}"""
"""The account's root may do everything, and with it whoever the account's own policies allow."""


def policy_of(key: Key) -> str:
    """Return the document of a key's policy."""
    return key.attributes.get(ATTRIBUTE) or DEFAULT_POLICY


def check_policy(text: str) -> Policy:
    """Return a new key policy, understood.

    Raises:
        CloudError: MalformedPolicyDocumentException, LimitExceededException.
    """
    if len(text.encode()) > POLICY_BYTES_MAX:
        raise aws_error("LimitExceededException", f"The key policy is larger than {POLICY_BYTES_MAX} bytes.")
    try:
        policy = parse_policy(text, PolicyKind.RESOURCE)
    except PolicyError as error:
        raise aws_error("MalformedPolicyDocumentException", f"The policy is malformed: {error}.") from None
    if not all(_is_named(principal) for principal in policy.principals()):
        text = "Policy contains a statement with one or more invalid principals."
        raise aws_error("MalformedPolicyDocumentException", text)
    return policy


def _is_named(principal: str) -> bool:
    other_kind = principal.partition(":")[0] in ("Service", "Federated", "CanonicalUser")
    return principal == "*" or other_kind or bool(ACCOUNT_PATTERN.fullmatch(principal)) or is_principal(principal)
