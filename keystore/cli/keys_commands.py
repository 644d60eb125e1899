"""Commands on customer master keys: which are needed, and a key file for people without a KMS."""

from pathlib import Path

import rich_click as click

from keystore.cli.arguments import PATH
from keystore.cli.keys_usage import usage
from keystore.cli.output import Output, with_output


@click.group()
def keys() -> None:
    """Tell which customer master keys are needed; make a key file where there is no KMS."""


keys.add_command(usage)


@keys.command("create-file")
@click.argument("path", metavar="FILE", type=PATH)
@with_output
def create_file(out: Output, path: Path) -> None:
    """Make a key file and print its URI, for `keystore init --key`.

    Keep it apart from the data: whoever has both has everything, and without it nothing opens.
    """
    from keystore.kms.local import create_key_file

    create_key_file(path)
    uri = f"local://{path.absolute()}"
    out.emit({"key": uri}, lambda: click.echo(uri))
