"""A cluster of any cloud under a key of any cloud."""

from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import pytest

from keystore.control.due import DueTable
from keystore.projects.conditions import State
from keystore.projects.deployment_rows import SUPERVISE_JOB, open_changes
from keystore.projects.deployments import create_deployment
from keystore.projects.shapes import CLOUDS, Shape
from tests.emulator_process import Emulator
from tests.emulator_process import emulator as emulator
from tests.projects.living import living
from tests.projects.made import make_configuration

AT_ONCE = 3
"""Deployments whose processes start at the same time: on few cores, more of them only wait for each other."""


@pytest.mark.row("R13")
def test_all_nine_pairs_of_a_clusters_cloud_and_its_keys_run(tmp_path: Path, emulator: Emulator) -> None:
    keys = {provider: emulator.create_key(provider.lower()) for provider in CLOUDS}
    pairs = {f"{cloud}-{provider}": (cloud, provider) for cloud, provider in product(CLOUDS, CLOUDS)}
    assert len(pairs) == 9
    with living(f"sqlite:///{tmp_path / 'control.db'}", tmp_path, emulator) as live:
        made = {}
        with live.database.write() as connection:
            for provider, uri in keys.items():
                make_configuration(connection, live.project_id, provider, uri)
            for name, (cloud, provider) in pairs.items():
                shape = Shape(cloud, "SOMEWHERE", "M10", size=1, provider=provider)
                made[name] = create_deployment(connection, live.owner, live.project_id, name, shape, live.now_ns()).id
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(live.look, DueTable(live.database).open_jobs(SUPERVISE_JOB)))
        for name, (cloud, provider) in pairs.items():
            with live.database.read() as connection:
                reasons = [change.reason for change in open_changes(connection, made[name])]
            found = live.get(made[name])
            assert (found.condition.state, found.shape.cloud) == (State.IDLE, cloud), reasons
            assert live.states(made[name]) == {"n1": "running", "router": "running"}
            node, router = (live.clients(made[name])[process] for process in ("n1", "router"))
            with node, router:
                assert node.status().master_key.key_id == keys[provider]
                node.write_file("db", "file", name.encode())
                assert b"".join(router.read_file("db", "file")) == name.encode()
