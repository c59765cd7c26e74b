"""The audit sample: drawn at random from a reserve that active questions never use.

Whether an image belongs to the reserve depends only on its content hash and the dataset's seed, not on any
prediction. An auditor can recompute it.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray


def audit_key(seed: str, sha256_hex: str) -> float:
    """Return a uniform number in [0, 1) for an image: SHA-256 of seed, a zero byte and the image's hash.

    The images with a key below the reserve's fraction form the reserve. The first 53 bits are used, so that
    every value is an exact float.
    """
    digest = hashlib.sha256(seed.encode() + b"\0" + sha256_hex.lower().encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / float(1 << 53)


def draw_audit(
    reserve: NDArray[np.bool_], taken: NDArray[np.bool_], k: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], float]:
    """Return a simple random sample from the reserve, without replacement.

    Args:
        reserve: (n,) True for images of the reserve. taken: (n,) True for images already asked or queued.
        k: number of images; fewer are returned if the reserve has fewer.

    Returns:
        The rows (m,) in random order, and the propensity m / |available|: the probability of each available
        image to be in this draw (0.0 if none was available).
    """
    available = np.flatnonzero(reserve & ~taken)
    m = min(max(int(k), 0), len(available))
    if len(available) == 0:
        return np.empty(0, np.int64), 0.0
    return rng.permutation(available)[:m].astype(np.int64), m / len(available)
