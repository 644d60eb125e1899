"""A cluster of any cloud under a key of any cloud."""

from pathlib import Path

import pytest

from keystore.projects.conditions import State
from keystore.projects.deployment_rows import open_changes
from keystore.projects.deployments import create_deployment
from keystore.projects.shapes import CLOUDS, Shape
from tests.emulator_process import Emulator
from tests.emulator_process import emulator as emulator
from tests.projects.living import Living, living
from tests.projects.made import make_configuration

PAIRS = [(cloud, provider) for cloud in CLOUDS for provider in CLOUDS]
OTHERS = [("AWS", "AZURE"), ("AZURE", "GCP")]
"""With the one of `test_living_deployment`, of Google under a key at AWS: each KMS and each cloud once."""


def run(live: Living, emulator: Emulator, pairs: list[tuple[str, str]]) -> None:
    """Make a deployment for each pair of cloud and KMS in one project, and see each run under the project's key."""
    keys = {provider: emulator.create_key(provider.lower()) for provider in sorted({pair[1] for pair in pairs})}
    with live.database.write() as connection:
        for provider, uri in keys.items():
            make_configuration(connection, live.project_id, provider, uri)
    for cloud, provider in pairs:
        shape = Shape(cloud, "SOMEWHERE", "M10", size=1, provider=provider)
        with live.database.write() as connection:
            made = create_deployment(
                connection, live.owner, live.project_id, f"{cloud}-{provider}", shape, live.now_ns()
            )
        live.settle()
        with live.database.read() as connection:
            reasons = [change.reason for change in open_changes(connection, made.id)]
        assert live.get(made.id).condition.state is State.IDLE, reasons
        assert live.states(made.id) == {"n1": "running", "router": "running"}
        node = live.clients(made.id)["n1"]
        with node:
            assert node.status().master_key.key_id == keys[provider]


@pytest.mark.row("R13")
def test_the_cloud_of_a_cluster_and_of_its_key_differ(tmp_path: Path, emulator: Emulator) -> None:
    with living(f"sqlite:///{tmp_path / 'control.db'}", tmp_path, emulator) as live:
        run(live, emulator, OTHERS)


@pytest.mark.soak
@pytest.mark.row("R13")
def test_all_nine_pairs_run(tmp_path: Path, emulator: Emulator) -> None:
    with living(f"sqlite:///{tmp_path / 'control.db'}", tmp_path, emulator) as live:
        run(live, emulator, PAIRS)
