"""The demo, step by step: three nodes, one under each cloud's shape, through the whole life of their keys.

Leaves to others: how it looks (`Teller`). Everything it claims it has checked: a step that does not come out as told
raises `DemoError`.
"""

import contextlib
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from keystore.demo.emulator import PROVIDERS, CloudKeys, EmulatorProcess
from keystore.demo.sample import write_sample
from keystore.errors import KeyDisabledError, KeystoreError, StoreDamagedError
from keystore.kms.connect import connector
from keystore.kms.protocol import KmsConnector
from keystore.node.directory import Node
from keystore.node.known_nodes import KnownNodes
from keystore.node.reports import MasterInfo
from keystore.node.restoring import RestoredNode, restore
from keystore.node.signers import Trust
from keystore.node.snapshotting import snapshot
from keystore.objects.directory import DirectoryPlace
from keystore.progress import Progress
from keystore.units import format_bytes

DATABASE, FILE = "demo", "input"


class DemoError(KeystoreError):
    """The story did not come out as told: a fault of this program."""


class Teller(Protocol):
    """Shows the story while it happens."""

    def begin(self, title: str) -> None:
        """A step begins."""

    def progress(self, done: int, total: int) -> None:
        """It is so far."""

    def end(self, seconds: float, lines: list[str]) -> None:
        """It is over; `lines` is what there is to see."""


@dataclass
class DemoNode:
    """One node of the story, and what becomes of it."""

    name: str
    provider: str
    directory: Path
    old_key: str = ""
    new_key: str = ""
    node_id: str = ""
    snapshot_id: bytes = b""
    input_sha256: str = ""
    restored_sha256: str = ""
    restored_directory: Path = field(default_factory=Path)
    keys: dict[str, dict[str, Any]] = field(default_factory=dict)

    def note(self, step: str, info: MasterInfo) -> None:
        """Keep the key ids that were in force after a step."""
        self.keys[step] = {
            "encryption_key_id": info.key_id,
            "key_version": info.key_version,
            "master_key_generation": info.generation,
            "master_key": info.name,
        }


class Demo:
    """Runs the story in `place`, an empty directory that the caller removes."""

    def __init__(self, place: Path, source: Path | None, teller: Teller, *, keep_keys: bool) -> None:
        self._place, self._source, self._teller, self._keep_keys = place, source, teller, keep_keys
        self._target = DirectoryPlace(place / "snapshots")
        self._known_nodes = KnownNodes(place / "known_nodes")
        self._connect: KmsConnector = connector()
        self.seconds: dict[str, float] = {}
        self.nodes = [DemoNode(f"node-{provider}", provider, place / f"node-{provider}") for provider in PROVIDERS]
        self.bytes_written_by_rotation = 0
        self.input_bytes = 0
        self.refused: dict[str, Any] = {}
        self.flipped: dict[str, Any] = {}
        self.kms_calls: dict[str, int] = {}

    def run(self) -> dict[str, Any]:
        """Tell the story to its end; return what it showed."""
        with contextlib.ExitStack() as stack:
            keys = self._start_kms(stack)
            self._make_nodes(keys)
            self._import()
            self._snapshot(keys)
            self._rotate()
            self._change_cmks(keys)
            self._refuse(keys)
            self._restore(keys)
            self._flip_bit()
            self._read_call_log(keys)
        return self._result()

    # -- steps --------------------------------------------------------------------------------------------------------

    def _start_kms(self, stack: contextlib.ExitStack) -> CloudKeys:
        with self._step("start_kms", "Start a KMS, in the shapes of three clouds") as lines:
            data_dir = self._place / "kms" if self._keep_keys else None
            emulator = stack.enter_context(EmulatorProcess(self._place / "kms-emulator.log", data_dir))
            self._connect = connector(emulator.endpoint)
            lines.append(f"emulator at {emulator.endpoint}, process {emulator.pid}")
            return stack.enter_context(CloudKeys(emulator.endpoint))

    def _make_nodes(self, keys: CloudKeys) -> None:
        with self._step("init", "Make three nodes, each under a customer master key") as lines:
            for node in self.nodes:
                node.old_key = keys.create(node.provider, "demo-cmk-1")
                with Node.init(node.directory, node.old_key, self._connect, known_nodes=self._known_nodes) as made:
                    node.node_id = made.node_id.hex()
                    node.note("init", made.master_info)
                lines.append(_key_line(node, "init"))

    def _import(self) -> None:
        source = self._source or self._place / "stdlib.tar"
        if self._source is None:
            with self._step("make_input", "Take real data: this Python's standard library") as lines:
                write_sample(source)
                lines.append(f"a tar of {format_bytes(source.stat().st_size)}")
        with self._step("import", "Seal the data into every node") as lines:
            self.input_bytes = source.stat().st_size if source.exists() else 0
            for count, node in enumerate(self.nodes):
                with Node.open(node.directory, self._connect) as opened:
                    done = opened.import_file(DATABASE, FILE, source, progress=self._part(count))
                node.input_sha256, self.input_bytes = done.sha256, done.byte_length
            total = sum(size for size, _, _ in _data_files(self.nodes[0].directory).values())
            lines.append(f"{format_bytes(self.input_bytes)} into each; {format_bytes(total)} on disk, all of it sealed")
            lines.append(f"SHA-256 {self.nodes[0].input_sha256[:16]}…")

    def _snapshot(self, keys: CloudKeys) -> None:
        with self._step("snapshot", "Take a snapshot of every node; the KMS is not asked") as lines:
            for count, node in enumerate(self.nodes):
                with Node.open(node.directory, self._connect) as opened:
                    calls = len(keys.calls())
                    made = snapshot(opened, self._target, self._part(count))
                    if len(keys.calls()) != calls:
                        raise DemoError("a snapshot asked the KMS")
                node.snapshot_id = made.snapshot_id
                node.keys["snapshot"] = {"encryption_key_id": made.key_id, "master_key_generation": made.era}
                lines.append(f"{node.name:<10}  {made.snapshot_id.hex()[:12]}…  needs {short_key(made.key_id)}")

    def _rotate(self) -> None:
        with self._step("rotate", "Rotate the master keys, one node after the other") as lines:
            self._change_masters("rotate", lines, lambda opened, node: opened.rotate_master())

    def _change_cmks(self, keys: CloudKeys) -> None:
        with self._step("change_cmk", "Move every node to a new customer master key") as lines:
            for node in self.nodes:
                node.new_key = keys.create(node.provider, "demo-cmk-2")
            self._change_masters("change_cmk", lines, lambda opened, node: opened.change_cmk(node.new_key))

    def _change_masters(self, step: str, lines: list[str], change: Callable[[Node, DemoNode], Any]) -> None:
        for node in self.nodes:
            before = _data_files(node.directory)
            with Node.open(node.directory, self._connect) as opened:
                rotation = change(opened, node)
                node.note(step, opened.master_info)
            written = _bytes_changed(before, _data_files(node.directory))
            self.bytes_written_by_rotation += written
            lines.append(f"{_key_line(node, step)}, was {rotation.old.generation} {rotation.old.name[:8]}")
        lines.append(f"data written: {format_bytes(self.bytes_written_by_rotation)} (every data file has its old hash)")
        if self.bytes_written_by_rotation:
            raise DemoError(f"a rotation wrote {self.bytes_written_by_rotation} bytes of data")

    def _refuse(self, keys: CloudKeys) -> None:
        node, place = self.nodes[0], self._place / "refused"
        with self._step("refuse", "Disable an old key: its snapshot does not open") as lines:
            keys.set_enabled(node.old_key, enabled=False)
            try:
                self._restore_to(place, node)
            except KeyDisabledError as error:
                reason = str(error)
            else:
                raise DemoError("a restore went through although its key is disabled")
            leftovers = sorted(path.name for path in self._place.iterdir() if "refused" in path.name)
            if leftovers:
                raise DemoError(f"a refused restore left {leftovers}")
            self.refused = {
                "error": "KeyDisabledError",
                "reason": reason,
                "encryption_key_id": node.old_key,
                "snapshot_id": node.snapshot_id.hex(),
                "target_created": False,
            }
            lines.append(f"refused: {short_key(node.old_key)} is disabled; re-enable it and restore again")
            lines.append("nothing was written")

    def _restore(self, keys: CloudKeys) -> None:
        with self._step("restore", "Enable it; restore every snapshot with the key of its day") as lines:
            keys.set_enabled(self.nodes[0].old_key, enabled=True)
            for count, node in enumerate(self.nodes):
                self._restore_node(node, self._part(count))
                same = node.restored_sha256 == node.input_sha256
                lines.append(f"{node.name:<10}  SHA-256 {node.restored_sha256[:16]}…  {'same' if same else 'DIFFERS'}")
                if not same:
                    raise DemoError(f"{node.name}: the restored file differs from the input")

    def _restore_to(self, place: Path, node: DemoNode, progress: Progress | None = None) -> RestoredNode:
        return restore(
            self._target,
            node.snapshot_id,
            place,
            self._connect,
            key=node.new_key,
            trust=Trust(self._known_nodes),
            progress=progress,
        )

    def _restore_node(self, node: DemoNode, progress: Progress) -> None:
        node.restored_directory = self._place / f"{node.name}-restored"
        made = self._restore_to(node.restored_directory, node, progress)
        exported = self._place / "exported"
        with Node.open(node.restored_directory, self._connect) as opened:
            node.restored_sha256 = opened.export_file(DATABASE, FILE, exported).sha256
            node.note("restore", opened.master_info)
        if _sha256(exported) != node.restored_sha256:
            raise DemoError(f"{node.name}: what was exported is not what was read")
        exported.unlink()
        node.keys["restore"]["snapshot_encryption_key_id"] = made.snapshot_key_id

    def _flip_bit(self) -> None:
        with self._step("flip_bit", "Flip one bit on a copy, and look for it") as lines:
            copy = self._place / "flipped"
            shutil.copytree(self.nodes[0].restored_directory, copy)
            page_no = flip_one_bit(copy, self._connect)
            with Node.open(copy, self._connect) as opened:
                report = opened.verify()
            problems = [problem for check in report.stores for problem in check.problems]
            found = problems[0] if len(problems) == 1 else None
            if not isinstance(found, StoreDamagedError) or (found.part, found.number) != ("page", page_no):
                raise DemoError(f"one bit of page {page_no} was flipped, and {problems} was found")
            pages = sum(check.pages for check in report.stores)
            self.flipped = {"store": found.store, "part": found.part, "number": found.number, "pages_read": pages}
            lines.append(f"found at: {found.store}, page {found.number}, one of {pages:,}; the others stay readable")

    def _read_call_log(self, keys: CloudKeys) -> None:
        with self._step("call_log", "Ask the KMS what it saw") as lines:
            calls = [call for call in keys.calls() if call.plaintext_bytes]
            sizes = {call.plaintext_bytes for call in calls}
            self.kms_calls = {"with_plaintext": len(calls), "plaintext_bytes_max": max(sizes, default=0)}
            lines.append(f"{len(calls)} secrets of {max(sizes, default=0)} bytes, wrapped or unwrapped, and no data")
            if sizes != {32}:
                raise DemoError(f"the KMS saw secrets of {sorted(sizes)} bytes")

    # -- around -------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _step(self, name: str, title: str) -> Iterator[list[str]]:
        self._teller.begin(title)
        lines: list[str] = []
        started_s = time.monotonic()
        yield lines
        self.seconds[name] = round(time.monotonic() - started_s, 3)
        self._teller.end(self.seconds[name], lines)

    def _part(self, count: int) -> Progress:
        """Return the progress of one node as its part of a step over all of them."""
        return lambda done, total: self._teller.progress(count * total + done, len(self.nodes) * max(total, 1))

    def _result(self) -> dict[str, Any]:
        return {
            "ok": True,
            "input_bytes": self.input_bytes,
            "data_bytes_written_by_rotation": self.bytes_written_by_rotation,
            "nodes": [
                {
                    "name": node.name,
                    "provider": node.provider,
                    "node_id": node.node_id,
                    "input_sha256": node.input_sha256,
                    "restored_sha256": node.restored_sha256,
                    "keys": node.keys,
                }
                for node in self.nodes
            ],
            "refused_restore": self.refused,
            "flipped_bit_found_at": self.flipped,
            "kms_calls": self.kms_calls,
            "seconds": self.seconds,
        }


def flip_one_bit(directory: Path, connect: KmsConnector) -> int:
    """Flip one bit in the middle page of the demo's file on the disk; return the number of that page."""
    with Node.open(directory, connect) as opened, opened.open_store(DATABASE, FILE) as store:
        page_size = store.page_size
        record = opened.databases[DATABASE].stores[FILE]
        path = directory / "databases" / opened.databases[DATABASE].database_id.hex() / f"{record.store_id.hex()}.store"
        with store.pin() as pin:
            places = [
                (int(page_no), int(slot))
                for batch in pin.sealed()
                for page_no, slot in zip(batch.page_nos, batch.entries["slot"], strict=True)
            ]
    page_no, slot = places[len(places) // 2]
    with path.open("r+b") as file:
        file.seek(slot * page_size + page_size // 3)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 0x10]))
    return page_no


def short_key(uri: str) -> str:
    """Return a key URI short enough for a line: its provider, and the last part with its version."""
    scheme, _, rest = uri.partition("://")
    parts = [part for part in rest.split("/") if part not in ("cryptoKeys", "cryptoKeyVersions")]
    tail = parts[-1:] if scheme == "aws" else parts[-2:]
    return f"{scheme}://…/" + "/".join(part if len(part) <= 12 else f"{part[:8]}…" for part in tail)


def _key_line(node: DemoNode, step: str) -> str:
    """Return node, CMK and master key after a step, in columns that fit into 78."""
    keys = node.keys[step]
    key = short_key(keys["encryption_key_id"])
    return f"{node.name:<10}  {key:<31} key {keys['master_key_generation']} {keys['master_key'][:8]}"


def _data_files(directory: Path) -> dict[str, tuple[int, int, str]]:
    """Return size, time of change and SHA-256 of every data file of a node."""
    root = directory / "databases"
    return {
        str(path.relative_to(root)): (path.stat().st_size, path.stat().st_mtime_ns, _sha256(path))
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def _bytes_changed(before: dict[str, tuple[int, int, str]], after: dict[str, tuple[int, int, str]]) -> int:
    """Return the size of all files that are new, gone, or in any way not as they were."""
    names = before.keys() | after.keys()
    changed = [name for name in names if before.get(name) != after.get(name)]
    return sum((after.get(name) or before[name])[0] for name in changed)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
