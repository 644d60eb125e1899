"""The command that puts a node under other keys: customer keys on and off."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from keystore.cli.arguments import AT_RATE, NODE
from keystore.cli.connecting import new_connector, with_kms
from keystore.cli.node_commands import master_values, volume_values
from keystore.cli.opening import open_node
from keystore.cli.output import Output, print_pairs, with_output

if TYPE_CHECKING:
    from keystore.node.converting import Conversion, VolumeChoice
    from keystore.node.reports import MasterInfo
    from keystore.node.volume import VolumeInfo


@click.command()
@NODE
@click.option("--cmk", required=True, metavar="URI", help="The customer master key from now on, of any provider.")
@click.option("--volume-key", metavar="URI", help="The platform key of the volume layer from now on.")
@click.option("--no-volume-key", is_flag=True, help="From now on no volume layer.  [default: as it is]")
@AT_RATE
@with_kms
@with_output
def convert(
    out: Output,
    node: Path,
    cmk: str,
    volume_key: str | None,
    no_volume_key: bool,
    rate: float | None,
    kms_endpoint: str | None,
) -> None:
    """Put a node under another CMK and new data keys, with a volume layer or without: customer keys on or off.

    Every file is written anew, and the former data keys are destroyed. Contents stay. May be interrupted at any moment:
    run again, it goes on where it was. Takes as much space as the largest file once more while it runs.

    Snapshots taken until now keep needing the former keys; `keystore keys usage` lists them. A new passphrase is asked
    for, or taken from KEYSTORE_NEW_PASSPHRASE.
    """
    from keystore.node.converting import KEEP
    from keystore.pages.pace import Pace

    if volume_key is not None and no_volume_key:
        raise click.UsageError("--volume-key and --no-volume-key exclude each other")
    wanted: VolumeChoice = None if no_volume_key else KEEP if volume_key is None else volume_key
    pace = Pace(rate)
    with open_node(node, kms_endpoint) as opened, out.progress("Converting") as progress:
        done = opened.convert(cmk, wanted, new_connector(kms_endpoint), progress=progress, pace=pace)
        info, volume = opened.master_info, opened.volume_info
    out.emit(_values(node, done, info, volume), lambda: print_pairs(_pairs(node, done, info, volume)))


def _values(node: Path, done: "Conversion", info: "MasterInfo", volume: "VolumeInfo | None") -> dict[str, Any]:
    return {
        "node": str(node),
        "already_done": done.already_done,
        "master_key": master_values(info),
        "volume_layer": volume_values(volume),
        "pages_resealed": done.resealed_pages,
        "files_moved": done.moved,
        "data_keys_destroyed": done.destroyed,
    }


def _pairs(node: Path, done: "Conversion", info: "MasterInfo", volume: "VolumeInfo | None") -> list[tuple[str, str]]:
    former = done.rotation.old.key_id if done.rotation else None
    return [
        ("node", str(node)),
        ("CMK", info.key_id if former in (None, info.key_id) else f"{former} -> {info.key_id}"),
        ("master key", f"generation {info.generation}, {info.name}"),
        ("volume layer", f"under {volume.key_id}" if volume else "none"),
        ("pages resealed", f"{done.resealed_pages:,}"),
        ("files moved", f"{done.moved:,}"),
        ("data keys destroyed", f"{done.destroyed:,}"),
        *([("", "nothing was left to do")] if done.already_done else []),
    ]
