"""The way of deployments to their keys: clients and credentials of a project, for the control plane and for nodes.

Which credentials opened something is told by their id, the row of `credentials`; a snapshot keeps it, and finds them
again after the configuration has others.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import sqlalchemy as sa

from keystore.control.clusters import Cluster
from keystore.errors import KmsSetupError
from keystore.kms.connect import Connector, connect
from keystore.kms.credentials_file import Section
from keystore.kms.given import GivenCredentials
from keystore.kms.protocol import Kms, KmsConnector
from keystore.kms.uri import parse
from keystore.projects.fields import BLOCKS, Provider, Settings
from keystore.projects.plane import ProjectPlane
from keystore.projects.settings_rows import configuration_of, credential_blob, open_credentials
from keystore.projects.signing_in import credentials_of
from keystore.projects.tables import credentials, deployments


class ProjectKms:
    """Gives clients for keys of one project: a `KmsConnector` that knows credentials by name and keeps none."""

    def __init__(self, plane: ProjectPlane, project_id: str, otherwise: KmsConnector | None = None) -> None:
        """Know the project; `otherwise` gives clients for keys that are no provider's, such as the platform key."""
        self._plane, self._project_id = plane, project_id
        self._otherwise = otherwise

    def __call__(self, key_id: str) -> Kms:
        provider = provider_of(key_id)
        if provider is None:
            return connect(key_id) if self._otherwise is None else self._otherwise(key_id)
        section = self._present(provider)
        if section is None:
            raise KmsSetupError(f"{key_id}: the project has no credentials of {provider}. Nothing was sent; set them.")
        return self._connector(section)(key_id)

    def reference(self, key_id: str) -> str:
        """Return the id of the credentials in use for a key; empty where there are none."""
        provider = provider_of(key_id)
        section = None if provider is None else self._present(provider)
        return "" if section is None else section.name

    def by_reference(self, key_id: str, reference: str) -> Kms | None:
        """Return the client for a key under those credentials; None where they are not kept, or not for it."""
        section = self._kept(reference)
        if section is None or section.provider != parse(key_id).provider:
            return None
        return self._connector(section)(key_id)

    def message(self, key_uris: Iterable[str], references: Sequence[str] = ()) -> bytes:
        """Return what a node needs for these keys (`GivenCredentials.encode`); empty where it needs nothing.

        Args:
            references: ids of further credentials, for what was sealed with them.
        """
        providers = dict.fromkeys(found for uri in key_uris if (found := provider_of(uri)) is not None)
        present = [section for provider in providers if (section := self._present(provider)) is not None]
        kept = [section for each in references if (section := self._kept(each)) is not None]
        sections = {section.name: section for section in (*kept, *present)}
        if not sections:
            return b""
        return GivenCredentials(sections.values(), [section.name for section in present]).encode()

    def _connector(self, section: Section) -> Connector:
        given = GivenCredentials([section], [section.name])
        return Connector(self._plane.kms_endpoint, None, given, self._plane.source_address)

    def _present(self, provider: Provider) -> Section | None:
        with self._plane.database.read() as connection:
            found = configuration_of(connection, self._project_id, provider)
            blob = None if found is None else credential_blob(connection, found.credential_id)
        return None if found is None or blob is None else self._section(found.credential_id, provider, blob)

    def _kept(self, reference: str) -> Section | None:
        mine = (credentials.c.id == reference) & (credentials.c.project_id == self._project_id)
        with self._plane.database.read() as connection:
            row = connection.execute(sa.select(credentials).where(mine)).one_or_none()
        return None if row is None else self._section(row.id, row.provider, row.sealed)

    def _section(self, name: str, provider: Provider, blob: bytes) -> Section:
        who, secrets = open_credentials(self._plane.sealer, self._project_id, provider, blob)
        found = credentials_of(Settings(provider, who, secrets), self._plane.kms_endpoint)
        return Section(name, provider.lower(), found)


class DeploymentKms:
    """The way to the keys of clusters: a deployment's are its project's, any other's are as they were; a `ClusterKeys`.

    Clients for keys that are no customer's, such as the platform key, come from `otherwise`.
    """

    def __init__(self, plane: ProjectPlane, otherwise: KmsConnector) -> None:
        self._plane, self._otherwise = plane, otherwise

    def connector(self, cluster: str, source_address: str | None = None) -> KmsConnector:
        project_id = self._project(cluster)
        if project_id is None:
            return self._otherwise
        plane = self._plane if source_address is None else replace(self._plane, source_address=source_address)
        return ProjectKms(plane, project_id, self._otherwise)

    def message(self, cluster: Cluster, key_uris: Iterable[str] = ()) -> bytes:
        project_id = self._project(cluster.name)
        if project_id is None:
            return b""
        return ProjectKms(self._plane, project_id).message([cluster.key_uri, *key_uris])

    def _project(self, cluster: str) -> str | None:
        mine = sa.select(deployments.c.project_id).where(deployments.c.id == cluster)
        with self._plane.database.read() as connection:
            found: str | None = connection.scalar(mine)
        return found


def provider_of(key_uri: str) -> Provider | None:
    """Return the provider of a key by its URI; None for a key of this machine."""
    scheme = parse(key_uri).provider
    return next((provider for provider in BLOCKS if provider.lower() == scheme), None)
