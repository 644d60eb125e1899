"""Signatures of the emulator are good outside of it, and those made outside are good in it."""

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, mldsa, padding
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from kms_emulator.core import Core
from tests.emulator.aws_crypto.keys import create, public
from tests.emulator.aws_http.clients import client, refused
from tests.emulator.running import Running

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

MESSAGE = b"what is signed"
HASHES: dict[str, hashes.HashAlgorithm] = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
CASES = [
    *(
        (f"RSA_{bits}", f"RSASSA_{pad}_SHA_{n}")
        for bits in (2048, 3072)
        for pad in ("PSS", "PKCS1_V1_5")
        for n in HASHES
    ),
    ("RSA_4096", "RSASSA_PSS_SHA_512"),
    ("ECC_NIST_P256", "ECDSA_SHA_256"),
    ("ECC_NIST_P384", "ECDSA_SHA_384"),
    ("ECC_NIST_P521", "ECDSA_SHA_512"),
    ("ECC_SECG_P256K1", "ECDSA_SHA_256"),
]
PLAIN = [
    ("ECC_NIST_EDWARDS25519", "ED25519_SHA_512"),
    ("ML_DSA_44", "ML_DSA_SHAKE_256"),
    ("ML_DSA_65", "ML_DSA_SHAKE_256"),
    ("ML_DSA_87", "ML_DSA_SHAKE_256"),
]


@pytest.fixture(scope="module")
def signer() -> Iterator["Signer"]:
    running = Running(Core(), http=True)
    assert running.server.url is not None
    yield Signer(client(running.server.url))
    running.stop()


class Signer:
    """One emulator for all tests, with one key of each spec: RSA keys take their time."""

    def __init__(self, kms: "KMSClient") -> None:
        self.kms = kms
        self._keys: dict[str, str] = {}

    def key(self, spec: str) -> str:
        return self._keys.setdefault(spec, "") or self._create(spec)

    def _create(self, spec: str) -> str:
        self._keys[spec] = create(self.kms, spec, "SIGN_VERIFY")
        return self._keys[spec]

    def sign(self, spec: str, algorithm: str, message: bytes = MESSAGE, form: str = "RAW") -> bytes:
        options: Any = {"SigningAlgorithm": algorithm, "MessageType": form}
        answer = self.kms.sign(KeyId=self.key(spec), Message=message, **options)
        assert (answer["KeyId"], answer["SigningAlgorithm"]) == (self.key(spec), algorithm)
        return answer["Signature"]

    def verify(self, spec: str, algorithm: str, signature: bytes, message: bytes = MESSAGE, form: str = "RAW") -> bool:
        options: Any = {"SigningAlgorithm": algorithm, "MessageType": form}
        return self.kms.verify(KeyId=self.key(spec), Message=message, Signature=signature, **options)["SignatureValid"]


def parameters(algorithm: str, *, digest: bool) -> tuple[Any, ...]:
    """Return what `cryptography` wants to know of an algorithm with a hash."""
    plain = HASHES[algorithm[-3:]]
    used = Prehashed(plain) if digest else plain
    if algorithm.startswith("ECDSA"):
        return (ec.ECDSA(used),)
    if "PSS" in algorithm:
        return padding.PSS(padding.MGF1(plain), plain.digest_size), used
    return padding.PKCS1v15(), used


def digest_of(algorithm: str) -> bytes:
    return hashlib.new(f"sha{algorithm[-3:]}", MESSAGE).digest()


@pytest.mark.parametrize(("spec", "algorithm"), CASES)
def test_hashed_signature_is_good_outside(signer: Signer, spec: str, algorithm: str) -> None:
    known = public(signer.kms, signer.key(spec))
    known.verify(signer.sign(spec, algorithm), MESSAGE, *parameters(algorithm, digest=False))
    digest = digest_of(algorithm)
    of_digest = signer.sign(spec, algorithm, digest, "DIGEST")
    known.verify(of_digest, digest, *parameters(algorithm, digest=True))
    # The digest's signature is the message's: both forms verify it.
    assert signer.verify(spec, algorithm, of_digest)
    assert signer.verify(spec, algorithm, of_digest, digest, "DIGEST")
    with pytest.raises(InvalidSignature):
        known.verify(of_digest, MESSAGE + b"!", *parameters(algorithm, digest=False))


@pytest.mark.parametrize(("spec", "algorithm"), PLAIN)
def test_plain_signature_is_good_outside(signer: Signer, spec: str, algorithm: str) -> None:
    signature = signer.sign(spec, algorithm)
    public(signer.kms, signer.key(spec)).verify(signature, MESSAGE)
    assert signer.verify(spec, algorithm, signature)


def test_representative_of_ml_dsa_is_signed_as_its_message(signer: Signer) -> None:
    known = public(signer.kms, signer.key("ML_DSA_65"))
    hasher = mldsa.MLDSAMuHasher(known)
    hasher.update(MESSAGE)
    mu = hasher.finalize()
    signature = signer.sign("ML_DSA_65", "ML_DSA_SHAKE_256", mu, "EXTERNAL_MU")
    known.verify(signature, MESSAGE)
    assert signer.verify("ML_DSA_65", "ML_DSA_SHAKE_256", signature, mu, "EXTERNAL_MU")
    with refused("ValidationException", "Digest is invalid length for algorithm ML_DSA_SHAKE_256."):
        signer.sign("ML_DSA_65", "ML_DSA_SHAKE_256", mu[:-1], "EXTERNAL_MU")


@pytest.mark.parametrize(("spec", "algorithm"), [CASES[0], CASES[3], CASES[-4], *PLAIN])
def test_wrong_signature_is_an_error_without_words(signer: Signer, spec: str, algorithm: str) -> None:
    good = signer.sign(spec, algorithm)
    flipped = good[:-1] + bytes([good[-1] ^ 1])
    for signature, message in ((flipped, MESSAGE), (good[:-1], MESSAGE), (b"x", MESSAGE), (good, b"another")):
        with refused("KMSInvalidSignatureException", ""):
            signer.verify(spec, algorithm, signature, message)


@pytest.mark.parametrize(("spec", "algorithm"), CASES)
def test_digest_must_have_the_length_of_its_hash(signer: Signer, spec: str, algorithm: str) -> None:
    for digest in (b"x", digest_of(algorithm)[:-1], digest_of(algorithm) + b"x"):
        with refused("ValidationException", f"Digest is invalid length for algorithm {algorithm}."):
            signer.sign(spec, algorithm, digest, "DIGEST")


def test_algorithm_must_be_one_of_the_key_s(signer: Signer) -> None:
    for spec, algorithm in (
        ("RSA_2048", "ECDSA_SHA_256"),
        ("ECC_NIST_P256", "ECDSA_SHA_384"),
        ("ECC_NIST_P256", "RSASSA_PSS_SHA_256"),
        ("ECC_NIST_P256", "ML_DSA_SHAKE_256"),
        ("ML_DSA_44", "ED25519_SHA_512"),
    ):
        with refused("InvalidKeyUsageException", f"Algorithm {algorithm} is incompatible with key spec {spec}."):
            signer.sign(spec, algorithm)
    with refused("UnsupportedOperationException", "Algorithm ED25519_PH_SHA_512 is not emulated."):
        signer.sign("ECC_NIST_EDWARDS25519", "ED25519_PH_SHA_512", hashlib.sha512(MESSAGE).digest(), "DIGEST")


def test_message_type_must_be_one_of_the_algorithm_s(signer: Signer) -> None:
    for spec, algorithm, form in (
        ("ECC_NIST_EDWARDS25519", "ED25519_SHA_512", "DIGEST"),
        ("ML_DSA_44", "ML_DSA_SHAKE_256", "DIGEST"),
        ("ECC_NIST_P256", "ECDSA_SHA_256", "EXTERNAL_MU"),
    ):
        with refused("ValidationException", f"Message type {form} is incompatible with algorithm {algorithm}."):
            signer.sign(spec, algorithm, bytes(64), form)


def test_dry_run_signs_nothing_and_tells_good_from_bad(signer: Signer) -> None:
    key_id, algorithm = signer.key("ECC_NIST_P256"), "ECDSA_SHA_256"
    text = "The request would have succeeded, but the DryRun option is set."
    with refused("DryRunOperationException", text):
        signer.kms.sign(KeyId=key_id, Message=MESSAGE, SigningAlgorithm="ECDSA_SHA_256", DryRun=True)
    for signature, code in ((signer.sign("ECC_NIST_P256", algorithm), "DryRun"), (b"x", "KMSInvalidSignature")):
        with refused(f"{code}OperationException" if code == "DryRun" else f"{code}Exception"):
            signer.kms.verify(
                KeyId=key_id,
                Message=MESSAGE,
                Signature=signature,
                SigningAlgorithm="ECDSA_SHA_256",
                DryRun=True,
            )
