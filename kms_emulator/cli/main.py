"""`kms-emulator`: the group of all commands. Each command is imported when it is run, so that `serve` starts fast."""

import os
from importlib import import_module

import rich_click as click

from kms_emulator import __version__
from kms_emulator.cli.exits import exit_code_help

# grpc writes lines of its own to standard error, with addresses and source files, where our errors say what to do.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

_COMMANDS = {
    "serve": "kms_emulator.cli.serve:serve",
    "env": "kms_emulator.cli.env:env",
    "key": "kms_emulator.cli.key:key",
    "clock": "kms_emulator.cli.admin:clock",
    "calls": "kms_emulator.cli.admin:calls",
    "metrics": "kms_emulator.cli.state:metrics",
    "state": "kms_emulator.cli.state:state",
    "fault": "kms_emulator.cli.fault:fault",
    "user": "kms_emulator.cli.user:user",
    "application": "kms_emulator.cli.vault:application",
    "vault": "kms_emulator.cli.vault:vault",
    "service-account": "kms_emulator.cli.service_account:service_account",
    "guard": "kms_emulator.cli.guard:guard",
    "reset": "kms_emulator.cli.admin:reset",
}


class LazyGroup(click.RichGroup):
    """Knows the names of its commands, and imports the one that is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command


@click.group(cls=LazyGroup, epilog=exit_code_help(), context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="kms-emulator")
def main() -> None:
    """A local process that cloud clients take for AWS KMS, Azure Key Vault and Google Cloud KMS.

    For tests: it keeps key material in the clear and lets everybody in.
    """


if __name__ == "__main__":
    main()
