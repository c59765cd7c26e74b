"""Ranks and audit order of a frozen pool, as arrays.

`verification.certificates` has the same rules without arrays, for whoever checks a label set. Tests compare
both.
"""

import numpy as np
from numpy.typing import NDArray

from verification.certificates.order import audit_keys


def rank_candidates(
    confidence: NDArray[np.float64],  # (n,)
    is_critical: NDArray[np.bool_],  # (n,) whether the predicted label is critical
    critical_probability: NDArray[np.float64],  # (n,)
    critical_bound: float | None,
) -> NDArray[np.int64]:
    """Return the rank (n,) of each image: 1, 2, 3 … from the most confident candidate, 0 without candidacy.

    The images ascend by their SHA-256, so equal confidences are ranked by it. Rules: `is_candidate` and
    `candidate_order` of verification.certificates.regions. ValueError: a confidence of a candidate is not a
    number.
    """
    candidate = ~is_critical
    if critical_bound is not None:
        candidate &= critical_probability <= critical_bound
    places = np.flatnonzero(candidate)
    if np.isnan(confidence[places]).any():
        raise ValueError("a confidence is not a number")
    rank = np.zeros(len(confidence), np.int64)
    rank[places[np.argsort(-confidence[places], kind="stable")]] = np.arange(1, len(places) + 1)
    return rank


def audit_positions(key: bytes, digests: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the place (n,) 1 … n of each image in the audit order. digests: (n, 32) SHA-256 of the images.

    The rule is `audit_order` of verification.certificates.order. ValueError: the key has not 32 bytes, or a
    digest occurs twice.
    """
    content = np.ascontiguousarray(digests).tobytes()
    keys = audit_keys(key, (content[start : start + 32] for start in range(0, len(content), 32)))
    words = np.frombuffer(b"".join(keys), ">u8").reshape(-1, 4)
    order = np.lexsort(words.T[::-1])
    if len(order) > 1 and (words[order[1:]] == words[order[:-1]]).all(axis=1).any():
        raise ValueError("a digest occurs twice")
    position = np.zeros(len(order), np.int64)
    position[order] = np.arange(1, len(order) + 1)
    return position
