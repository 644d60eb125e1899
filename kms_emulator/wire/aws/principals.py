"""Names of principals: ARNs of users, roles, sessions and account roots, and the ids that IAM gives them."""

import base64
import re
from collections.abc import Callable

from kms_emulator.model.identities import IdentityKind
from kms_emulator.wire.aws import names

ACCOUNT_PATTERN = re.compile(r"[0-9]{12}")
PRINCIPAL_PATTERN = re.compile(
    r"arn:aws[a-z-]*:(?:"
    r"iam::(?P<account>[0-9]{12}):(?P<kind>root|user/|role/)(?P<name>(?:[!-~]*/)?[\w+=,.@-]+)?"
    r"|sts::(?P<session_account>[0-9]{12}):(?P<session_kind>assumed-role|federated-user)/(?P<session>[\w+=,.@/-]+))"
)
ACCESS_KEY_ID_PATTERN = re.compile(r"\w{16,128}", re.ASCII)
SECRET_CHARACTERS_MAX = 128
NAME_PATTERN = re.compile(r"[\w+=,.@-]{1,64}")
_ID_PREFIX = {IdentityKind.USER: "AIDA", IdentityKind.ROLE: "AROA", IdentityKind.ROOT: ""}
ACCESS_KEY_PREFIX, SESSION_KEY_PREFIX = "AKIA", "ASIA"


def root_arn(account: str) -> str:
    """Return the name of an account's root."""
    return f"arn:aws:iam::{account}:root"


def identity_arn(account: str, kind: IdentityKind, name: str, path: str = "/") -> str:
    """Return the name of a user or role; `path` begins and ends with a slash."""
    return root_arn(account) if kind is IdentityKind.ROOT else f"arn:aws:iam::{account}:{kind.value}{path}{name}"


def session_arn(role_arn: str, session_name: str) -> str:
    """Return the name of a role's session: without the role's path, as AWS has it."""
    account = account_of(role_arn)
    return f"arn:aws:sts::{account}:assumed-role/{name_of(role_arn)}/{session_name}"


def account_of(arn: str) -> str:
    """Return the account of a principal's ARN."""
    return arn.split(":", 5)[4]


def name_of(arn: str) -> str:
    """Return the last part of a user's or role's ARN."""
    return arn.rpartition("/")[2]


def is_principal(arn: str) -> bool:
    """Tell whether the text is the ARN of a user, a role, a session or a root."""
    found = PRINCIPAL_PATTERN.fullmatch(arn)
    return found is not None and (found["kind"] is None or (found["kind"] == "root") is (found["name"] is None))


def new_id(kind: IdentityKind, account: str, entropy: Callable[[int], bytes]) -> str:
    """Return a fresh id as IAM writes them; a root's is its account."""
    return account if kind is IdentityKind.ROOT else _ID_PREFIX[kind] + _letters(entropy)


def new_access_key_id(prefix: str, entropy: Callable[[int], bytes]) -> str:
    """Return a fresh access key id."""
    return prefix + _letters(entropy)


def new_secret(entropy: Callable[[int], bytes]) -> str:
    """Return a fresh secret access key: 40 characters."""
    return base64.b64encode(entropy(30)).decode()


def _letters(entropy: Callable[[int], bytes]) -> str:
    return base64.b32encode(entropy(10)).decode()


DEFAULT_ROOT = root_arn(names.ACCOUNT_ID)
"""Whom a caller passes for whose access key nobody knows."""
