"""The signature under a label set: Ed25519 (RFC 8032) over the bytes of its manifest.

The platform's key is made once and kept in HOME/keys/signing.pem (0600). Whoever holds its fingerprint can
tell this platform's label sets from anybody else's. Knows neither Django nor the database.
"""

import hashlib
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from mekiki.embedded.secrets import keep_once, keys_folder


def signing_key(home: Path) -> Ed25519PrivateKey:
    """The platform's key, made at the first need. ValueError when the file holds something else."""
    fresh = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    key = load_pem_private_key(keep_once(keys_folder(home) / "signing.pem", fresh), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError("HOME/keys/signing.pem holds no Ed25519 key.")
    return key


def public_pem(key: Ed25519PrivateKey) -> bytes:
    """The public half, as PEM."""
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
    """SHA-256 of the raw public key, in groups of four hexadecimal digits. ValueError as load_public."""
    digest = hashlib.sha256(load_public(pem).public_bytes_raw()).hexdigest()
    return " ".join(digest[i : i + 4] for i in range(0, 64, 4))


def is_signed_by(pem: bytes, signature: bytes, message: bytes) -> bool:
    """Did the holder of this key sign the message? ValueError as load_public."""
    try:
        load_public(pem).verify(signature, message)
    except InvalidSignature:
        return False
    return True
