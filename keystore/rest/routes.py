"""All routes of the API: the tables of every resource, one after the other."""

from keystore.rest import projects

ROUTES = (*projects.ROUTES,)
