"""Fixed key material in a seed file: base64, or a private key in PEM. Complaints show none of it."""

import base64
import binascii

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from kms_emulator.model.errors import ModelError
from kms_emulator.model.keypairs import to_pkcs8
from kms_emulator.model.keys import KeyKind
from kms_emulator.model.material import Material
from kms_emulator.seeding.reader import Place

MATERIALS_MAX = 100
"""LIMIT: materials of one key."""


def read_material(place: Place, kind: KeyKind) -> Material:
    """Return material of a kind."""
    text = place.text()
    try:
        return Material.from_outside(kind, _from_pem(text) if "-----BEGIN" in text else _from_base64(text))
    except (ModelError, ValueError) as error:
        raise place.refuse(str(error)) from None


def _from_pem(text: str) -> bytes:
    try:
        return to_pkcs8(load_pem_private_key(text.encode(), password=None))
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("must be an unencrypted private key in PEM") from None


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("must be base64, or a private key in PEM") from None
