"""Candidates in the order of confidence, and the nested regions that are tested."""

import math
from collections.abc import Sequence

LEVEL_STEPS = 10_000  # levels of coverage are multiples of 0.01 %
RATE_STEPS = 1_000_000  # error rates are multiples of 0.0001 %


def candidate_order(
    confidence: Sequence[float], digests: Sequence[str], candidate: Sequence[bool]
) -> list[int]:
    """Return the indices of the candidates, most confident first; equal confidences by ascending digest.

    All arguments have length n. The rank of a candidate is its position in this list. ValueError: lengths
    differ, or a confidence of a candidate is not a number.
    """
    if not len(confidence) == len(digests) == len(candidate):
        raise ValueError("confidence, digests and candidate must have the same length")
    chosen = [i for i, flag in enumerate(candidate) if flag]
    if any(math.isnan(confidence[i]) for i in chosen):
        raise ValueError("a confidence is not a number")
    return sorted(chosen, key=lambda i: (-confidence[i], digests[i]))


def is_candidate(
    predicted_is_critical: bool, critical_probability: float, critical_bound: float | None
) -> bool:
    """Return whether a machine may set the label of an image without a decision.

    Critical labels are never set by machine. Images with a probability above the bound for a critical label
    are left to people; a bound of None excludes none.
    """
    if predicted_is_critical:
        return False
    return critical_bound is None or critical_probability <= critical_bound


def region_sizes(candidates: int, levels: Sequence[float]) -> list[int]:
    """Return the sizes of the nested regions for levels of coverage in (0, 1], ascending, each once.

    Region j holds the candidates of rank below size j. Sizes are rounded down; a size of 0 is dropped.
    ValueError: a level outside (0, 1], or candidates below 0.
    """
    if candidates < 0:
        raise ValueError("the number of candidates is negative")
    sizes = set()
    for level in levels:
        if not 0 < level <= 1:
            raise ValueError(f"a level of coverage must lie in (0, 1], got {level}")
        sizes.add(candidates * round(level * LEVEL_STEPS) // LEVEL_STEPS)
    return sorted(sizes - {0})


def allowed_errors(size: int, alpha: float, reserve: int = 0) -> int:
    """Return the largest number of errors under which the statement holds: ⌊α · (size − reserve)⌋.

    ``reserve`` is the largest number of images of the region whose label people may set before the labels
    are accepted. If the region of `size` images has at most this many errors, then at most α of the labels
    that the machine sets are wrong, whichever images people decide, up to that number. Computed with
    integers: α is rounded down to steps of 0.0001 %. ValueError: α outside [0, 1), or a negative number.
    """
    if not 0 <= alpha < 1:
        raise ValueError(f"alpha must lie in [0, 1), got {alpha}")
    if size < 0 or reserve < 0:
        raise ValueError("size and reserve must not be negative")
    steps = math.floor(alpha * RATE_STEPS + 1e-6)  # 0.29 is slightly less than 0.29 in binary
    return steps * max(0, size - reserve) // RATE_STEPS
