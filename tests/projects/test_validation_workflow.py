"""The check of a key as a workflow of the real engine: once, and no secret in what the engine keeps."""

import time
from contextlib import closing
from pathlib import Path

import pytest

from keystore.control.database import open_database
from keystore.control.dbos_engine import DbosEngine
from keystore.control.due import Due
from keystore.control.service import ControlService
from keystore.errors import KmsSetupError
from keystore.kms.connect import connector
from keystore.kms.given import GivenCredentials
from keystore.projects.connecting import DeploymentKms, ProjectKms, provider_of
from keystore.projects.validation import INTERVAL_NS, VALIDATION_JOB, register_validation
from kms_emulator.embedded import KmsEmulator
from tests.projects.providers import CLOUDS, Aws, leading_to
from tests.projects.validating import Validating

WAIT_MAX_S = 60.0
CANARY = "canary-55aa-secret-of-a-customer"


@pytest.mark.row("R37", "R74")
def test_a_check_is_a_workflow_that_keeps_no_secret(tmp_path: Path) -> None:
    with (
        KmsEmulator(strict_auth=True) as kms,
        leading_to(kms),
        closing(open_database(f"sqlite:///{tmp_path / 'control.db'}")) as database,
    ):
        world, aws = Validating.on(database, tmp_path), Aws(kms)
        kms.users.put("atlas", access_key_id="AKIACANARYCANARYCANA", secret_access_key=CANARY)
        world.save(aws, accessKeyID="AKIACANARYCANARYCANA", secretAccessKey=CANARY)
        first_ns = world.clock.at_ns + INTERVAL_NS
        aws.ways["disable"][0]()
        engine = DbosEngine(database, "control", beat_s=0.5, dead_after_s=10)
        register_validation(engine, world.plane)
        engine.launch()
        try:
            service = ControlService(database, engine, world.clock, [VALIDATION_JOB])
            assert service.look() == 0
            world.clock.at_ns = first_ns
            assert (service.look(), service.look()) == (1, 0)
            key = Due(VALIDATION_JOB, f"{world.project_id}/AWS", first_ns).key
            end_s = time.monotonic() + WAIT_MAX_S
            while (status := engine.status(key)) is None or not status.ended:
                assert time.monotonic() < end_s
                time.sleep(0.02)
            assert status.error is None, status
        finally:
            engine.close()
        assert [(row.due_ns, row.outcome) for row in world.checks if row.cause == "scheduled"] == [
            (first_ns, "invalid")
        ]
        assert world.configuration("AWS").state == "invalid"
    files = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert key.encode() in files
    assert CANARY.encode() not in files


@pytest.mark.row("R25")
def test_a_project_gives_its_keys_and_the_credentials_of_any_day(tmp_path: Path) -> None:
    with (
        KmsEmulator(strict_auth=True) as kms,
        leading_to(kms),
        closing(open_database(f"sqlite:///{tmp_path / 'control.db'}")) as database,
    ):
        world, other = Validating.on(database, tmp_path), f"local://{tmp_path / 'platform'}"
        for provider, kind in CLOUDS.items():
            cloud = kind(kms)
            ways = ProjectKms(world.plane, world.project_id, connector())
            with pytest.raises(KmsSetupError, match="no credentials"):
                ways(cloud.settings().key_uri)
            world.save(cloud)
            found = world.configuration(provider)
            assert (ways.reference(found.key_uri), provider_of(found.key_uri)) == (found.credential_id, provider)
            with closing(ways(found.key_uri)) as client:
                assert client.describe().usable
            same = ways.by_reference(found.key_uri, found.credential_id)
            assert same is not None
            with closing(same) as client:
                assert client.describe().usable
            assert ways.by_reference(found.key_uri, "0" * 24) is None
            given = GivenCredentials.decode(ways.message([found.key_uri, other]))
            section = given.present(provider.lower())
            assert section is not None
            assert section.name == found.credential_id
            assert ways.message([other]) == b""
            foreign = ProjectKms(world.plane, "f" * 24)
            assert foreign.by_reference(found.key_uri, found.credential_id) is None
        keys = DeploymentKms(world.plane, connector())
        with closing(keys.connector("of no project", "127.0.0.9")(other)) as client:
            assert client.describe().usable
