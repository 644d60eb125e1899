"""The calls of a served node (`proto/keystore_api/node/v1`), and which role may make each.

Control changes keys, takes snapshots and stops; it reads no data. Clients and routers read and write data, and change
no key. So whoever takes over one of them has not the power of the others.

Leaves to others: connections, roles and errors (`keystore.agents.serving`), files and pages
(`keystore.agents.node_files`), backups (`keystore.agents.node_backups`).
"""

import time
from collections.abc import Callable, Iterator
from importlib.metadata import version

from keystore_api.node.v1 import node_pb2 as pb

from keystore.agents.identity import Role
from keystore.agents.master_changes import MasterChanges
from keystore.agents.node_backups import NodeBackups, master, timestamp
from keystore.agents.serving import Allowed, Call, Service, log
from keystore.agents.telling import telling
from keystore.errors import InputError
from keystore.kms.connect import Connector
from keystore.kms.given import GivenCredentials
from keystore.kms.protocol import KmsConnector
from keystore.node.converting import KEEP, VolumeChoice
from keystore.node.directory import Node
from keystore.node.reports import MasterInfo

_DATA = frozenset({Role.CLIENT, Role.ROUTER})
_KEYS = frozenset({Role.CONTROL})

ALLOWED: Allowed = {
    "GetStatus": frozenset({Role.CONTROL, Role.ROUTER, Role.CLIENT}),
    **dict.fromkeys(("CreateFile", "DropFile", "ReadPages", "WritePages", "ReadFile", "WriteFile"), _DATA),
    **dict.fromkeys(("ListFiles", "VerifyFile"), _DATA | _KEYS),
    **dict.fromkeys(("RotateMasterKey", "ChangeCmk", "RotateDataKey", "Convert"), _KEYS),
    **dict.fromkeys(("CreateSnapshot", "ListSnapshots", "Restore", "RestoreInto", "GetLog", "SetLog"), _KEYS),
    **dict.fromkeys(("GiveCredentials", "Stop"), _KEYS),
}

_KEY_STATES = {
    "valid": pb.KEY_STATE_VALID,
    "unreachable": pb.KEY_STATE_UNREACHABLE,
    "invalid": pb.KEY_STATE_INVALID,
}


class NodeService(NodeBackups):
    """The calls of one open node.

    Args:
        connector: reaches the keys of snapshots that are restored.
        stop: begins to end the process; returns at once.
    """

    def __init__(
        self, node: Node, connector: KmsConnector, stop: Callable[[], None], now_ns: Callable[[], int] = time.time_ns
    ) -> None:
        super().__init__(node, connector)
        self._stop = stop
        self._started_ns = now_ns()
        self._changes = MasterChanges(node, now_ns)

    def service(self) -> Service:
        """Return what a server serves."""
        return Service(pb.DESCRIPTOR.services_by_name["Node"], self, ALLOWED)

    def get_status(self, request: pb.GetStatusRequest, call: Call) -> pb.NodeStatus:
        node, checked, volume = self._node, self._changes.checked, self._node.volume_info
        return pb.NodeStatus(
            node_id=node.node_id,
            name=node.name,
            version=version("cmk-keystore"),
            pid=self._pid,
            started_at=timestamp(self._started_ns),
            master_key=master(node.master_info),
            key_state=_KEY_STATES[checked.state],
            key_message=checked.message,
            key_checked_at=timestamp(checked.checked_ns),
            file_count=sum(len(database.stores) for database in node.databases.values()),
            stored_bytes=node.upkeep.stored_bytes(),
            volume_key_id=volume.key_id if volume else "",
            converting=node.is_converting,
        )

    # -- keys ---------------------------------------------------------------------------------------------------------

    def rotate_master_key(self, request: pb.RotateMasterKeyRequest, call: Call) -> pb.MasterKeyChange:
        expected = request.expected_generation if request.HasField("expected_generation") else None
        return self._told("rotate master key", *self._changes.rotate(expected), call)

    def change_cmk(self, request: pb.ChangeCmkRequest, call: Call) -> pb.MasterKeyChange:
        expected = request.expected_generation if request.HasField("expected_generation") else None
        return self._told("change CMK", *self._changes.change_cmk(request.key_uri, expected), call)

    def _told(self, what: str, info: MasterInfo, already_done: bool, call: Call) -> pb.MasterKeyChange:
        done = "was done already" if already_done else "done"
        log(f"{what} {done}, for {call.caller}: generation {info.generation} under {info.key_id}")
        return pb.MasterKeyChange(master_key=master(info), already_done=already_done)

    def rotate_data_key(self, request: pb.RotateDataKeyRequest, call: Call) -> pb.DataKeyInfo:
        made = self._node.new_data_key(request.database).data_keys[-1]
        log(f"new data key, for {call.caller}: {request.database} generation {made.generation}")
        return pb.DataKeyInfo(
            database=request.database,
            generation=made.generation,
            created_at=timestamp(made.created_ns),
            name=made.name,
        )

    def convert(self, request: pb.ConvertRequest, call: Call) -> Iterator[pb.ConvertProgress]:
        expected = request.expected_generation if request.HasField("expected_generation") else None
        wanted = _volume_choice(request)
        done, info = yield from telling(
            lambda progress: self._changes.convert(request.key_uri, wanted, expected, progress),
            lambda bytes_done, total: pb.ConvertProgress(bytes_done=bytes_done, bytes_total=total),
            self._is_unwanted(call),
        )
        log(f"convert done, for {call.caller}: generation {info.generation} under {info.key_id}")
        converted = pb.Converted(
            master_key=master(info),
            already_done=done.already_done,
            resealed_pages=done.resealed_pages,
            moved_files=done.moved,
            destroyed_data_keys=done.destroyed,
        )
        yield pb.ConvertProgress(converted=converted)

    def give_credentials(self, request: pb.GiveCredentialsRequest, call: Call) -> pb.GiveCredentialsResponse:
        given = GivenCredentials.decode(request.credentials)
        if not isinstance(self._connector, Connector):
            raise InputError("this node takes no credentials. Nothing was changed.")
        self._connector.use(given)
        log(f"given for {call.caller}: {given!r}")
        return pb.GiveCredentialsResponse()

    # -- the process --------------------------------------------------------------------------------------------------

    def stop(self, request: pb.StopRequest, call: Call) -> pb.StopResponse:
        log(f"stop, for {call.caller}")
        self._stop()
        return pb.StopResponse()


def _volume_choice(request: pb.ConvertRequest) -> VolumeChoice:
    if request.HasField("volume_key_uri"):
        return request.volume_key_uri
    return None if request.no_volume_layer else KEEP
