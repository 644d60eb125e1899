"""`kms-emulator env`: the environment variables that point clients at the emulator."""

import json
from pathlib import Path

import rich_click as click

from kms_emulator.cli.endpoint import ENDPOINT_DEFAULT, ENVIRONMENT_NAME, default_http_port, endpoint_option
from kms_emulator.cli.exits import USAGE, CommandError
from kms_emulator.cli.output import json_option, print_json, reports_errors

_FORMS = {
    "sh": "export {name}={value}",
    "fish": "set -gx {name} {value};",
    "powershell": '$Env:{name} = "{value}"',
    "dotenv": "{name}={value}",
}


def variables(endpoint: str, aws_url: str | None) -> dict[str, str]:
    """Return what a client's environment needs; `aws_url` is None if HTTP is not served."""
    found = {
        ENVIRONMENT_NAME: endpoint,
        "KEYSTORE_KMS_ENDPOINT": endpoint,
        "KMS_EMULATOR_HOST": endpoint,
    }
    return found if aws_url is None else found | _aws_variables(aws_url)


def _aws_variables(url: str) -> dict[str, str]:
    """Return what AWS's SDKs read. The keys are nobody's: with real ones in reach, a slip would reach real AWS."""
    return {
        "AWS_ENDPOINT_URL_KMS": url,
        "AWS_ENDPOINT_URL_STS": url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@endpoint_option
@click.option(
    "--ready-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Take the endpoints from what `serve --ready-file` wrote.",
)
@click.option("--aws-url", metavar="URL", help="Where AWS is served. [default: the port after --endpoint's]")
@click.option("--shell", type=click.Choice(list(_FORMS)), default="sh", show_default=True, help="Whose syntax.")
@json_option
@reports_errors
def env(endpoint: str, ready_file: Path | None, aws_url: str | None, shell: str, as_json: bool) -> None:
    """Print the variables that point clients at the emulator: eval "$(kms-emulator env)".

    AWS_… is what AWS's SDKs and command line read, with keys that are nobody's; KEYSTORE_KMS_ENDPOINT is what keystore
    reads, KMS_EMULATOR_ENDPOINT what this program reads, and KMS_EMULATOR_HOST what tests of Google clients commonly
    read.
    """
    if ready_file:
        found = variables(*_from_ready_file(ready_file))
    else:
        found = variables(endpoint, aws_url or _url_beside(endpoint))
    if as_json:
        print_json(found)
        return
    for name, value in found.items():
        click.echo(_FORMS[shell].format(name=name, value=value))


def _url_beside(endpoint: str) -> str:
    """Return where AWS is, if neither port was chosen by hand or at random."""
    host, _, port = endpoint.rpartition(":")
    if not host or not port.isdecimal():
        raise CommandError(f"endpoint {endpoint!r} is not HOST:PORT, such as {ENDPOINT_DEFAULT}", USAGE)
    return f"http://{host}:{default_http_port(int(port))}"


def _from_ready_file(path: Path) -> tuple[str, str | None]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return str(found["grpc"]), found.get("aws")
    except OSError as error:
        raise CommandError(f"ready file {path} cannot be read: {error.strerror}. Is the emulator up?", USAGE) from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CommandError(f"ready file {path} was not written by kms-emulator serve", USAGE) from None
