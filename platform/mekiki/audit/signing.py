"""Ed25519 signatures (RFC 8032) under seals and label sets. Knows neither Django nor the database.

The private half of the platform's key is read by audit/private_key.py alone. Whoever holds the fingerprint of the
public half can tell this platform's signatures from anybody else's.
"""

import hashlib

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key


def public_pem(key: Ed25519PrivateKey) -> bytes:
    """Return the public half, as PEM."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def load_public(pem: bytes) -> Ed25519PublicKey:
    """A public key from PEM. ValueError for anything but an Ed25519 key."""
    try:
        key = load_pem_public_key(pem)
    except Exception as error:  # the library raises several kinds for what is no key
        raise ValueError("This is no public key in PEM form.") from error
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("This is a key of another kind than Ed25519.")
    return key


def canonical_pem(pem: bytes) -> bytes:
    """The same key, written the one way. ValueError as load_public."""
    return load_public(pem).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def fingerprint(pem: bytes) -> str:
    """Return the SHA-256 of the raw public key, in groups of four hexadecimal digits. ValueError as load_public."""
    return grouped(key_id(pem))


def key_id(pem: bytes) -> str:
    """Return the SHA-256 of the raw public key in hexadecimal digits. ValueError as load_public."""
    return hashlib.sha256(load_public(pem).public_bytes_raw()).hexdigest()


def grouped(digest: str) -> str:
    """Return hexadecimal digits in groups of four, for people to compare."""
    return " ".join(digest[i : i + 4] for i in range(0, len(digest), 4))


def is_signed_by(pem: bytes, signature: bytes, message: bytes) -> bool:
    """Did the holder of this key sign the message? ValueError as load_public."""
    try:
        load_public(pem).verify(signature, message)
    except InvalidSignature:
        return False
    return True
