"""The public keys of the platform: the current key and the earlier keys.

This module never reads a private key.
"""

from itertools import pairwise

from mekiki.audit.models import SigningKey
from verification.rotation import is_link


def current_key() -> SigningKey | None:
    """Return the key in use, which is the newest key, or None if there is no key."""
    return SigningKey.objects.order_by("-pk").first()


def key_history() -> list[SigningKey]:
    """Return all keys, the newest first."""
    return list(SigningKey.objects.order_by("-pk"))


def broken_links(keys: list[SigningKey]) -> list[SigningKey]:
    """Return the rotated keys that the previous key did not sign for. `keys` are sorted oldest first."""
    broken = []
    for before, key in pairwise(keys):
        pem, endorsement = before.public_pem.encode(), bytes(key.endorsement)
        linked = is_link(pem, before.fingerprint, key.fingerprint, endorsement)
        if key.act == SigningKey.Act.ROTATED and not linked:
            broken.append(key)
    return broken
