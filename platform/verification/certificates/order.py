"""The audit order of a certificate: committed before it is used, and reproducible by anybody.

    commitment = SHA-256(seed)                                       32 bytes
    key        = seed                                                without public words
    key        = HMAC-SHA-256(seed, DOMAIN ‖ UTF-8(NFC(words)))      with public words
    order      = the images by HMAC-SHA-256(key, image SHA-256), ascending as 32-byte big-endian numbers

An image enters as the 32 bytes of its SHA-256, not as hexadecimal text. Source: RFC 2104 (HMAC).
"""

import hmac
import unicodedata
from collections.abc import Iterable, Sequence
from hashlib import sha256
from itertools import pairwise

SEED_BYTES = 32
DOMAIN = b"mekiki certificate words\x00"
_BLOCK = 64  # bytes of a block of SHA-256
# `sha256` is the column with the hexadecimal digest. HMAC written with PostgreSQL's own sha256(), because the
# embedded server has no pgcrypto. The two parameters are those of `padded_keys`.
SQL_AUDIT_KEY = "sha256(%(outer)s::bytea || sha256(%(inner)s::bytea || decode({column}, 'hex')))"


def commitment(seed: bytes) -> bytes:
    """Return the 32 bytes that are published before the audit order is used: SHA-256 of the seed.

    ValueError: the seed has not exactly 32 bytes.
    """
    return sha256(_checked(seed)).digest()


def order_key(seed: bytes, words: str = "") -> bytes:
    """Return the 32-byte key of the audit order from the seed and optional public words.

    The words (dice, a lottery draw) are normalised to NFC. Leading and trailing white space is removed, so
    that a copied text gives the same key. ValueError: the seed has not exactly 32 bytes.
    """
    text = unicodedata.normalize("NFC", words).strip()
    if not text:
        return _checked(seed)
    return hmac.digest(_checked(seed), DOMAIN + text.encode(), "sha256")


def padded_keys(key: bytes) -> tuple[bytes, bytes]:
    """Return the inner and outer 64-byte keys of HMAC-SHA-256, for SQL_AUDIT_KEY.

    ValueError: the key has not exactly 32 bytes.
    """
    block = _checked(key).ljust(_BLOCK, b"\0")
    return bytes(byte ^ 0x36 for byte in block), bytes(byte ^ 0x5C for byte in block)


def audit_keys(key: bytes, digests: Iterable[str | bytes]) -> list[bytes]:
    """Return HMAC-SHA-256(key, digest) of each image; digests are SHA-256 as hexadecimal texts or as bytes.

    ValueError: the key has not 32 bytes, or a digest has not 32 bytes.
    """
    inner, outer = padded_keys(key)
    keys = []
    for digest in digests:
        content = bytes.fromhex(digest) if isinstance(digest, str) else digest
        if len(content) != 32:
            raise ValueError(f"not a SHA-256 digest: {digest!r}")
        keys.append(sha256(outer + sha256(inner + content).digest()).digest())
    return keys


def audit_order(key: bytes, digests: Sequence[str]) -> list[int]:
    """Return the indices of the images in audit order.

    A pseudo-random permutation: uniform for whoever does not know the key. ValueError: see `audit_keys`, or
    a digest occurs twice.
    """
    keys = audit_keys(key, digests)
    order = sorted(range(len(keys)), key=keys.__getitem__)
    if any(keys[a] == keys[b] for a, b in pairwise(order)):
        raise ValueError("a digest occurs twice")
    return order


def _checked(key: bytes) -> bytes:
    if len(key) != SEED_BYTES:
        raise ValueError(f"a seed or key has {SEED_BYTES} bytes, got {len(key)}")
    return key
