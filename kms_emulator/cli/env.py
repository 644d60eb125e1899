"""`kms-emulator env`: the environment variables that point clients at the emulator."""

import json
from pathlib import Path

import rich_click as click

from kms_emulator.cli.endpoint import ENVIRONMENT_NAME, endpoint_option
from kms_emulator.cli.exits import USAGE, CommandError
from kms_emulator.cli.output import json_option, print_json, reports_errors

_FORMS = {
    "sh": "export {name}={value}",
    "fish": "set -gx {name} {value};",
    "powershell": '$Env:{name} = "{value}"',
    "dotenv": "{name}={value}",
}


def variables(endpoint: str) -> dict[str, str]:
    """Return what a client's environment needs."""
    return {
        ENVIRONMENT_NAME: endpoint,
        "KEYSTORE_KMS_ENDPOINT": endpoint,
        "KMS_EMULATOR_HOST": endpoint,
    }


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@endpoint_option
@click.option(
    "--ready-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Take the endpoint from what `serve --ready-file` wrote.",
)
@click.option("--shell", type=click.Choice(list(_FORMS)), default="sh", show_default=True, help="Whose syntax.")
@json_option
@reports_errors
def env(endpoint: str, ready_file: Path | None, shell: str, as_json: bool) -> None:
    """Print the variables that point clients at the emulator: eval "$(kms-emulator env)".

    KEYSTORE_KMS_ENDPOINT is what keystore reads, KMS_EMULATOR_ENDPOINT what this program reads, and KMS_EMULATOR_HOST
    what tests of Google clients commonly read.
    """
    found = variables(_from_ready_file(ready_file) if ready_file else endpoint)
    if as_json:
        print_json(found)
        return
    for name, value in found.items():
        click.echo(_FORMS[shell].format(name=name, value=value))


def _from_ready_file(path: Path) -> str:
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["grpc"])
    except OSError as error:
        raise CommandError(f"ready file {path} cannot be read: {error.strerror}. Is the emulator up?", USAGE) from None
    except (ValueError, KeyError, TypeError):
        raise CommandError(f"ready file {path} was not written by kms-emulator serve", USAGE) from None
