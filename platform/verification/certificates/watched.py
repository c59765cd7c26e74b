"""The test that may be watched: a likelihood ratio that is a supermartingale, valid at any stopping time.

For a number of errors D of a region, and prior weights w on numbers of errors e, the evidence against “D or
more errors” after n audits with k wrong answers is

    M_D(n, k) = Σ_{e < D} w_e · L(e) / L(D) ,     L(e) = C(size − n, e − k) / C(size, e)

L(e) is the probability of one order of right and wrong answers if e images are wrong. If D images are wrong,
M_D is a martingale that starts at most at 1; if more are, a supermartingale. So P(sup M_D ≥ 1/δ) ≤ δ
(Ville). It depends on the two counts alone. It grows with each right answer, and in D wherever it exceeds 1.
Source: the prior-posterior ratio of Waudby-Smith and Ramdas, arXiv 2006.04347, restricted to fewer errors;
equally ALPHA (Stark, arXiv 2201.02707) with the posterior mean as its estimate.
"""

import math
from collections.abc import Iterable
from functools import lru_cache

from verification.certificates.regions import allowed_errors
from verification.certificates.tails import log_choose

# Weights of the numbers of errors 0 and reference // 5: chosen by simulation (docs/decisions/0048). Part of
# the definition of the test, so they never change for a certificate that exists.
PRIOR_PARTS = 5
PRIOR = (0.3, 0.7)


@lru_cache(maxsize=1 << 16)
def log_evidence(size: int, audited: int, wrong: int, allowed: int, reference: int) -> float:
    """Return log M_D of H₀ “more than `allowed` images of the region are wrong”, with D = allowed + 1.

    reference: number of errors that scales the prior; it must be fixed before the audits. −inf: more wrong
    answers than allowed or than the prior expects. inf: H₀ is impossible. ValueError: an impossible sample.
    """
    if not 0 <= wrong <= audited <= size or allowed < 0 or reference < 1:
        raise ValueError(f"impossible sample: {wrong} of {audited} from {size}")
    least, left = allowed + 1, size - audited
    if wrong > allowed:
        return -math.inf
    if least - wrong > left:
        return math.inf  # not enough images are left for so many errors
    base = log_choose(left, least - wrong) - log_choose(size, least)
    terms = [
        weight + log_choose(left, errors - wrong) - log_choose(size, errors) - base
        for errors, weight in _alternatives(reference)
        if wrong <= errors < least and errors - wrong <= left
    ]
    if not terms:
        return -math.inf
    peak = max(terms)
    return peak + math.log(math.fsum(math.exp(term - peak) for term in terms))


def last_counts(errors: Iterable[bool]) -> list[tuple[int, int]]:
    """Return (audited, wrong) at the last audit of each number of wrong answers.

    errors: answers in audit order. The evidence grows with each right answer, so its largest value over all
    audits is reached at one of these counts.
    """
    counts, wrong, n = [], 0, 0
    for n, error in enumerate(errors, 1):
        if error:
            counts.append((n - 1, wrong))
            wrong += 1
    return [*counts, (n, wrong)]


def watched_upper_bound(size: int, counts: list[tuple[int, int]], delta: float, reference: int) -> int:
    """Return an upper bound on the errors of a region, of confidence 1 − δ at any stopping time.

    counts: of `last_counts`. Returns the least number of errors so that more of them were refuted after some
    audit (M ≥ 1/δ). ValueError: δ outside (0, 1).
    """
    needed = -math.log(_checked(delta))
    low, high = 0, size
    while low < high:
        middle = (low + high) // 2
        if any(log_evidence(size, n, k, middle, reference) >= needed for n, k in counts):
            high = middle
        else:
            low = middle + 1
    return low


def boundary(size: int, allowed: int, delta: float, limit: int, reference: int) -> list[int]:
    """Return the audits at which more than `allowed` errors are refuted, for 0, 1, 2 … wrong answers.

    `audits ≥ boundary[wrong]` is the same as M ≥ 1/δ. The list ends where more than `limit` audits are
    needed. ValueError: δ outside (0, 1).
    """
    needed = -math.log(_checked(delta))
    last = min(limit, size)
    numbers: list[int] = []
    for wrong in range(last + 1):
        low, high = max(wrong, numbers[-1] if numbers else 0), last + 1
        while low < high:
            middle = (low + high) // 2
            if log_evidence(size, middle, wrong, allowed, reference) >= needed:
                high = middle
            else:
                low = middle + 1
        if low > last:
            break
        numbers.append(low)
    return numbers


def boundary_of_labels_left(size: int, alpha: float, delta: float, limit: int, reference: int) -> list[int]:
    """Return the audits at which at most α of the labels left are wrong, for 0, 1, 2 … wrong answers.

    After n audits with k wrong answers, size − n labels are left, and the errors must not exceed
    ⌊α (size − n)⌋ + k. Each number is the first n at which more errors are refuted. Where the rounding takes
    one error off, a few more right answers can be needed again.
    """
    needed = -math.log(_checked(delta))
    last = min(limit, size)
    numbers: list[int] = []
    for wrong in range(last + 1):
        start = max(wrong, numbers[-1] if numbers else 0)
        for audits in range(start, last + 1):
            allowed = allowed_errors(size, alpha, audits) + wrong
            if log_evidence(size, audits, wrong, allowed, reference) >= needed:
                numbers.append(audits)
                break
        else:
            break
    return numbers


@lru_cache(maxsize=256)
def _alternatives(reference: int) -> tuple[tuple[int, float], ...]:
    """Return (errors, log weight) of the prior."""
    few = reference // PRIOR_PARTS
    if few == 0:
        return ((0, math.log(sum(PRIOR))),)
    return ((0, math.log(PRIOR[0])), (few, math.log(PRIOR[1])))


def _checked(delta: float) -> float:
    if not 0 < delta < 1:
        raise ValueError("delta must lie strictly between 0 and 1")
    return delta
