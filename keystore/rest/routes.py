"""All routes of the API: the tables of every resource, one after the other."""

from keystore.rest import addresses, alerts, api_keys, backups, checks, clusters, encryption, events, projects

ROUTES = (
    *projects.ROUTES,
    *api_keys.ROUTES,
    *events.ROUTES,
    *alerts.ROUTES,
    *addresses.ROUTES,
    *clusters.ROUTES,
    *backups.ROUTES,
    *encryption.ROUTES,
    *checks.ROUTES,
)
