"""Encryption of the secrets of authenticator apps and recovery codes.

The key is derived from the secret key of the site.
"""

import base64
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings


class Unreadable(ValueError):
    """The error that a secret was encrypted with another secret key of the site."""


@lru_cache(maxsize=4)
def _box(secret_key: str) -> Fernet:
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"mekiki second factor 1")
    return Fernet(base64.urlsafe_b64encode(derived.derive(secret_key.encode())))


def encrypt(text: str) -> str:
    """Return the text, encrypted and authenticated, as printable characters."""
    return _box(str(settings.SECRET_KEY)).encrypt(text.encode()).decode()


def decrypt(sealed: str) -> str:
    """Return the text that was passed to `encrypt`.

    Raises Unreadable if the secret key of the site or the row has been changed.
    """
    try:
        return _box(str(settings.SECRET_KEY)).decrypt(sealed.encode()).decode()
    except InvalidToken:
        raise Unreadable from None
