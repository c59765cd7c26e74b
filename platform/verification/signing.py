"""Ed25519 signatures (RFC 8032) of seals and label sets.

Only mekiki/audit/private_key.py reads the private half of the platform's key. With the fingerprint of the
public half, a person can distinguish this platform's signatures from all others.
"""

import hashlib

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key


def public_pem(key: Ed25519PrivateKey) -> bytes:
    """Return the public half as PEM."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def load_public(pem: bytes) -> Ed25519PublicKey:
    """Return a public key from PEM. Raises ValueError for anything except an Ed25519 key."""
    try:
        key = load_pem_public_key(pem)
    except Exception as error:  # the library raises several kinds of errors if the input is no key
        raise ValueError("This is no public key in PEM form.") from error
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("This is a key of another kind than Ed25519.")
    return key


def canonical_pem(pem: bytes) -> bytes:
    """Return the same key in canonical PEM form. Raises ValueError as load_public does."""
    return load_public(pem).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def fingerprint(pem: bytes) -> str:
    """Return the SHA-256 of the raw public key, in groups of four hexadecimal digits.

    Raises ValueError as load_public does.
    """
    return grouped(key_id(pem))


def key_id(pem: bytes) -> str:
    """Return the SHA-256 of the raw public key in hexadecimal digits.

    Raises ValueError as load_public does.
    """
    return hashlib.sha256(load_public(pem).public_bytes_raw()).hexdigest()


def grouped(digest: str) -> str:
    """Return hexadecimal digits in groups of four, for people to compare."""
    return " ".join(digest[i : i + 4] for i in range(0, len(digest), 4))


def is_signed_by(pem: bytes, signature: bytes, message: bytes) -> bool:
    """Return whether the holder of this key signed the message. Raises ValueError as load_public does."""
    try:
        load_public(pem).verify(signature, message)
    except InvalidSignature:
        return False
    return True
