"""Questions about Google Cloud KMS with the answers of its documentation; `docs/GOOGLE_PROBES.md` is written from them.

Each is asked of the emulator through Google's own client. Run as a program it writes the document.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from google.api_core.exceptions import GoogleAPICallError

from kms_emulator.embedded import KmsEmulator
from kms_emulator.wire.gcp.crc32c import crc32c
from tests.emulator.gcp.importing import import_material, make_importable, make_job, wrap
from tests.emulator.gcp.keys import LOCATION, Client, make, switch

DOCUMENT = Path(__file__).parents[3] / "docs" / "GOOGLE_PROBES.md"
DOCS = "https://cloud.google.com/kms/docs"
SYMMETRIC = ("ENCRYPT_DECRYPT", "GOOGLE_SYMMETRIC_ENCRYPTION")
DAY = timedelta(days=1)


class World:
    """One emulator, and a fresh key ring of keys for each question."""

    def __init__(self, emulator: KmsEmulator) -> None:
        self.emulator = emulator
        client: Client = emulator.gcp.kms_client()
        self.client = client
        self._ids = (f"k{number}" for number in itertools.count())
        self.client.create_key_ring(parent=LOCATION, key_ring_id="r", key_ring={})

    def version(self, purpose: str = SYMMETRIC[0], algorithm: str = SYMMETRIC[1], **settings: Any) -> str:
        """Make a key; return the name of its first version."""
        return make(self.client, purpose, algorithm, next(self._ids), **settings)

    def now(self) -> datetime:
        return self.emulator.clock.now()

    def close(self) -> None:
        self.client.transport.close()


Ask = Callable[[World], object]


@dataclass(frozen=True)
class Probe:
    """A question, what Google's documentation says, on which page, and how it is asked."""

    question: str
    answer: str
    page: str
    ask: Ask

    @property
    def source(self) -> str:
        return f"{DOCS}/{self.page}"


def outcome(world: World, probe: Probe) -> str:
    """Return what the emulator answers: the code of an error, or what `ask` returns in words."""
    try:
        return str(probe.ask(world))
    except GoogleAPICallError as error:
        return str(getattr(error.grpc_status_code, "name", ""))


def key_of(version: str) -> str:
    return version.partition("/cryptoKeyVersions/")[0]


def state_of(version: Any) -> str:
    return str(version.state.name)


def _other_data(world: World) -> object:
    version = world.version()
    sealed = world.client.encrypt(
        request={"name": version, "plaintext": b"x", "additional_authenticated_data": b"ab"}
    ).ciphertext
    request = {"name": key_of(version), "ciphertext": sealed, "additional_authenticated_data": b"a"}
    return world.client.decrypt(request=request)


def _tampered(world: World) -> object:
    version = world.version()
    sealed = world.client.encrypt(name=version, plaintext=b"x").ciphertext
    return world.client.decrypt(name=key_of(version), ciphertext=sealed[:-1] + bytes([sealed[-1] ^ 1]))


def _other_key(world: World) -> object:
    sealed = world.client.encrypt(name=world.version(), plaintext=b"x").ciphertext
    return world.client.decrypt(name=key_of(world.version()), ciphertext=sealed)


def _wrong_checksum(world: World) -> object:
    return world.client.encrypt(request={"name": world.version(), "plaintext": b"x", "plaintext_crc32c": 1})


def _right_checksum(world: World) -> object:
    request = {"name": world.version(), "plaintext": b"x", "plaintext_crc32c": crc32c(b"x")}
    made = world.client.encrypt(request=request)
    matches = made.ciphertext_crc32c == crc32c(made.ciphertext)
    return f"verified: {made.verified_plaintext_crc32c}, the answer's own is right: {matches}"


def _not_asked_checksum(world: World) -> object:
    return f"verified: {world.client.encrypt(name=world.version(), plaintext=b'x').verified_plaintext_crc32c}"


def _wrong_ciphertext_checksum(world: World) -> object:
    version = world.version()
    sealed = world.client.encrypt(name=version, plaintext=b"x").ciphertext
    return world.client.decrypt(request={"name": key_of(version), "ciphertext": sealed, "ciphertext_crc32c": 1})


def _disabled(world: World) -> object:
    version = world.version()
    switch(world.client, version, "DISABLED")
    return world.client.encrypt(name=version, plaintext=b"x")


def _disabled_decrypt(world: World) -> object:
    version = world.version()
    sealed = world.client.encrypt(name=version, plaintext=b"x").ciphertext
    switch(world.client, version, "DISABLED")
    return world.client.decrypt(name=key_of(version), ciphertext=sealed)


def _window(world: World) -> object:
    version = world.version()
    before = world.now()
    scheduled = world.client.destroy_crypto_key_version(name=version)
    return f"{state_of(scheduled)} for {round((scheduled.destroy_time - before) / DAY)} days"


def _destroy_twice(world: World) -> object:
    version = world.version()
    world.client.destroy_crypto_key_version(name=version)
    return world.client.destroy_crypto_key_version(name=version)


def _restored(world: World) -> object:
    version = world.version()
    world.client.destroy_crypto_key_version(name=version)
    return state_of(world.client.restore_crypto_key_version(name=version))


def _window_over(world: World) -> object:
    version = world.version()
    world.client.destroy_crypto_key_version(name=version)
    world.emulator.clock.advance(30 * DAY)
    return state_of(world.client.get_crypto_key_version(name=version))


def _restore_destroyed(world: World) -> object:
    version = world.version()
    world.client.destroy_crypto_key_version(name=version)
    world.emulator.clock.advance(30 * DAY)
    return world.client.restore_crypto_key_version(name=version)


def _rotated(world: World) -> object:
    key = key_of(world.version())
    old = world.client.encrypt(name=key, plaintext=b"x").ciphertext
    world.client.create_crypto_key_version(parent=key, crypto_key_version={})
    world.client.update_crypto_key_primary_version(name=key, crypto_key_version_id="2")
    new = world.client.encrypt(name=key, plaintext=b"x").name.rpartition("/")[2]
    found = world.client.decrypt(name=key, ciphertext=old)
    opens = f"the old ciphertext opens: {found.plaintext == b'x'}, by the primary: {found.used_primary}"
    return f"version {new} encrypts, {opens}"


def _new_version_is_not_primary(world: World) -> object:
    key = key_of(world.version())
    world.client.create_crypto_key_version(parent=key, crypto_key_version={})
    return f"version {world.client.encrypt(name=key, plaintext=b'x').name.rpartition('/')[2]} encrypts"


def _rotates_by_itself(world: World) -> object:
    period: dict[str, Any] = {"rotation_period": 2 * DAY, "next_rotation_time": world.now() + DAY}
    key = key_of(world.version(**period))
    world.emulator.clock.advance(2 * DAY)
    return f"version {world.client.get_crypto_key(name=key).primary.name.rpartition('/')[2]} is primary"


def _quick_rotation(world: World) -> object:
    return world.version(rotation_period=timedelta(hours=23), next_rotation_time=world.now() + DAY)


def _key_pair_rotation(world: World) -> object:
    period: dict[str, Any] = {"rotation_period": 2 * DAY, "next_rotation_time": world.now() + DAY}
    return world.version("ASYMMETRIC_SIGN", "EC_SIGN_P256_SHA256", **period)


def _too_long(world: World) -> object:
    return world.client.encrypt(name=world.version(), plaintext=bytes((64 << 10) + 1))


def _decrypt_by_version(world: World) -> object:
    version = world.version()
    return world.client.decrypt(name=version, ciphertext=world.client.encrypt(name=version, plaintext=b"x").ciphertext)


def _wrong_mac(world: World) -> object:
    version = world.version("MAC", "HMAC_SHA256")
    return f"success: {world.client.mac_verify(name=version, data=b'x', mac=bytes(32)).success}"


def _signs_its_digest_only(world: World) -> object:
    version = world.version("ASYMMETRIC_SIGN", "EC_SIGN_P256_SHA256")
    return world.client.asymmetric_sign(name=version, digest={"sha512": bytes(64)})


def _no_permission(world: World) -> object:
    client: Any = world.emulator.gcp.kms_client(account=world.emulator.gcp.put_account("reader"))
    try:
        return client.encrypt(name=world.version(), plaintext=b"x")
    finally:
        client.transport.close()


def _twice(world: World) -> object:
    version = world.version()
    return make(world.client, *SYMMETRIC, key_of(version).rpartition("/")[2])


def _long_id(world: World) -> object:
    return make(world.client, *SYMMETRIC, "k" * 64)


def _job_over(world: World) -> object:
    job = make_job(world.client, world.version().rpartition("cryptoKeys/")[2].replace("/", "-"))
    world.emulator.clock.advance(3 * DAY)
    return state_of(world.client.get_import_job(name=job.name))


def _bad_import(world: World) -> object:
    job = make_job(world.client, "garbage")
    return state_of(import_material(world.client, key_of(world.version()), job, bytes(424)))


def _import_is_not_primary(world: World) -> object:
    job = make_job(world.client, "primary")
    key = make_importable(world.client)
    import_material(world.client, key, job, wrap(job, bytes(32)))
    return f"primary: {world.client.get_crypto_key(name=key).primary.name or 'none'}"


INVALID, PRECONDITION = "INVALID_ARGUMENT", "FAILED_PRECONDITION"
AAD, CRC, STATES = "additional-authenticated-data", "data-integrity-guidelines", "key-states"
DESTROY, ROTATION, IMPORT, LIMITS = "destroy-restore", "key-rotation", "key-import", "encrypt-decrypt"
REFERENCE = "reference/rpc/google.cloud.kms.v1"
PROBES = (
    Probe("Decrypt with other associated data", INVALID, AAD, _other_data),
    Probe("Decrypt with the last byte changed", INVALID, LIMITS, _tampered),
    Probe("Decrypt naming another key", INVALID, LIMITS, _other_key),
    Probe("Decrypt naming a version", INVALID, REFERENCE, _decrypt_by_version),
    Probe("Encrypt with a wrong CRC32C", INVALID, CRC, _wrong_checksum),
    Probe("Encrypt with a right CRC32C", "verified: True, the answer's own is right: True", CRC, _right_checksum),
    Probe("Encrypt without a CRC32C", "verified: False", CRC, _not_asked_checksum),
    Probe("Decrypt with a wrong CRC32C", INVALID, CRC, _wrong_ciphertext_checksum),
    Probe("Encrypt 64 KiB and a byte", INVALID, LIMITS, _too_long),
    Probe("Encrypt with a disabled version", PRECONDITION, STATES, _disabled),
    Probe("Decrypt what a disabled version encrypted", PRECONDITION, STATES, _disabled_decrypt),
    Probe("Destroy a version", "DESTROY_SCHEDULED for 30 days", DESTROY, _window),
    Probe("Destroy it again", PRECONDITION, STATES, _destroy_twice),
    Probe("Restore it", "DISABLED", DESTROY, _restored),
    Probe("After the 30 days", "DESTROYED", DESTROY, _window_over),
    Probe("Restore it then", PRECONDITION, STATES, _restore_destroyed),
    Probe("Add a version, encrypt with the key", "version 1 encrypts", ROTATION, _new_version_is_not_primary),
    Probe(
        "Make it primary",
        "version 2 encrypts, the old ciphertext opens: True, by the primary: False",
        ROTATION,
        _rotated,
    ),
    Probe("Let a rotation come due", "version 2 is primary", ROTATION, _rotates_by_itself),
    Probe("Rotate every 23 hours", INVALID, REFERENCE, _quick_rotation),
    Probe("Rotate a key pair by itself", INVALID, ROTATION, _key_pair_rotation),
    Probe("Verify a wrong MAC", "success: False", REFERENCE, _wrong_mac),
    Probe("Sign a digest of another length than the algorithm's", INVALID, REFERENCE, _signs_its_digest_only),
    Probe("Encrypt without the permission", "PERMISSION_DENIED", "reference/permissions-and-roles", _no_permission),
    Probe("Create a key of a name that is taken", "ALREADY_EXISTS", REFERENCE, _twice),
    Probe("Create a key with an id of 64 characters", INVALID, REFERENCE, _long_id),
    Probe("Look at an import job after three days", "EXPIRED", IMPORT, _job_over),
    Probe("Import what cannot be unwrapped", "IMPORT_FAILED", "troubleshooting-failed-imports", _bad_import),
    Probe("Import into a symmetric key", "primary: none", IMPORT, _import_is_not_primary),
)


def render() -> str:
    """Return the document."""
    lines = [
        "# What Cloud KMS does, and the emulator",
        "",
        "Questions in which emulators differ from the cloud, what Google's documentation says, and what this emulator",
        "answers an unmodified `google-cloud-kms`. Written from `tests/emulator/gcp/probes.py`; the tests ask each of",
        "them, and fail where the two columns differ. The cloud itself was not asked.",
        "",
        "| question | Cloud KMS | page | emulator |",
        "| --- | --- | --- | --- |",
    ]
    lines += [f"| {item.question} | {item.answer} | [{item.page}]({item.source}) | the same |" for item in PROBES]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    DOCUMENT.write_text(render(), encoding="utf-8")
