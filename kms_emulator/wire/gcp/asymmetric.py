"""Google operations on key pairs: the public half, signatures, decryption."""

import base64
import textwrap

from keystore_api.google_kms.v1 import resources_pb2
from keystore_api.google_kms.v1 import service_pb2 as pb

from kms_emulator.model.signatures import MU_BYTES, MessageForm
from kms_emulator.wire.call import Call
from kms_emulator.wire.gcp import resources
from kms_emulator.wire.gcp.algorithms import Algorithms, Recipe, name_of
from kms_emulator.wire.gcp.checksums import check_length, checksum, verify
from kms_emulator.wire.gcp.errors import failed_precondition, invalid
from kms_emulator.wire.gcp.lookup import find_version
from kms_emulator.wire.gcp.usable import Usable, find_usable

Purpose = resources_pb2.CryptoKey
Format = resources_pb2.PublicKey
_PAIRS = (Purpose.ASYMMETRIC_SIGN, Purpose.ASYMMETRIC_DECRYPT)
_DIGEST_NAMES = {"sha256": 32, "sha384": 48, "sha512": 64, "external_mu": MU_BYTES}
_PEM_COLUMNS = 64


def get_public_key(call: Call, request: pb.GetPublicKeyRequest) -> resources_pb2.PublicKey:
    """Return the public half of a version: PEM unless another form is asked for, NIST's for ML-DSA."""
    key, version = find_version(call, request.name)
    template = resources.template_of(key, version)
    name = name_of(Algorithms.CryptoKeyVersionAlgorithm, template.algorithm)
    if resources.settings_of(key).purpose not in _PAIRS:
        raise failed_precondition(f"Keys with algorithm {name} have no public key.")
    material = call.registry.usable(key, version.number)
    found = resources_pb2.PublicKey(name=request.name, algorithm=template.algorithm, protection_level=template.level)
    default = Format.NIST_PQC if name.startswith("PQ_") else Format.PEM
    form = found.public_key_format = request.public_key_format or default
    if form not in ((Format.NIST_PQC,) if default == Format.NIST_PQC else (Format.PEM, Format.DER)):
        asked = name_of(Format.PublicKeyFormat, form)
        raise invalid(f"The public key format {asked} is not supported for the algorithm {name}.")
    if form == Format.PEM:
        data = pem(material.public_der())
        found.pem = data.decode()
        found.pem_crc32c.CopyFrom(checksum(data))
    else:
        data = material.public_raw() if form == Format.NIST_PQC else material.public_der()
    found.public_key.data = data
    found.public_key.crc32c_checksum.CopyFrom(checksum(data))
    return found


def asymmetric_sign(call: Call, request: pb.AsymmetricSignRequest) -> pb.AsymmetricSignResponse:
    """Sign a digest, or data: hashed here, unless the algorithm signs data as a whole."""
    used = find_usable(call, request.name, Purpose.ASYMMETRIC_SIGN)
    message, form = _message(used.recipe, request)
    verified_data = verify(request, "data")
    verified_digest = verify(request, "digest", message if request.HasField("digest") else b"")
    assert used.recipe.scheme is not None
    signature = used.material.sign(used.recipe.scheme, message, form)
    return pb.AsymmetricSignResponse(
        name=request.name,
        signature=signature,
        signature_crc32c=checksum(signature),
        verified_digest_crc32c=verified_digest,
        verified_data_crc32c=verified_data,
        protection_level=used.level,
    )


def asymmetric_decrypt(call: Call, request: pb.AsymmetricDecryptRequest) -> pb.AsymmetricDecryptResponse:
    """Decrypt what was encrypted under the public half."""
    call.ciphertext_bytes = len(request.ciphertext)
    used: Usable = find_usable(call, request.name, Purpose.ASYMMETRIC_DECRYPT)
    check_length("ciphertext", request.ciphertext)
    verified = verify(request, "ciphertext")
    assert used.recipe.pad is not None
    plaintext = used.material.rsa_decrypt(request.ciphertext, used.recipe.pad)
    call.plaintext_bytes = len(plaintext)
    return pb.AsymmetricDecryptResponse(
        plaintext=plaintext,
        plaintext_crc32c=checksum(plaintext),
        verified_ciphertext_crc32c=verified,
        protection_level=used.level,
    )


def _message(recipe: Recipe, request: pb.AsymmetricSignRequest) -> tuple[bytes, MessageForm]:
    """Return what is to be signed, and in which form it came."""
    kind = request.digest.WhichOneof("digest") if request.HasField("digest") else None
    if (kind is not None) is bool(request.data):
        raise invalid("Exactly one of digest and data must be set.")
    if kind is None:
        if recipe.form is MessageForm.MU:
            raise invalid("The algorithm takes a digest external_mu, not data.")
        check_length("data", request.data)
        return request.data, MessageForm.WHOLE
    digest: bytes = getattr(request.digest, kind)
    if kind != digest_name(recipe):
        raise invalid(f"The algorithm takes {digest_name(recipe) or 'data'}, not a digest {kind}.")
    if len(digest) != _DIGEST_NAMES[kind]:
        raise invalid(f"The digest {kind} has {len(digest)} bytes, not {_DIGEST_NAMES[kind]}.")
    return digest, recipe.form


def digest_name(recipe: Recipe) -> str:
    """Return the field of the digest that an algorithm signs; nothing if it signs data as a whole."""
    if recipe.form is MessageForm.MU:
        return "external_mu"
    if recipe.scheme is None or recipe.scheme.digest is None:
        return ""
    return recipe.scheme.digest.name


def pem(der: bytes) -> bytes:
    """Return a public key in PEM, in lines of 64 characters."""
    lines = textwrap.wrap(base64.b64encode(der).decode(), _PEM_COLUMNS)
    return "\n".join(["-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----", ""]).encode()
