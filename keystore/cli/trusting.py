"""The options that say whose snapshots are taken for genuine."""

import functools
from collections.abc import Callable
from typing import Any

import rich_click as click

from keystore.cli.arguments import HexType


def with_trust(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --trust-on-first-use and --signer to a command; they arrive as one `trust`."""

    @click.option(
        "--trust-on-first-use",
        is_flag=True,
        help="Take the signer of a node that is not known here for the node, and know it from then on.",
    )
    @click.option(
        "--signer", type=HexType(32), metavar="PUBLIC-KEY", help="Take the snapshot only if this key signed it."
    )
    @functools.wraps(function)
    def command(*args: Any, trust_on_first_use: bool, signer: bytes | None, **kwargs: Any) -> Any:
        from keystore.node.signers import Trust

        return function(*args, trust=Trust(first_use=trust_on_first_use, signer=signer), **kwargs)

    return command
