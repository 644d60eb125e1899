"""What projects of an organisation share at Azure that better each had for itself; requirements, row R111."""

import sqlalchemy as sa

from keystore.projects.settings_rows import Configuration
from keystore.projects.tables import configurations, projects

_SHARED = {"keyVaultName": "vault", "clientID": "application", "resourceGroupName": "resource group"}


def sharing_of(connection: sa.Connection, found: Configuration) -> list[str]:
    """Return a warning for each vault, application or resource group that another project uses too; no error."""
    if found.provider != "AZURE":
        return []
    own = sa.select(projects.c.organization_id).where(projects.c.id == found.project_id).scalar_subquery()
    others = connection.execute(
        sa.select(projects.c.name, configurations.c.fields)
        .join(configurations, configurations.c.project_id == projects.c.id)
        .where(projects.c.organization_id == own, projects.c.id != found.project_id)
        .where(configurations.c.provider == found.provider)
        .order_by(projects.c.name)
    ).all()
    return [
        f"The {what} {found.public[name]} is used by the project {other.name} too; give each project its own."
        for name, what in _SHARED.items()
        for other in others
        if other.fields[name].lower() == found.public[name].lower()
    ]
