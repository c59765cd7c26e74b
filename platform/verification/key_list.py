"""The public keys of a platform in an audit file or a proof."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from verification import signing
from verification.rotation import is_link


@dataclass(frozen=True)
class PublicKey:
    """A key of the platform's history.

    `linked` is true if the previous key signed for this key, or if the key needs no such signature.
    """

    fingerprint: str
    pem: bytes
    linked: bool
    successor: bool  # the previous key signed for it, so trust in the previous key extends to this key


def read_keys(values: Iterable[Mapping[str, Any]]) -> list[PublicKey]:
    """Return the keys of a file, the oldest first.

    Raises ValueError if a key does not have its fingerprint, and KeyError, TypeError or AttributeError if the
    value is no list of keys.
    """
    keys: list[PublicKey] = []
    before: PublicKey | None = None
    for value in values:
        pem = value["public_pem"].encode()
        if signing.key_id(pem) != value["fingerprint"]:
            raise ValueError("a key does not have its fingerprint")
        rotated = value["act"] == "rotated"
        genuine = before is not None and is_link(
            before.pem, before.fingerprint, value["fingerprint"], bytes.fromhex(value["endorsement"])
        )
        before = PublicKey(value["fingerprint"], pem, genuine or not rotated, genuine and rotated)
        keys.append(before)
    return keys


def trusted_keys(known: Sequence[PublicKey], given: Sequence[bytes]) -> set[str]:
    """Return the fingerprints of the given keys (PEM) and of the known keys that they signed for, in turn."""
    trusted = {signing.key_id(pem) for pem in given}
    for before, key in pairwise(known):
        if key.successor and before.fingerprint in trusted:
            trusted.add(key.fingerprint)
    return trusted
