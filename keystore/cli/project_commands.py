"""Commands on projects: made, shown, and who has which role in them."""

from __future__ import annotations

from typing import Any

import rich_click as click

from keystore.cli.api_client import ApiClient, project_path, with_api
from keystore.cli.output import Output, print_pairs, print_table, with_output
from keystore.cli.project_argument import PROJECT, ProjectGroup

ROLES = (
    *("GROUP_OWNER", "GROUP_CLUSTER_MANAGER", "GROUP_BACKUP_MANAGER", "GROUP_DATA_ACCESS_ADMIN"),
    *("GROUP_DATA_ACCESS_READ_WRITE", "GROUP_DATA_ACCESS_READ_ONLY", "GROUP_READ_ONLY"),
)
ROLE = click.option("--role", "roles", required=True, multiple=True, type=click.Choice(ROLES), help="Once for each.")


@click.group(cls=ProjectGroup)
def project() -> None:
    """Projects of an organisation, over the API of a control plane (`keystore control serve --listen`).

    A project is named by its name or its id; where PROJECT is left out, KEYSTORE_PROJECT names it.
    """


@project.command("create")
@click.argument("name")
@with_api
@with_output
def create_project(out: Output, name: str, api: ApiClient) -> None:
    """Make a project; the API key that is used becomes its owner."""
    organization = api.call("GET", "/orgs")["results"][0]["id"]
    made = api.call("POST", "/groups", {"name": name, "orgId": organization})
    out.emit(made, lambda: click.echo(f"created {made['name']}: {made['id']}"))


@project.command("list")
@with_api
@with_output
def list_projects(out: Output, api: ApiClient) -> None:
    """List the projects in which the API key has a role."""
    found = api.all("/groups")
    rows = [(each["name"], each["id"], str(each["clusterCount"]), each["created"]) for each in found]
    out.emit({"projects": found}, lambda: print_table(("NAME", "ID", "CLUSTERS", "CREATED"), rows, right=(2,)))


@project.command("show")
@PROJECT
@with_api
@with_output
def show_project(out: Output, project: str, api: ApiClient) -> None:
    """Show a project, and its people."""
    where = project_path(api, project)
    found, people = api.call("GET", where), api.all(f"{where}/users")

    def text() -> None:
        print_pairs([(name, str(found[name])) for name in ("name", "id", "orgId", "clusterCount", "created")])
        print_table(("PERSON", "ROLES"), [(each["username"], ", ".join(each["roles"])) for each in people])

    out.emit({**found, "users": people}, text)


@project.command("rename")
@PROJECT
@click.argument("name")
@with_api
@with_output
def rename_project(out: Output, project: str, name: str, api: ApiClient) -> None:
    """Give a project another name."""
    changed = api.call("PATCH", project_path(api, project), {"name": name})
    out.emit(changed, lambda: click.echo(f"{project} is called {name}"))


@project.command("invite")
@PROJECT
@click.argument("email")
@ROLE
@with_api
@with_output
def invite(out: Output, project: str, email: str, roles: tuple[str, ...], api: ApiClient) -> None:
    """Give somebody exactly these roles: mail goes to the owners of a project."""
    body = {"username": email, "roles": list(roles)}
    made = api.call("POST", f"{project_path(api, project)}/users", body)
    out.emit(made, lambda: click.echo(f"{made['username']}: {', '.join(made['roles'])}"))


@project.command("key")
@PROJECT
@click.argument("description")
@ROLE
@with_api
@with_output
def create_key(out: Output, project: str, description: str, roles: tuple[str, ...], api: ApiClient) -> None:
    """Make an API key with roles in a project; its private half is shown once."""
    body: dict[str, Any] = {"desc": description, "roles": list(roles)}
    made = api.call("POST", f"{project_path(api, project)}/apiKeys", body)
    out.emit(made, lambda: print_pairs([(name, str(made[name])) for name in ("id", "publicKey", "privateKey")]))


@project.command("usage")
@PROJECT
@with_api
@with_output
def usage(out: Output, project: str, api: ApiClient) -> None:
    """List what is charged for, and since when: also of clusters that are disabled or gone."""
    found = api.all(f"{project_path(api, project)}/usage")
    rows = [(each["clusterName"], each["kind"], each["start"], each.get("end", "")) for each in found]
    out.emit({"usage": found}, lambda: print_table(("CLUSTER", "WHAT", "FROM", "TO"), rows))
