"""One certificate, run on labels that are known: for plans and benchmarks.

The same rules as `verification.certificates.decision`, over arrays. A test compares the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from verification.certificates.regions import allowed_errors
from verification.certificates.spending import Numbers
from verification.certificates.tails import p_value, upper_bound


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


def run_watched(
    order: NDArray[np.int64], wrong: NDArray[np.bool_], numbers: Numbers, *, thorough: bool = False
) -> Run:
    """Run the watched test with the rules of `verification.certificates.spending`.

    Args:
        order: (T,) ranks of candidates in audit order; a first part is enough if it holds `limit` members of
            every region. wrong: (m,) by rank: whether the machine's label is wrong.
        thorough: go on to larger regions up to the limit, whatever they cost.
    """
    limit, sizes = numbers.protocol.limit, numbers.sizes
    audited = np.zeros(len(order), bool)
    certified, spent = 0, 0
    for region, size in enumerate(sizes):
        members = np.flatnonzero(order < size)[: limit + 1]
        # audits in all when the i-th member of the region is audited
        cost = np.concatenate([[spent], spent + np.cumsum(~audited[members])])
        errors = np.flatnonzero(wrong[order[members]])
        looked, ok = _advance(numbers.left[region], errors, cost, limit, 0)
        if ok:
            certified = region + 1
            k = int(np.searchsorted(errors, looked))
            if region + 1 < len(sizes) and (thorough or numbers.is_worth_going_on(region, looked, k)):
                looked, ok = _advance(numbers.step[region], errors, cost, limit, looked)
            else:
                ok = False
        audited[members[:looked]] = True
        spent = int(audited.sum())
        if not ok:
            break
    return _run(order, wrong, sizes, certified, audited)


def _advance(
    needed: Sequence[int], errors: NDArray[np.int64], cost: NDArray[np.int64], limit: int, looked: int
) -> tuple[int, bool]:
    """Audit members of a region until the numbers `needed` are met or out of reach within the limit.

    Returns the members audited, at least `looked`, and whether the numbers are met.
    """
    for k, audits in enumerate(needed):
        next_error = int(errors[k]) if k < len(errors) else len(cost)
        if next_error < looked:
            continue  # this error is among the audited members
        if audits >= len(cost) or cost[max(audits, looked)] > limit:
            return looked, False
        if audits <= next_error:
            return max(audits, looked), True
        looked = next_error + 1
    return looked, False


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
