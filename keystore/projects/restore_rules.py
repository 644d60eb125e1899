"""Which snapshot may be restored into which deployment. Pure; the texts are Atlas's where it has one.

Leaves to others: whether the key of the snapshot's day can be used, which the target's nodes find out
(`keystore.projects.restores`).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from keystore.errors import ApiError
from keystore.projects.codes import Code

NONE = "NONE"
"""The provider of a deployment, and of a snapshot, without customer keys."""

NOT_INTO_ENCRYPTED = "Can't restore a non-encrypted snapshot to a cluster with Encryption at Rest enabled."
NOT_INTO_PLAIN = "Target cluster doesn't have encryption enabled."
OTHER_PROVIDER = "Encryption provider of target cluster doesn't match selected snapshot's encryption provider."
NO_CREDENTIALS = "Encryption credentials on snapshot aren't present."


@dataclass(frozen=True)
class RestoreSource:
    """A snapshot.

    Attributes:
        provider: whose key it needs; NONE without customer keys.
        region: of an AWS key.
        has_credentials: those of its day are there, or others for its provider.
    """

    id: str
    state: str
    provider: str
    region: str
    version: str
    has_credentials: bool


@dataclass(frozen=True)
class RestoreTarget:
    """The deployment that is to get its data; `region` is that of its AWS key."""

    name: str
    state: str
    provider: str
    region: str
    version: str
    has_open_restore: bool


def require_restorable(source: RestoreSource, target: RestoreTarget) -> None:
    """Refuse what may not be restored.

    Raises:
        ApiError: of the first rule that is broken.
    """
    for refusal in (*_of_states(source, target), *_of_keys(source, target)):
        raise refusal


def _of_states(source: RestoreSource, target: RestoreTarget) -> Iterator[ApiError]:
    if source.state != "completed":
        yield Code.SNAPSHOT_NOT_COMPLETED.error(source.id, source.state)
    if target.state == "PAUSED":
        yield Code.CLUSTER_PAUSED_CANNOT_RESTORE.error(target.name)
    if target.has_open_restore:
        yield Code.ATLAS_CLUSTER_RESTORE_IN_PROGRESS.error(target.name)
    if target.state != "IDLE":
        yield Code.CANNOT_RESTORE_TO_TARGET.error(target.name, f"it is {target.state}")
    if _numbers(target.version) < _numbers(source.version):
        why = f"it has version {target.version}, and the snapshot needs {source.version} or later"
        yield Code.CANNOT_RESTORE_TO_TARGET.error(target.name, why)


def _of_keys(source: RestoreSource, target: RestoreTarget) -> Iterator[ApiError]:
    if source.provider != target.provider:
        told = NOT_INTO_ENCRYPTED if source.provider == NONE else OTHER_PROVIDER
        yield Code.INVALID_SNAPSHOT_RESTORE_ENCRYPTION.error(NOT_INTO_PLAIN if target.provider == NONE else told)
    elif source.provider == "AWS" and source.region != target.region:
        yield Code.INVALID_SNAPSHOT_RESTORE_ENCRYPTION.error(
            f"The snapshot's key is in region {source.region}, and that of cluster {target.name} in {target.region}. "
            "The keys may differ, their region may not."
        )
    if source.provider != NONE and not source.has_credentials:
        yield Code.INVALID_SNAPSHOT_RESTORE_ENCRYPTION.error(NO_CREDENTIALS)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())
