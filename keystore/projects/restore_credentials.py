"""The credentials with which a member opens a snapshot: its own, and those of the snapshot's day, by their id.

The member tries those of that day first, then its own, always on the key that the snapshot names; what it used stands
in the restore job.
"""

from keystore.control.clusters import Cluster
from keystore.kms.endpoints import is_url
from keystore.kms.given import GivenCredentials
from keystore.projects.connecting import ProjectKms
from keystore.projects.plane import ProjectPlane
from keystore.projects.snapshot_rows import SnapshotRow


def own_credentials(plane: ProjectPlane, cluster: Cluster, project_id: str) -> bytes:
    """Return the message that a member of a cluster of a project has in use; empty where it needs none."""
    if plane.kms_endpoint is not None and not is_url(plane.kms_endpoint):
        return b""  # gRPC carries none
    return ProjectKms(plane, project_id).message([cluster.key_uri])


def credentials_for(plane: ProjectPlane, cluster: Cluster, project_id: str, row: SnapshotRow) -> bytes:
    """Return the message with which it opens a snapshot, which may be of another project."""
    own = own_credentials(plane, cluster, project_id)
    if not own or row.credential_id is None:
        return own
    of_then = ProjectKms(plane, row.project_id).message([], [row.credential_id])
    if not of_then:
        return own
    return GivenCredentials.decode(own).with_sections_of(GivenCredentials.decode(of_then)).encode()
