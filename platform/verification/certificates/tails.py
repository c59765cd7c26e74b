"""Exact tests for a number of errors in a finite region, from a sample drawn without replacement.

A region has `size` images, of which an unknown number is wrong. `audited` images are drawn without
replacement and `wrong` of them are wrong, so the number of wrong ones is hypergeometric.
"""

import math


def log_choose(n: int, k: int) -> float:
    """Return log C(n, k); −inf if there is no such choice."""
    if not 0 <= k <= n:
        return -math.inf
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def lower_tail(wrong: int, audited: int, errors: int, size: int) -> float:
    """Return P(K ≤ wrong) for K hypergeometric: `audited` draws from `size` images with `errors` wrong ones.

    ValueError: a number that no sample can have.
    """
    if not (0 <= audited <= size and 0 <= errors <= size and 0 <= wrong <= audited):
        raise ValueError(f"impossible sample: {wrong} of {audited} from {errors} of {size}")
    least, most = max(0, audited - (size - errors)), min(audited, errors)
    if wrong >= most:
        return 1.0
    if wrong < least:
        return 0.0
    whole = log_choose(size, audited)
    terms = [
        math.exp(log_choose(errors, k) + log_choose(size - errors, audited - k) - whole)
        for k in range(least, wrong + 1)
    ]
    return min(1.0, math.fsum(terms))


def p_value(size: int, audited: int, wrong: int, allowed: int) -> float:
    """Return the exact p-value of H₀: more than `allowed` of the images of the region are wrong.

    The least favourable number of errors under H₀ is allowed + 1: the tail is largest there. If the region
    has no more images than allowed errors, H₀ is impossible and the p-value 0.
    """
    if allowed >= size:
        return 0.0
    if wrong > allowed:
        return 1.0
    return lower_tail(wrong, audited, allowed + 1, size)


def upper_bound(size: int, audited: int, wrong: int, delta: float) -> int:
    """Return the upper confidence bound on the number of errors, of confidence 1 − δ.

    The largest number E with P(K ≤ wrong | E) > δ (Clopper and Pearson for a finite population).
    ValueError: δ outside (0, 1), or an impossible sample.
    """
    if not 0 < delta < 1:
        raise ValueError("delta must lie strictly between 0 and 1")
    low, high = wrong, size - (audited - wrong)  # the tail at `low` is 1
    lower_tail(wrong, audited, low, size)
    while low < high:
        middle = (low + high + 1) // 2
        if lower_tail(wrong, audited, middle, size) > delta:
            low = middle
        else:
            high = middle - 1
    return low


def planned_audits(size: int, allowed: int, delta: float, wrong: int = 0) -> int | None:
    """Return the least number of audits of which `wrong` may be wrong so that the p-value is at most δ.

    None if even auditing the whole region does not reach δ.
    """
    if allowed >= size:
        return 0
    if wrong > allowed:
        return None
    low, high = wrong, size
    while low < high:
        middle = (low + high) // 2
        if p_value(size, middle, wrong, allowed) <= delta:
            high = middle
        else:
            low = middle + 1
    return low
