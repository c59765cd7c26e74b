"""One certificate, run on labels that are known: for plans and benchmarks.

The same rules as `verification.certificates.decision`, over arrays. A test compares the two.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from verification.certificates.regions import allowed_errors
from verification.certificates.spending import Numbers
from verification.certificates.tails import p_value, upper_bound
from verification.certificates.watched import log_evidence


@dataclass(frozen=True)
class Run:
    """The end of one certificate.

    regions: number of certified regions, from the smallest. size: images of the largest certified region, 0
    without one. audits: images audited in all. left: images of that region whose label the machine sets.
    wrong_left: wrong labels among those.
    """

    regions: int
    size: int
    audits: int
    left: int
    wrong_left: int


def run_watched(order: NDArray[np.int64], wrong: NDArray[np.bool_], numbers: Numbers) -> Run:
    """Run the watched test with the rules of `verification.certificates.spending`.

    Args:
        order: (T,) ranks of candidates in audit order; a first part is enough if it holds `limit` members of
            every region. wrong: (m,) by rank: whether the machine's label is wrong.
    """
    limit, sizes = numbers.protocol.limit, numbers.sizes
    audited = np.zeros(len(order), bool)
    spent, certified = 0, -1
    counts_below = (0, 0)
    for region, size in enumerate(sizes):
        members = np.flatnonzero(order < size)
        errors = np.flatnonzero(wrong[order[members]]).tolist()
        waiting = np.flatnonzero(~audited[members])
        n = int(waiting[0]) if len(waiting) else len(members)
        k = bisect_left(errors, n)
        step, left = numbers.step[region], numbers.left[region]
        while True:
            refuted = _first_refuted(step, errors, n) is not None
            here = refuted or _is_certified(numbers, region, errors, n, k, audited[members])
            if here:
                certified = region
            at, (audits, errors_there) = (region, (n, k)) if here else (region - 1, counts_below)
            if refuted:
                counts_below = (n, k)
                break
            # The next number of audits at which something changes, if no answer is wrong.
            if not here:
                if k >= len(left) or left[k] - n > limit - spent:
                    break
                goal = left[k] if left[k] > n else n + 1
            else:
                goal = step[k] if k < len(step) and step[k] > n else n + 1
            if certified >= 0 and not numbers.is_worth_going_on(at, audits, errors_there):
                break
            if k < len(errors):
                goal = min(goal, errors[k] + 1)
            goal = min(goal, len(members))
            price = np.cumsum(~audited[members[n:goal]])
            if not len(price) or spent >= limit:
                break
            taken = int(np.searchsorted(price, limit - spent, side="right"))
            audited[members[n : n + taken]] = True
            spent = int(audited.sum())
            waiting = np.flatnonzero(~audited[members])
            n = int(waiting[0]) if len(waiting) else len(members)
            k = bisect_left(errors, n)
        if not refuted:
            break
    return _run(order, wrong, sizes, certified + 1, audited)


def _first_refuted(needed: Sequence[int], errors: list[int], n: int) -> int | None:
    """Return the first number of audits up to n that meets `needed`, or None."""
    for k, audits in enumerate(needed):
        if audits > n:
            return None
        if k >= len(errors) or audits <= errors[k]:
            return audits
    return None


def _is_certified(
    numbers: Numbers, region: int, errors: list[int], n: int, k: int, audited: NDArray[np.bool_]
) -> bool:
    """Return whether at most α of the labels left are wrong, by the evidence of the first n audits."""
    protocol, size = numbers.protocol, numbers.sizes[region]
    asked = int(audited.sum())
    wrong = k + sum(bool(audited[at]) for at in errors[k:])
    allowed = allowed_errors(size, protocol.alpha, asked) + wrong
    reference = allowed_errors(size, protocol.alpha) + 1
    ends = [*errors[:k], n]
    return any(
        log_evidence(size, end, count, allowed, reference) >= -math.log(protocol.delta_errors)
        for count, end in enumerate(ends)
    )


def run_planned(order: NDArray[np.int64], wrong: NDArray[np.bool_], numbers: Numbers) -> Run:
    """Run the planned test: audit `limit` images of the largest region, then test all regions."""
    protocol, sizes = numbers.protocol, numbers.sizes
    at = np.flatnonzero(order < sizes[-1])[: protocol.limit]
    audited = np.zeros(len(order), bool)
    audited[at] = True
    certified = 0
    for region, size in enumerate(sizes):
        inside = order[at][order[at] < size]
        n, k = len(inside), int(wrong[inside].sum())
        bound = upper_bound(size, n, k, protocol.delta_errors)
        if bound - k <= allowed_errors(size - n, protocol.alpha):
            certified = region + 1
        step = allowed_errors(size, protocol.alpha, protocol.limit)
        if p_value(size, n, k, step) > protocol.delta_errors:
            break
    return _run(order, wrong, sizes, certified, audited)


def _run(
    order: NDArray[np.int64],
    wrong: NDArray[np.bool_],
    sizes: Sequence[int],
    certified: int,
    audited: NDArray[np.bool_],
) -> Run:
    size = sizes[certified - 1] if certified else 0
    by_people = order[audited]
    by_people = by_people[by_people < size]
    left_wrong = int(wrong[:size].sum()) - int(wrong[by_people].sum())
    return Run(certified, size, int(audited.sum()), size - len(by_people), left_wrong)
