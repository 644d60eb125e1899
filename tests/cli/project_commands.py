"""Commands on projects, against a real server of the API, for tests."""

from collections.abc import Mapping
from typing import Any

from keystore.projects.access import Role
from tests.cli.running import Run, keystore
from tests.rest.conftest import Rest


class ProjectCommands:
    """`keystore project …` with one API key.

    `env` leads the server to its KMS: it runs in this process, of which a command has the environment for itself.
    """

    def __init__(self, rest: Rest, *roles: Role, env: Mapping[str, str] | None = None) -> None:
        api = rest.caller(*roles) if roles else rest.owner
        self.env = {
            "KEYSTORE_API_URL": rest.url,
            "KEYSTORE_API_PUBLIC_KEY": api.public_key,
            "KEYSTORE_API_PRIVATE_KEY": api.private_key,
            **(env or {}),
        }

    def run(self, *arguments: object, stdin: bytes = b"") -> Run:
        return keystore("project", *map(str, arguments), env=self.env, stdin=stdin)

    def json(self, *arguments: object, code: int = 0) -> dict[str, Any]:
        done = self.run(*arguments, "--json")
        assert done.code == code, done.out + done.err
        return done.json
