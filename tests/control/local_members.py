"""Members in this process: real nodes behind the promise of a member, without processes and certificates."""

from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

from keystore.agents.master_changes import MasterChanges
from keystore.control.clusters import Cluster, MemberRecord, NewCluster
from keystore.control.members import MemberStatus
from keystore.errors import NodeUnreachableError
from keystore.kms.protocol import KmsConnector
from keystore.node.directory import Node
from keystore.progress import Progress

CONTENT = bytes(range(256)) * 200


class KilledError(BaseException):
    """The control process was killed here; nothing of ours catches it."""


@dataclass
class LocalMembers:
    """The nodes of one cluster.

    Attributes:
        touched: who was asked for a new master key, in order, also in vain.
        given: who was given which credentials, in order.
        before_touch, after_touch: called around each; what they raise is what happens there.
    """

    directory: Path
    connect_kms: KmsConnector
    nodes: dict[str, Node] = field(default_factory=dict)
    changes: dict[str, MasterChanges] = field(default_factory=dict)
    touched: list[str] = field(default_factory=list)
    given: list[tuple[str, bytes]] = field(default_factory=list)
    touching: int = 0
    before_touch: Callable[[str], None] = lambda name: None
    after_touch: Callable[[str], None] = lambda name: None

    def create(self, names: tuple[str, ...], key_uri: str) -> None:
        for name in names:
            self._opened(name, Node.init(self.directory / name, key_uri, self.connect_kms))
            self.nodes[name].import_file("db", "file", BytesIO(CONTENT))

    def contents(self) -> dict[str, bytes]:
        """Return the file of each member."""
        return {name: _content(node) for name, node in self.nodes.items()}

    def volume_keys(self) -> dict[str, str | None]:
        """Return the platform key of each member's volume layer."""
        layers = {name: node.volume_info for name, node in self.nodes.items()}
        return {name: layer.key_id if layer else None for name, layer in layers.items()}

    def stop(self, name: str) -> None:
        self.nodes.pop(name).close()

    def start(self, name: str) -> None:
        self._opened(name, Node.open(self.directory / name, self.connect_kms))

    def close(self) -> None:
        for node in self.nodes.values():
            node.close()

    def _opened(self, name: str, node: Node) -> None:
        self.nodes[name], self.changes[name] = node, MasterChanges(node, lambda: 0)

    def generations(self) -> dict[str, int]:
        return {name: node.master_info.generation for name, node in self.nodes.items()}

    def keys(self) -> dict[str, str]:
        return {name: node.master_info.key_id for name, node in self.nodes.items()}

    def new_cluster(self, names: tuple[str, ...], key_uri: str, *, on: bool = True) -> NewCluster:
        records = tuple(MemberRecord(name, "", "") for name in names)
        customer = key_uri if on else None
        return NewCluster("orders", str(self.directory), f"{key_uri}-platform", customer, names[0], records)

    def connect(self, cluster: Cluster, name: str) -> "LocalMember":
        return LocalMember(self, name)


class LocalMember:
    """The way to one of them."""

    def __init__(self, owner: LocalMembers, name: str) -> None:
        self._owner, self._name = owner, name

    def status(self) -> MemberStatus:
        node = self._owner.nodes.get(self._name)
        if node is None:
            raise NodeUnreachableError(f"{self._name} does not answer. Nothing is known; try again.")
        info = node.master_info
        return MemberStatus(info.generation, info.key_id, info.key_version)

    def give_credentials(self, credentials: bytes) -> None:
        self._owner.given.append((self._name, credentials))

    def rotate_master(self, expected_generation: int) -> int:
        return self._touch(lambda changes: changes.rotate(expected_generation)[0].generation)

    def change_cmk(self, key_uri: str, expected_generation: int) -> int:
        return self._touch(lambda changes: changes.change_cmk(key_uri, expected_generation)[0].generation)

    def convert(self, key_uri: str, volume_key: str | None, expected_generation: int, progress: Progress) -> int:
        return self._touch(
            lambda changes: changes.convert(key_uri, volume_key, expected_generation, progress)[1].generation
        )

    def close(self) -> None:
        pass

    def _touch(self, change: Callable[[MasterChanges], int]) -> int:
        self.status()
        owner = self._owner
        owner.touched.append(self._name)
        owner.touching += 1
        try:
            assert owner.touching == 1
            owner.before_touch(self._name)
            generation = change(owner.changes[self._name])
            owner.after_touch(self._name)
        finally:
            owner.touching -= 1
        return generation


def _content(node: Node) -> bytes:
    target = BytesIO()
    node.export_file("db", "file", target)
    return target.getvalue()
