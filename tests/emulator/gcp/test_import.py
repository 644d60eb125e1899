"""Import jobs and imported versions through Google's own client, over gRPC and REST."""

import re
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key
from google.api_core import exceptions
from google.cloud import kms
from google.protobuf.duration_pb2 import Duration
from keystore_api.admin.v1 import admin_pb2
from keystore_api.admin.v1.admin_pb2_grpc import AdminStub

from kms_emulator.model.keypairs import to_pkcs8
from tests.emulator.gcp.accounts import bind, put_account, signed
from tests.emulator.gcp.importing import (
    SHA256,
    SYMMETRIC,
    Job,
    Level,
    Method,
    import_material,
    make_importable,
    make_job,
    wrap,
)
from tests.emulator.gcp.keys import LOCATION, RING, Algorithm, Client, Purpose, State, make, rest_client, switch
from tests.emulator.running import Running

MATERIAL = bytes(range(32))
JOB = f"{RING}/importJobs/job"
DAY_S = 86_400
METHODS = [method.name for method in Method if method.name.startswith("RSA_")]
UNWRAPPED = "couldn't be unwrapped or wasn't formatted correctly"


@pytest.fixture
def key(client: Client) -> str:
    return make_importable(client)


def advance(admin: AdminStub, seconds: int) -> None:
    admin.AdvanceClock(admin_pb2.AdvanceClockRequest(by=Duration(seconds=seconds)))


def destroy(client: Client, admin: AdminStub, version: str) -> None:
    client.destroy_crypto_key_version(name=version)
    advance(admin, 31 * DAY_S)
    assert client.get_crypto_key_version(name=version).state == State.DESTROYED


@pytest.mark.parametrize("method", METHODS)
def test_material_comes_in_by_every_rsa_method(client: Client, method: str) -> None:
    key = make_importable(client, "MAC", "HMAC_SHA256")
    job = make_job(client, method=method)
    assert (job.state, job.import_method) == (Job.ACTIVE, Method[method])
    version = import_material(client, key, job, wrap(job, MATERIAL), "HMAC_SHA256")
    assert (version.state, version.import_job) == (State.ENABLED, JOB), version.import_failure_reason
    theirs = hmac.HMAC(MATERIAL, hashes.SHA256())
    theirs.update(b"x")
    assert client.mac_sign(name=version.name, data=b"x").mac == theirs.finalize()


def test_imported_version_is_made_primary_by_hand(client: Client, key: str) -> None:
    job = make_job(client)
    version = import_material(client, key, job, wrap(job, MATERIAL))
    with pytest.raises(exceptions.FailedPrecondition, match="no primary version"):
        client.encrypt(name=key, plaintext=b"x")
    assert client.update_crypto_key_primary_version(name=key, crypto_key_version_id="1").primary == version
    sealed = client.encrypt(name=key, plaintext=b"x").ciphertext
    assert client.decrypt(name=key, ciphertext=sealed).plaintext == b"x"


def test_key_pair_comes_in_as_pkcs8(client: Client) -> None:
    key = make_importable(client, "ASYMMETRIC_SIGN", "EC_SIGN_P256_SHA256")
    job = make_job(client)
    private = ec.generate_private_key(ec.SECP256R1())
    version = import_material(client, key, job, wrap(job, to_pkcs8(private)), "EC_SIGN_P256_SHA256")
    assert (version.state, version.import_failure_reason) == (State.ENABLED, "")
    asked = {"name": version.name, "public_key_format": kms.PublicKey.PublicKeyFormat.DER}
    assert load_der_public_key(client.get_public_key(request=asked).public_key.data) == private.public_key()


def test_job_ends_after_three_days(client: Client, key: str, admin: AdminStub) -> None:
    job = make_job(client)
    assert job.expire_time - job.create_time == timedelta(days=3)
    wrapped = wrap(job, MATERIAL)
    advance(admin, 3 * DAY_S - 60)
    assert import_material(client, key, job, wrapped).state == State.ENABLED
    advance(admin, 60)
    ended = client.get_import_job(name=JOB)
    assert (ended.state, ended.expire_event_time) == (Job.EXPIRED, job.expire_time)
    assert not ended.public_key.pem
    with pytest.raises(exceptions.FailedPrecondition, match="EXPIRED"):
        import_material(client, key, job, wrapped)


def test_jobs_are_listed_in_pages_and_are_no_keys(client: Client, key: str, admin: AdminStub) -> None:
    jobs = [make_job(client, f"job-{number}") for number in range(3)]
    pages = client.list_import_jobs(request={"parent": RING, "page_size": 2}).pages
    assert [[job.name for job in page.import_jobs] for page in pages] == [
        [jobs[0].name, jobs[1].name],
        [jobs[2].name],
    ]
    assert [found.name for found in client.list_crypto_keys(parent=RING)] == [key]
    assert admin.GetServerInfo(admin_pb2.GetServerInfoRequest()).key_count == 1


def test_public_key_of_a_job_in_der(client: Client) -> None:
    make_job(client)
    formats = kms.PublicKey.PublicKeyFormat
    found = client.get_import_job(request={"name": JOB, "public_key_format": formats.DER})
    assert (found.public_key_format, found.public_key.pem) == (formats.DER, "")
    assert load_der_public_key(found.public_key.data) is not None
    with pytest.raises(exceptions.InvalidArgument, match="NIST_PQC"):
        client.get_import_job(request={"name": JOB, "public_key_format": formats.NIST_PQC})


@pytest.mark.parametrize(
    "spoil", [lambda wrapped: wrapped[:-1], lambda wrapped: b"\x00" * len(wrapped), lambda _: b"x"]
)
def test_what_cannot_be_unwrapped_is_a_failed_version_that_can_be_filled(client: Client, key: str, spoil: Any) -> None:
    job = make_job(client)
    wrapped = wrap(job, MATERIAL)
    failed = import_material(client, key, job, spoil(wrapped))
    assert (failed.state, failed.reimport_eligible) == (State.IMPORT_FAILED, True)
    assert UNWRAPPED in failed.import_failure_reason
    for refuse in (
        lambda: switch(client, failed.name, "ENABLED"),
        lambda: client.destroy_crypto_key_version(name=failed.name),
        lambda: client.encrypt(name=failed.name, plaintext=b"x"),
        lambda: client.update_crypto_key_primary_version(name=key, crypto_key_version_id="1"),
    ):
        with pytest.raises(exceptions.FailedPrecondition, match="IMPORT_FAILED"):
            refuse()
    filled = import_material(client, key, job, wrapped, crypto_key_version=failed.name)
    assert (filled.name, filled.state, filled.reimport_eligible) == (failed.name, State.ENABLED, False)
    assert filled.import_failure_reason == ""
    assert len(list(client.list_crypto_key_versions(parent=key))) == 1


def test_material_of_another_length_fails(client: Client, key: str) -> None:
    job = make_job(client)
    assert import_material(client, key, job, wrap(job, bytes(16))).state == State.IMPORT_FAILED


def test_destroyed_version_takes_its_own_material_back_and_no_other(client: Client, key: str, admin: AdminStub) -> None:
    job = make_job(client)
    version = import_material(client, key, job, wrap(job, MATERIAL)).name
    sealed = client.encrypt(name=version, plaintext=b"x").ciphertext
    destroy(client, admin, version)
    assert client.get_crypto_key_version(name=version).reimport_eligible
    later = make_job(client, "later")
    wrong = import_material(client, key, later, wrap(later, bytes(32)), crypto_key_version=version)
    assert (wrong.state, wrong.import_job) == (State.IMPORT_FAILED, later.name)
    assert "does not match" in wrong.import_failure_reason
    unreadable = import_material(client, key, later, b"x", crypto_key_version=version)
    assert UNWRAPPED in unreadable.import_failure_reason
    wrong = import_material(client, key, later, wrap(later, bytes(32)), crypto_key_version=version)
    assert wrong.state == State.IMPORT_FAILED
    back = import_material(client, key, later, wrap(later, MATERIAL), crypto_key_version=version)
    assert (back.state, back.destroy_event_time) == (State.ENABLED, None)
    assert client.decrypt(name=key, ciphertext=sealed).plaintext == b"x"


def test_only_imported_versions_without_material_are_imported_into(client: Client, admin: AdminStub) -> None:
    own = make(client, "ENCRYPT_DECRYPT", SYMMETRIC)
    key = own.partition("/cryptoKeyVersions/")[0]
    job = make_job(client)
    imported = import_material(client, key, job, wrap(job, MATERIAL)).name
    with pytest.raises(exceptions.FailedPrecondition, match="current state is: ENABLED"):
        import_material(client, key, job, wrap(job, MATERIAL), crypto_key_version=imported)
    destroy(client, admin, own)
    later = make_job(client, "later")
    assert not client.get_crypto_key_version(name=own).reimport_eligible
    with pytest.raises(exceptions.FailedPrecondition, match="was not imported"):
        import_material(client, key, later, wrap(later, MATERIAL), crypto_key_version=own)
    other = make(client, "ENCRYPT_DECRYPT", SYMMETRIC, "other")
    with pytest.raises(exceptions.InvalidArgument, match="is not a version of"):
        import_material(client, key, later, wrap(later, MATERIAL), crypto_key_version=other)


def test_import_only_keys_hold_nothing_else(client: Client, key: str) -> None:
    assert client.get_crypto_key(name=key).import_only
    with pytest.raises(exceptions.FailedPrecondition, match="import_only"):
        client.create_crypto_key_version(parent=key, crypto_key_version={})
    described = {"purpose": Purpose.ENCRYPT_DECRYPT, "import_only": True}
    with pytest.raises(exceptions.InvalidArgument, match="skip_initial_version_creation"):
        client.create_crypto_key(parent=RING, crypto_key_id="k2", crypto_key=described)
    rotating = {**described, "rotation_period": {"seconds": DAY_S}, "next_rotation_time": {"seconds": 1 << 33}}
    request = {"parent": RING, "crypto_key_id": "k2", "crypto_key": rotating, "skip_initial_version_creation": True}
    with pytest.raises(exceptions.InvalidArgument, match="import_only"):
        client.create_crypto_key(request=request)
    assert [found.name for found in client.list_crypto_keys(parent=RING)] == [key]


def test_requests_that_cannot_be(client: Client, key: str) -> None:
    job = make_job(client)
    hsm = make_job(client, "hsm", level="HSM")
    wrapped = wrap(job, MATERIAL)
    client.create_key_ring(parent=LOCATION, key_ring_id="far", key_ring={})
    far = {"import_method": Method[SHA256], "protection_level": Level.SOFTWARE}
    elsewhere = client.create_import_job(parent=f"{LOCATION}/keyRings/far", import_job_id="job", import_job=far)
    refusals: list[tuple[dict[str, Any], str]] = [
        ({"wrapped_key": b""}, "Exactly one of"),
        ({"rsa_aes_wrapped_key": wrapped}, "Exactly one of"),
        ({"wrapped_key": bytes(65_537)}, "65537 bytes"),
        ({"algorithm": "CRYPTO_KEY_VERSION_ALGORITHM_UNSPECIFIED"}, "not supported for the purpose"),
        ({"algorithm": "HMAC_SHA256"}, "not supported for the purpose"),
        ({"import_job": hsm.name}, "protection level"),
        ({"import_job": elsewhere.name}, "not in the key ring"),
        ({"import_job": "job"}, "import job name 'job' is invalid"),
    ]
    for fields, words in refusals:
        with pytest.raises(exceptions.InvalidArgument, match=re.escape(words)):
            import_material(client, key, job, wrapped, **fields)
    with pytest.raises(exceptions.NotFound, match="ImportJob"):
        import_material(client, key, job, wrapped, import_job=f"{RING}/importJobs/none")
    assert list(client.list_crypto_key_versions(parent=key)) == []
    older = import_material(client, key, job, b"", rsa_aes_wrapped_key=wrapped)
    assert older.state == State.ENABLED


def test_jobs_that_cannot_be(client: Client) -> None:
    for method, level, error in [
        ("IMPORT_METHOD_UNSPECIFIED", "SOFTWARE", exceptions.InvalidArgument),
        (SHA256, "PROTECTION_LEVEL_UNSPECIFIED", exceptions.InvalidArgument),
        ("HPKE_KEM_ML_KEM_768_HKDF_SHA256_AES_256_GCM", "SOFTWARE", exceptions.MethodNotImplemented),
        (SHA256, "EXTERNAL", exceptions.MethodNotImplemented),
    ]:
        with pytest.raises(error):
            make_job(client, method=method, level=level)
    make_job(client)
    with pytest.raises(exceptions.AlreadyExists, match="ImportJob"):
        make_job(client)
    with pytest.raises(exceptions.InvalidArgument, match="job!"):
        make_job(client, "job!")


def test_importer_needs_the_job_and_the_key(client: Client, key: str, admin: AdminStub) -> None:
    job = make_job(client)
    headers = signed(put_account(admin, "app"))
    request = {
        "parent": key,
        "algorithm": Algorithm[SYMMETRIC],
        "import_job": job.name,
        "wrapped_key": wrap(job, MATERIAL),
    }
    with pytest.raises(exceptions.PermissionDenied, match=r"cloudkms\.cryptoKeyVersions\.create"):
        client.import_crypto_key_version(request=request, metadata=headers)
    bind(client, key, "roles/cloudkms.admin", "app")
    with pytest.raises(exceptions.PermissionDenied, match=r"cloudkms\.importJobs\.useToImport"):
        client.import_crypto_key_version(request=request, metadata=headers)
    bind(client, job.name, "roles/cloudkms.importer", "app")
    assert client.import_crypto_key_version(request=request, metadata=headers).state == State.ENABLED


def test_import_over_rest(http: Running) -> None:
    rest = rest_client(http)
    rest.create_key_ring(parent=LOCATION, key_ring_id="r", key_ring={})
    key, job = make_importable(rest), make_job(rest)
    assert [found.name for found in rest.list_import_jobs(parent=RING)] == [JOB]
    assert rest.get_import_job(name=JOB) == job
    version = import_material(rest, key, job, wrap(job, MATERIAL))
    assert (version.state, version.import_job) == (State.ENABLED, JOB)
    assert rest.get_iam_policy(request={"resource": JOB}).etag == b"\x00\x20\x01"
