"""Which project a command is about: its first argument, or KEYSTORE_PROJECT where that is left out."""

from __future__ import annotations

import os

import rich_click as click

ENVIRONMENT = "KEYSTORE_PROJECT"
PROJECT = click.argument("project", metavar="PROJECT")


class ProjectCommand(click.RichCommand):
    """A command that may take a project; with one argument too few, it is that of the environment."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        known, names = (
            os.environ.get(ENVIRONMENT),
            [each.name for each in self.params if isinstance(each, click.Argument)],
        )
        if known and names[:1] == ["project"]:
            found, _, _ = self.make_parser(ctx).parse_args(list(args))
            if not isinstance(found.get(str(names[-1])), str):
                args = [known, *args]
        return super().parse_args(ctx, args)


class ProjectGroup(click.RichGroup):
    """Commands that may take a project."""

    command_class = ProjectCommand
