"""The policies of key rings, keys and import jobs: kept, checked, and read for what a principal may do.

What holds for a resource is what its own policy says and that of its key ring. A service account's roles in its project
come on top: they hold for everything.
"""

import base64
import contextlib
import re
from dataclasses import replace

from keystore_api.google_iam.v1 import iam_pb2 as pb

from kms_emulator.core import Core
from kms_emulator.model import lifecycle
from kms_emulator.model.errors import KeyMissingError
from kms_emulator.model.keys import Folder, Key
from kms_emulator.model.registry import SERVICE_REALM
from kms_emulator.wire.gcp import names
from kms_emulator.wire.gcp.errors import invalid, not_emulated
from kms_emulator.wire.gcp.roles import ROLES, permissions_of

POLICY = "iam-policy"
"""The attribute of a key, key ring or import job that holds its policy."""

MEMBERS_MAX = 1500
"""LIMIT: members in all bindings of a policy (IAM quotas)."""

ETAG_NONE = b"\x00\x20\x01"
"""The etag of a resource that never had a policy: ACAB in base64, as Google sends it."""

_MEMBER_PATTERN = re.compile(r"(?:user|serviceAccount|group|domain):[^\s:]+|allUsers|allAuthenticatedUsers")
_VERSIONS = (0, 1, 3)
Resource = Key | Folder


def policy_of(resource: Resource) -> pb.Policy:
    """Return a resource's policy, an empty one if it never had any."""
    stored = resource.attributes.get(POLICY)
    return pb.Policy(etag=ETAG_NONE) if stored is None else pb.Policy.FromString(base64.b64decode(stored))


def put_policy(core: Core, resource: Resource, policy: pb.Policy, now_ns: int) -> None:
    """Store a policy that was checked."""
    attributes = {**resource.attributes, **policy_attribute(policy)}
    if isinstance(resource, Folder):
        core.registry.put_folder(replace(resource, attributes=attributes))
    else:
        core.registry.put(lifecycle.describe(resource, attributes, now_ns))


def policy_attribute(policy: pb.Policy) -> dict[str, str]:
    """Return the attribute that keeps a policy."""
    return {POLICY: base64.b64encode(policy.SerializeToString(deterministic=True)).decode()}


def check_policy(policy: pb.Policy) -> None:
    """Refuse what no policy may say, and what this emulator would not follow."""
    if policy.version not in _VERSIONS:
        raise invalid(f"Invalid policy version {policy.version}.")
    if policy.audit_configs:
        raise not_emulated("An audit configuration")
    for binding in policy.bindings:
        if binding.role not in ROLES:
            raise invalid(f"Role {binding.role} is not supported for this resource.")
        if binding.HasField("condition"):
            raise not_emulated("A condition of a binding")
        for member in binding.members:
            if not _MEMBER_PATTERN.fullmatch(member):
                raise invalid(f"Invalid member '{member}' in the binding of {binding.role}.")
    if sum(len(binding.members) for binding in policy.bindings) > MEMBERS_MAX:
        raise invalid(f"A policy has at most {MEMBERS_MAX} members.")


def permissions(core: Core, email: str, resource: str) -> frozenset[str]:
    """Return what a service account may do to the resource of that name, which need not exist."""
    identity = core.identities.get(email)
    found = frozenset[str]().union(*(permissions_of(role) for role in (identity.policies if identity else ())))
    members = {f"serviceAccount:{email}", "allUsers", "allAuthenticatedUsers"}
    for holder in _holders(core, resource):
        bindings = policy_of(holder).bindings
        found |= found.union(*(permissions_of(item.role) for item in bindings if members & set(item.members)))
    return found


def _holders(core: Core, resource: str) -> list[Resource]:
    """Return the resources whose policies hold for a name: what it names, and its key ring, as far as they exist."""
    found: list[Resource] = []
    ring_match = names.RING_PATTERN.match(resource)
    key_match = names.KEY_PATTERN.match(resource)
    job_match = names.IMPORT_JOB_PATTERN.match(resource)
    ring = core.registry.folder(names.REALM, ring_match[0]) if ring_match else None
    if ring is not None:
        found.append(ring)
    if key_match:
        with contextlib.suppress(KeyMissingError):
            found.append(core.registry.key(names.REALM, key_match[0]))
    if job_match:
        with contextlib.suppress(KeyMissingError):
            found.append(core.registry.key(SERVICE_REALM, job_match[0]))
    return found
