"""Google operations on import jobs: an RSA key of the service under which callers wrap their own key material.

A job is a key of the service, so that no list of keys shows it. Its one version expires three days after it was made:
the private half is gone then, and the job stays as a record.
"""

from collections.abc import Mapping

from keystore_api.google_kms.v1 import resources_pb2
from keystore_api.google_kms.v1 import service_pb2 as pb

from kms_emulator.model.errors import NameTakenError
from kms_emulator.model.keys import Key, KeyKind, VersionState
from kms_emulator.model.paddings import RsaPadding
from kms_emulator.model.registry import SERVICE_REALM
from kms_emulator.model.unwrapping import Wrapping
from kms_emulator.wire.call import Call
from kms_emulator.wire.gcp.algorithms import name_of
from kms_emulator.wire.gcp.asymmetric import pem
from kms_emulator.wire.gcp.errors import already_exists, invalid, not_emulated
from kms_emulator.wire.gcp.keys import check_list, page_length
from kms_emulator.wire.gcp.lookup import check_id, find_import_job, find_ring
from kms_emulator.wire.gcp.usable import fresh_material
from kms_emulator.wire.paging import page
from kms_emulator.wire.times import DAY_NS, timestamp

LIFE_NS = 3 * DAY_NS
"""How long a job can be used (Cloud KMS reference, ImportJob)."""

Job = resources_pb2.ImportJob
Level = resources_pb2.ProtectionLevel
Format = resources_pb2.PublicKey
METHODS: Mapping[int, tuple[KeyKind, Wrapping]] = {
    Job.RSA_OAEP_3072_SHA1_AES_256: (KeyKind.RSA_3072, Wrapping(RsaPadding.OAEP_SHA1, through_aes=True)),
    Job.RSA_OAEP_4096_SHA1_AES_256: (KeyKind.RSA_4096, Wrapping(RsaPadding.OAEP_SHA1, through_aes=True)),
    Job.RSA_OAEP_3072_SHA256_AES_256: (KeyKind.RSA_3072, Wrapping(RsaPadding.OAEP_SHA256, through_aes=True)),
    Job.RSA_OAEP_4096_SHA256_AES_256: (KeyKind.RSA_4096, Wrapping(RsaPadding.OAEP_SHA256, through_aes=True)),
    Job.RSA_OAEP_3072_SHA256: (KeyKind.RSA_3072, Wrapping(RsaPadding.OAEP_SHA256, through_aes=False)),
    Job.RSA_OAEP_4096_SHA256: (KeyKind.RSA_4096, Wrapping(RsaPadding.OAEP_SHA256, through_aes=False)),
}
"""The key of a job of each method, and how material is wrapped under it."""

_METHOD, _LEVEL, _EXPIRES = "import_method", "protection_level", "expires_ns"


async def create_import_job(call: Call, request: pb.CreateImportJobRequest) -> resources_pb2.ImportJob:
    """Make a job, with its key pair."""
    ring = find_ring(call, request.parent)
    name = f"{ring.name}/importJobs/{check_id(request.import_job_id)}"
    call.key = name
    kind = _check(request.import_job)
    material = await fresh_material(call, kind)
    expires_ns = call.now_ns + LIFE_NS
    attributes = {
        _METHOD: str(int(request.import_job.import_method)),
        _LEVEL: str(int(request.import_job.protection_level)),
        _EXPIRES: str(expires_ns),
    }
    try:
        job = call.registry.create(SERVICE_REALM, name, kind, call.now_ns, attributes=attributes)
    except NameTakenError:
        raise already_exists("ImportJob", name) from None
    return _resource(call, call.registry.add_version(job, material, call.now_ns, expires_ns=expires_ns))


def get_import_job(call: Call, request: pb.GetImportJobRequest) -> resources_pb2.ImportJob:
    """Return a job, with its public key while it is active: PEM unless DER is asked for."""
    if request.public_key_format not in (Format.PUBLIC_KEY_FORMAT_UNSPECIFIED, Format.PEM, Format.DER):
        asked = name_of(Format.PublicKeyFormat, request.public_key_format)
        raise invalid(f"The public key format {asked} is not supported for import jobs with an RSA key.")
    return _resource(call, find_import_job(call, request.name), request.public_key_format)


def list_import_jobs(call: Call, request: pb.ListImportJobsRequest) -> pb.ListImportJobsResponse:
    """List the jobs of a key ring, expired ones too."""
    check_list(request.filter, request.order_by)
    jobs = call.registry.keys(SERVICE_REALM, f"{find_ring(call, request.parent).name}/importJobs/")
    found, token = page(jobs, lambda job: job.name, request.page_token, page_length(request.page_size))
    return pb.ListImportJobsResponse(
        import_jobs=[_resource(call, job) for job in found], next_page_token=token, total_size=len(jobs)
    )


def method_of(job: Key) -> Wrapping:
    """Return how material is wrapped under a job."""
    return METHODS[int(job.attributes[_METHOD])][1]


def level_of(job: Key) -> int:
    """Return a job's protection level."""
    return int(job.attributes[_LEVEL])


def is_active(job: Key) -> bool:
    """Tell whether a job can be used."""
    return job.versions[0].state is VersionState.ENABLED


def _check(job: resources_pb2.ImportJob) -> KeyKind:
    """Return the kind of a new job's key; refuse what cannot be."""
    if not job.import_method:
        raise invalid("The import_method of the ImportJob must be specified.")
    if job.import_method not in METHODS:
        raise not_emulated(f"The import method {name_of(Job.ImportMethod, job.import_method)}")
    if not job.protection_level:
        raise invalid("The protection_level of the ImportJob must be specified.")
    if job.protection_level not in (Level.SOFTWARE, Level.HSM):
        raise not_emulated(f"The protection level {name_of(Level, job.protection_level)}")
    return METHODS[job.import_method][0]


def _resource(call: Call, job: Key, form: int = Format.PUBLIC_KEY_FORMAT_UNSPECIFIED) -> resources_pb2.ImportJob:
    expires_ns = int(job.attributes[_EXPIRES])
    found = resources_pb2.ImportJob(
        name=job.name,
        import_method=Job.ImportMethod.Name(int(job.attributes[_METHOD])),
        protection_level=Level.Name(level_of(job)),
        create_time=timestamp(job.created_ns),
        generate_time=timestamp(job.created_ns),
        expire_time=timestamp(expires_ns),
    )
    if not is_active(job):
        found.state = Job.EXPIRED
        found.expire_event_time.CopyFrom(timestamp(expires_ns))
        return found
    found.state = Job.ACTIVE
    der = call.registry.usable(job, 1).public_der()
    if form == Format.DER:
        found.public_key.data = der
        found.public_key_format = Format.DER
        return found
    found.public_key.pem = pem(der).decode()
    found.public_key_format = Format.PEM
    return found
