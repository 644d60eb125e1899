"""Opening a wrapped data key, beside the same derivation and the same AEAD without checks, context and wiping."""

from collections.abc import Iterator

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from keystore.bench.result import Result
from keystore.bench.timing import in_turns, timed
from keystore.crypto.derive import COMMITMENT_BYTES
from keystore.crypto.protocols import KEY_BYTES
from keystore.crypto.secret import SecretKey
from keystore.crypto.wrap import NONCE_BYTES, SALT_BYTES, unwrap, wrap

KEYS = 50
"""Unwrapped in one turn."""
PURPOSE = "benchmark"


def measure(*, budget_s: float) -> Iterator[Result]:
    """Yield one result: a data key of 32 bytes unwrapped under a master key in memory, without a KMS."""
    master, context = SecretKey.generate(), b"database and generation"
    wrapped = wrap(master, bytes(range(KEY_BYTES)), PURPOSE, context)
    salt, sealed = wrapped[:SALT_BYTES], wrapped[SALT_BYTES + COMMITMENT_BYTES :]
    nonce, ciphertext, secret = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bytes(master.view())
    aead = AESGCM(bytes(KEY_BYTES))
    same_length = aead.encrypt(nonce, bytes(KEY_BYTES), context)

    def ours() -> None:
        for _ in range(KEYS):
            unwrap(master, wrapped, PURPOSE, context)

    def bare() -> None:
        for _ in range(KEYS):
            HKDF(algorithm=SHA256(), length=KEY_BYTES + COMMITMENT_BYTES, salt=salt, info=context).derive(secret)
            AESGCM(bytes(KEY_BYTES)).decrypt(nonce, same_length, context)

    assert len(ciphertext) == len(same_length)
    found = in_turns({"ours": timed(ours), "primitive": timed(bare)}, budget_s)
    seconds = found.median_s("ours") / KEYS
    yield Result(
        "unwrap a data key", "cryptography", KEY_BYTES, 1, seconds, of_primitive=found.ratio("ours", "primitive")
    )
