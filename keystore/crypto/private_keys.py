"""Tells what a private key is that somebody gives us; nothing is done with it here."""

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key


def is_rsa_key(pem: str) -> bool:
    """Tell whether a text is an RSA private key in PEM, without a password."""
    try:
        return isinstance(load_pem_private_key(pem.encode(), password=None), RSAPrivateKey)
    except (ValueError, TypeError):  # TypeError: it wants a password
        return False
