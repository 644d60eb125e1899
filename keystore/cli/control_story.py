"""The story of a revoked key: a customer disables the key of a project, its clusters are shut down at the next check,
its owner gets mail, the key comes back, and they run again.

Everything is real: the emulator, the control plane and the nodes are processes, mail goes over SMTP, and every word to
the control plane goes over its API. Only its clock is moved, to the next check.
Leaves to others: how it looks (`Tell`). What does not come out as told raises `DemoError`.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from keystore.agents.client import NodeClient
from keystore.agents.host_client import HostClient
from keystore.agents.identity import Role
from keystore.cli.api_client import ApiClient
from keystore.control.clock import MovableClock
from keystore.control.creation import ClusterFiles
from keystore.control.database import open_database
from keystore.control.local_hosts import LocalHosts
from keystore.demo.emulator import CloudKeys, EmulatorProcess
from keystore.demo.mailbox import Mailbox
from keystore.demo.story import DemoError, short_key
from keystore.errors import ApiError, KmsSetupError
from keystore.kms.local import create_key_file
from keystore.node.known_nodes import ENVIRONMENT as KNOWN_NODES
from keystore.projects.machines import unplaced
from keystore.projects.validation import INTERVAL_NS
from keystore.rest.process import found_organization

PROJECT, CLUSTER, OWNER = "shop", "orders", "owner@example.org"
NODES, NODE = 3, "n1"
DATABASE, FILE, TEXT = "db1", "greeting", b"hello"
WAIT_S = 120.0
"""LIMIT: seconds for a step; the longest, a new cluster, takes some 5 on an idle machine."""
LOOK_EVERY_S = 0.1
"""Pause between two looks, of the story and of the control plane."""
STOP_S = 60.0
"""LIMIT: seconds for the control process to end the step that is under way."""

INSTALL = "Nothing was done; pip install 'cmk-keystore[aws,control,emulator]'."

Tell = Callable[[int, str], None]
"""Shows one line of the story, and the time of the control plane's clock in nanoseconds."""


class ControlStory:
    """Plays it in `place`, an empty directory that the caller removes."""

    def __init__(self, place: Path, tell: Tell) -> None:
        self._place, self._tell = place, tell
        self._url = f"sqlite:///{place / 'control.db'}"
        self._moved_ns = 0
        self._mailbox = Mailbox()
        self._api: ApiClient
        self._keys: CloudKeys
        self._project = self._key = ""
        self.states: list[str] = []

    def run(self) -> dict[str, Any]:
        """Tell the story to its end; return what it showed."""
        with ExitStack() as stack:
            stack.enter_context(self._mailbox)
            self._start(stack)
            self._configure()
            self._create()
            self._revoke()
            mail = self._read_mail()
            refused = self._try_while_disabled()
            self._restore()
            return {
                "states": self.states,
                "mail": {"to": mail["To"], "subject": mail["Subject"], "text": mail.get_content()},
                "mails": len(self._mailbox.taken),
                "refused": refused,
                "alerts": self._alerts(),
                "events": self._events(),
                "cluster": self._cluster(),
            }

    # -- steps --------------------------------------------------------------------------------------------------------

    def _start(self, stack: ExitStack) -> None:
        emulator = stack.enter_context(EmulatorProcess(self._place / "kms-emulator.log"))
        if "aws" not in emulator.endpoints:
            raise KmsSetupError(f"the emulator serves gRPC alone, which carries no credentials. {INSTALL}")
        self._keys = stack.enter_context(CloudKeys(emulator.endpoint))
        self._key = self._keys.create("aws", "demo-cmk")
        self._say(f"a KMS in AWS's shape at {emulator.endpoints['aws']}")
        create_key_file(self._place / "platform")
        _, owner = found_organization(self._url, "acme", time.time_ns())
        stack.callback(self._stop_hosts)
        api_url = stack.enter_context(self._serve(emulator.endpoints["aws"]))
        self._api = ApiClient(api_url, owner.public_key, str(owner.private_key))
        self._say(f"the API of the control plane is at {api_url}")

    @contextlib.contextmanager
    def _serve(self, kms_endpoint: str) -> Iterator[str]:
        """Run a control process; give the URL of its API."""
        ready, log = self._place / "control.json", self._place / "control.log"
        command: list[str | Path] = [
            sys.executable,
            "-m",
            "keystore.cli.main",
            "control",
            "serve",
            "--database",
            self._url,
        ]
        command += ["--platform-key", f"local://{self._place / 'platform'}", "--data-dir", self._place / "data"]
        command += [
            "--listen",
            "127.0.0.1:0",
            "--ready-file",
            ready,
            "--movable-clock",
            "--look-every",
            str(LOOK_EVERY_S),
        ]
        command += ["--smtp", self._mailbox.address, "--mail-from", "keystore@example.org"]
        with log.open("wb") as stderr:
            # A session of its own: Ctrl-C reaches this process alone, which then ends the others in order.
            process = subprocess.Popen(
                [*map(str, command)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                start_new_session=True,
                env=_environment(self._place, kms_endpoint),
            )
        try:
            self._wait(lambda: ready.exists() or process.poll() is not None, "the control process to serve")
            if not ready.exists():
                raise DemoError(f"the control process ended: {log.read_text(errors='replace')[-500:].strip()}")
            yield str(json.loads(ready.read_text())["url"])
        finally:
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _configure(self) -> None:
        organization = self._api.call("GET", "/orgs")["results"][0]["id"]
        made = self._api.call("POST", "/groups", {"name": PROJECT, "orgId": organization})
        self._project = f"/groups/{made['id']}"
        self._api.call("POST", f"{self._project}/users", {"username": OWNER, "roles": ["GROUP_OWNER"]})
        region, _, key = self._key.removeprefix("aws://").partition("/")
        block = {"enabled": True, "customerMasterKeyID": key, "region": region.upper().replace("-", "_")}
        block |= {"accessKeyID": "AKIADEMODEMODEMODEMO", "secretAccessKey": "demo" * 10}
        saved = self._api.call("PATCH", f"{self._project}/encryptionAtRest", {"awsKms": block})["awsKms"]
        self._say(f"project {PROJECT} gets a key, {short_key(self._key)}: {self._state(saved)}")

    def _create(self) -> None:
        specs = {"instanceSize": "M10", "nodeCount": NODES}
        region = {"providerName": "AWS", "regionName": "US_EAST_1", "electableSpecs": specs}
        body = {"name": CLUSTER, "encryptionAtRestProvider": "AWS", "replicationSpecs": [{"regionConfigs": [region]}]}
        self._note(self._api.call("POST", f"{self._project}/clusters", body))
        self._say(f"cluster {CLUSTER} is ordered: {self.states[-1]}")
        self._wait_for("IDLE")
        self._write()
        self._require_read()
        self._say(f"{CLUSTER} runs: {self.states[-1]}, {len(self._nodes())} nodes; a file is written, and read back")

    def _revoke(self) -> None:
        self._keys.set_enabled(self._key, enabled=False)
        self._require_read()
        self._say(f"the customer disables the key. {CLUSTER} still reads: its nodes hold master keys")
        with closing(open_database(self._url)) as database:
            MovableClock(database).advance(INTERVAL_NS)
        self._moved_ns += INTERVAL_NS
        self._wait_for("DISABLED")
        self._wait(lambda: not self._nodes(), "the nodes to end")
        self._say(f"the check of every 15 minutes: {self._key_block()['errorCode']}")
        self._say(f"{CLUSTER} is shut down: {self.states[-1]}, {len(self._nodes())} nodes run, no key in any memory")

    def _read_mail(self) -> Any:
        self._wait(lambda: bool(self._mailbox.taken), "the mail")
        mail = self._mailbox.taken[0]
        self._say(f"mail to {mail['To']}: {mail['Subject']}")
        self._say(f"{len(self._alerts(open_only=True))} alerts are open, of the key and of the configuration")
        return mail

    def _try_while_disabled(self) -> list[str]:
        """Show what is refused, and what is queued; return the codes of what was refused."""
        if self._read():
            raise DemoError("a cluster without its key answered a read")
        refused, other = [], self._keys.create("aws", "demo-cmk-2").rpartition("/")[2]
        for what, block in (("another key", {"customerMasterKeyID": other}), ("no key", {"enabled": False})):
            refused.append(self._refused({"awsKms": block}))
            self._say(f"{what} now? {refused[-1]}")
        changed = self._api.call("PATCH", f"{self._project}/clusters/{CLUSTER}", {"diskSizeGB": 40})
        (waiting,) = changed["pendingChanges"]
        self._say(f"a disk of 40 GB instead of {changed['diskSizeGB']} is ordered: {waiting['state']}")
        return refused

    def _restore(self) -> None:
        self._keys.set_enabled(self._key, enabled=True)
        self._say("the customer enables the key, and tries again")
        self._api.call("POST", f"{self._project}/encryptionAtRest/AWS/tryAgain")
        self._say(f"the key is {self._state(self._key_block())}; the processes start")
        self._wait_for("IDLE")
        self._require_read()
        cluster = self._cluster()
        self._say(f"{CLUSTER} runs: {self.states[-1]}, {len(self._nodes())} nodes; the file reads as it was written")
        self._say(f"the queued order was carried out: {cluster['diskSizeGB']} GB")
        if open_alerts := self._alerts(open_only=True):
            raise DemoError(f"alerts are open still: {open_alerts}")
        self._say("alerts are closed; it is all in the events:")
        told = [name for name in self._events() if name.startswith(("AWS_ENCRYPTION_KEY", "CLUSTER_INSTANCE"))]
        self._say(", ".join(told))

    # -- what is looked at --------------------------------------------------------------------------------------------

    def _cluster(self) -> dict[str, Any]:
        found: dict[str, Any] = self._api.call("GET", f"{self._project}/clusters/{CLUSTER}")
        return found

    def _key_block(self) -> dict[str, Any]:
        found: dict[str, Any] = self._api.call("GET", f"{self._project}/encryptionAtRest")["awsKms"]
        return found

    def _alerts(self, *, open_only: bool = False) -> dict[str, str]:
        status = "OPEN" if open_only else None
        found = self._api.all(f"{self._project}/alerts", status=status)
        return {each["eventTypeName"]: each["status"] for each in found}

    def _events(self) -> list[str]:
        """Return the types of all events, the oldest first."""
        return [each["eventTypeName"] for each in reversed(self._api.all(f"{self._project}/events"))]

    def _refused(self, body: dict[str, Any]) -> str:
        try:
            self._api.call("PATCH", f"{self._project}/encryptionAtRest", body)
        except ApiError as error:
            return error.code
        raise DemoError(f"{sorted(body['awsKms'])} could be changed while the key was invalid")

    def _state(self, block: dict[str, Any]) -> str:
        if not block["valid"]:
            raise DemoError(f"the key is not valid: {block.get('reason')}")
        return str(block["state"])

    @property
    def _files(self) -> ClusterFiles:
        return ClusterFiles(self._place / "data" / "deployments" / self._cluster()["id"])

    def _nodes(self) -> dict[str, str]:
        """Ask the hosts which nodes run; return where these take calls."""
        files, found = self._files, {}
        for name in (f"n{number}" for number in range(1, NODES + 1)):
            host = json.loads((files.directory / "hosts" / f"{name}.ready").read_bytes())["address"]
            with HostClient(host, files.tls(Role.CONTROL, "control"), name) as client:
                report = client.status().processes[name]
            if report.state == "running":
                found[name] = report.address
        return found

    def _read(self) -> bool:
        """Have a node read its file; return whether one runs that could."""
        address = self._nodes().get(NODE)
        if address is None:
            return False
        with NodeClient(address, self._files.tls(Role.CLIENT, ""), name=NODE) as node:
            if b"".join(node.read_file(DATABASE, FILE)) != TEXT:
                raise DemoError("a file came back with other bytes")
        return True

    def _require_read(self) -> None:
        if not self._read():
            raise DemoError(f"{NODE} does not run")

    def _write(self) -> None:
        with NodeClient(self._nodes()[NODE], self._files.tls(Role.CLIENT, ""), name=NODE) as node:
            node.write_file(DATABASE, FILE, TEXT)

    # -- telling and waiting ------------------------------------------------------------------------------------------

    def _say(self, text: str) -> None:
        self._tell(time.time_ns() + self._moved_ns, text)

    def _note(self, cluster: dict[str, Any]) -> str:
        """Keep a state that the cluster has now; return it."""
        state = str(cluster["stateName"])
        if self.states[-1:] != [state]:
            self.states.append(state)
        return state

    def _wait_for(self, state: str) -> None:
        self._wait(lambda: self._note(self._cluster()) == state, f"{CLUSTER} to be {state}")

    def _wait(self, is_so: Callable[[], bool], what: str) -> None:
        end_s = time.monotonic() + WAIT_S
        while not is_so():
            if time.monotonic() > end_s:
                raise DemoError(f"waited {WAIT_S:.0f} s in vain for {what}")
            time.sleep(LOOK_EVERY_S)

    def _stop_hosts(self) -> None:
        """End the processes of clusters: they outlive those of the control plane."""
        for directory in (self._place / "data" / "deployments").glob("*"):
            names = [ready.stem for ready in (directory / "hosts").glob("*.ready")]
            LocalHosts(ClusterFiles(directory)).stop([unplaced(name) for name in names])


def _environment(place: Path, kms_endpoint: str) -> dict[str, str]:
    """Return the environment of a control process, without what leads it elsewhere."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KEYSTORE_")}
    return {**kept, KNOWN_NODES: str(place / "known_nodes"), "KEYSTORE_AWS_ENDPOINT": kms_endpoint}
