"""What a cryptographic operation works with: a version that is usable and of the right purpose, and fresh material."""

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

from keystore_api.google_kms.v1 import resources_pb2

from kms_emulator.model.keypairs import RSA_BITS
from kms_emulator.model.keys import Key, KeyKind, Version
from kms_emulator.model.material import Material
from kms_emulator.wire.background import run_beside
from kms_emulator.wire.call import Call
from kms_emulator.wire.gcp import resources
from kms_emulator.wire.gcp.algorithms import Algorithms, Recipe, name_of
from kms_emulator.wire.gcp.errors import failed_precondition
from kms_emulator.wire.gcp.lookup import find_version

Purpose = resources_pb2.CryptoKey
_DOINGS: Mapping[int, str] = {
    Purpose.ENCRYPT_DECRYPT: "encryption",
    Purpose.RAW_ENCRYPT_DECRYPT: "raw encryption",
    Purpose.ASYMMETRIC_SIGN: "signing",
    Purpose.ASYMMETRIC_DECRYPT: "asymmetric decryption",
    Purpose.MAC: "MAC operations",
}


async def fresh_material(call: Call, kind: KeyKind) -> Material:
    """Return new material; RSA is made beside the event loop, and the call then looks at the clock again."""
    if kind not in RSA_BITS:
        return call.registry.new_material(kind)
    material = await run_beside(partial(call.registry.new_material, kind))
    call.tick()
    return material


class Usable(NamedTuple):
    """A version with what it is used by. `level` is its protection level."""

    key: Key
    version: Version
    recipe: Recipe
    material: Material
    level: "resources_pb2.ProtectionLevel"


def find_usable(call: Call, name: str, purpose: int) -> Usable:
    """Return the version of that name.

    Raises:
        CloudError: also FAILED_PRECONDITION, for a key of another purpose.
        VersionStateError: it is not enabled.
    """
    key, version = find_version(call, name)
    check_purpose(key, purpose)
    template = resources.template_of(key, version)
    material = call.registry.usable(key, version.number)
    return Usable(key, version, resources.recipe_of_version(key, version), material, template.level)


def check_purpose(key: Key, purpose: int) -> None:
    """Refuse what the key is not for."""
    settings = resources.settings_of(key)
    if settings.purpose != purpose:
        name = name_of(Algorithms.CryptoKeyVersionAlgorithm, settings.version_template.algorithm)
        raise failed_precondition(f"Keys with algorithm {name} may not be used for {_DOINGS[purpose]}.")
