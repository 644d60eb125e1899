"""Attaches an outside anchor to an open node, and detaches it.

CRASH: the first statement is outside before the keystore file names the place. A crash between the two leaves a node
without an outside anchor, at the statement that is there; attaching is then tried again.
"""

from contextlib import suppress

from keystore.errors import OutsideAnchorMissingError
from keystore.keys.hierarchy import OutsideSetting
from keystore.node.custody import Custody
from keystore.node.outside import OutsideAnchor, OutsideInfo
from keystore.node.outside_choice import as_place, store_ids
from keystore.objects.place import Place


def attach(custody: Custody, where: str | Place, *, each_commit: bool, replace: bool) -> OutsideInfo:
    """Make `where` the outside anchor of the node, in place of a former one; errors as `Node.attach_outside_anchor`."""
    place = as_place(where)
    with custody.held():
        outside = OutsideAnchor(place, custody.keystore.anchor_key, custody.master.node_id, each_commit)
        if not replace:
            with suppress(OutsideAnchorMissingError):
                outside.check(custody.file_generation, custody.fingerprint, store_ids(custody.keystore))
        outside.begin(custody.anchors.states())
        outside.keystore_in_force(custody.file_generation, custody.fingerprint)
        if outside.problem is not None:
            raise outside.problem
        former, custody.anchors.outside = custody.anchors.outside, outside
        setting = OutsideSetting(str(place), each_commit)
        try:
            custody.change(lambda keystore: keystore.with_outside_anchor(setting))
        except BaseException:
            custody.anchors.outside = former
            raise
        return outside.info


def detach(custody: Custody) -> None:
    """Forget the outside anchor of the node; its last statement is of the keystore file that names none."""
    with custody.held():
        custody.change(lambda keystore: keystore.with_outside_anchor(None))
        custody.anchors.outside = None


def outside_info(custody: Custody) -> OutsideInfo | None:
    """Describe the outside anchor; None where the node has none."""
    setting, outside = custody.keystore.outside_anchor, custody.anchors.outside
    if outside is not None:
        return outside.info
    return None if setting is None else OutsideInfo(setting.place, setting.each_commit, ignored=True)
