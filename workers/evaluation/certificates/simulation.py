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
from workers.evaluation.certificates.label_tests import (
    OwnAlphas,
    first_refuted,
    label_passes,
    label_shares,
    label_tests,
)

NO_ALPHAS = OwnAlphas({}, {})


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
    order: NDArray[np.int64], wrong: NDArray[np.bool_], numbers: Numbers, own: OwnAlphas = NO_ALPHAS
) -> Run:
    """Run the watched test with the rules of `verification.certificates.spending`.

    Args:
        order: (T,) ranks of candidates in audit order; a first part is enough if it holds `limit` members of
            every region. wrong: (m,) by rank: whether the machine's label is wrong. own: the labels that
            have an alpha of their own.
    """
    limit, sizes = numbers.protocol.limit, numbers.sizes
    audited = np.zeros(len(order), bool)
    spent, certified = 0, -1
    counts_below: tuple[int, int, dict[str, int]] = (0, 0, {})
    for region, size in enumerate(sizes):
        members = np.flatnonzero(order < size)
        errors = np.flatnonzero(wrong[order[members]]).tolist()
        groups = label_tests(numbers, own, order[members], wrong, size)
        waiting = np.flatnonzero(~audited[members])
        n = int(waiting[0]) if len(waiting) else len(members)
        k = bisect_left(errors, n)
        step, left = numbers.step[region], numbers.left[region]
        while True:
            asked = audited[members]
            counts = [group.counts(asked) for group in groups]
            pending = [
                (group, count)
                for group, count in zip(groups, counts, strict=True)
                if first_refuted(group.needed, group.errors, count[0]) is None
            ]
            refuted = first_refuted(step, errors, n) is not None
            holds = refuted or _is_certified(numbers, region, errors, n, k, asked)
            here = holds and not pending
            if here:
                certified = region
            label_errors = {group.label: count[1] for group, count in zip(groups, counts, strict=True)}
            at, (audits, errors_there, label_errors_there) = (
                (region, (n, k, label_errors)) if here else (region - 1, counts_below)
            )
            if refuted and not pending:
                counts_below = (n, k, label_errors)
                break
            # The next number of audits at which something changes, if no answer is wrong.
            goals = []
            if not holds:
                if k >= len(left) or left[k] - n > limit - spent:
                    break
                goals.append(left[k] if left[k] > n else n + 1)
            elif not refuted and not pending:
                goals.append(step[k] if k < len(step) and step[k] > n else n + 1)
            elif not refuted:
                goals.append(_next_lower_promise(numbers, size, asked, n))
            if any(not group.is_reachable(*count, limit - spent) for group, count in pending):
                break
            if certified >= 0:
                shares = label_shares(numbers, own, label_errors_there)
                if not numbers.is_worth_going_on(at, audits, errors_there, shares):
                    break
            goals += [group.next_event(asked, n, *count, limit - spent) for group, count in pending]
            if k < len(errors):
                goals.append(errors[k] + 1)
            goal = min(*goals, len(members)) if goals else len(members)
            price = np.cumsum(~asked[n:goal])
            if not len(price) or spent >= limit:
                break
            taken = int(np.searchsorted(price, limit - spent, side="right"))
            audited[members[n : n + taken]] = True
            spent = int(audited.sum())
            waiting = np.flatnonzero(~audited[members])
            n = int(waiting[0]) if len(waiting) else len(members)
            k = bisect_left(errors, n)
        if not refuted or pending:
            break
    return _run(order, wrong, sizes, certified + 1, audited)


def _next_lower_promise(numbers: Numbers, size: int, asked: NDArray[np.bool_], n: int) -> int:
    """Return the number of asked members at which the machine may set fewer wrong labels than now.

    An audit takes a label from the machine, and at most α of the labels that are left may be wrong.
    asked: (members,) whether each member of the region was asked, the first n without a gap.
    """
    alpha, count = numbers.protocol.alpha, int(asked.sum())
    promised = allowed_errors(size, alpha, count)
    waiting = np.flatnonzero(~asked[n:])
    for more, at in enumerate(waiting.tolist(), start=1):
        if allowed_errors(size, alpha, count + more) < promised:
            return n + at + 1
    return len(asked)


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


def run_planned(
    order: NDArray[np.int64], wrong: NDArray[np.bool_], numbers: Numbers, own: OwnAlphas = NO_ALPHAS
) -> Run:
    """Run the planned test: audit `limit` images of the largest region, then test all regions."""
    protocol, sizes = numbers.protocol, numbers.sizes
    at = np.flatnonzero(order < sizes[-1])[: protocol.limit]
    audited = np.zeros(len(order), bool)
    audited[at] = True
    certified = 0
    for region, size in enumerate(sizes):
        inside = order[at][order[at] < size]
        n, k = len(inside), int(wrong[inside].sum())
        if not all(
            label_passes(protocol, label, own.size(label, size), inside[mask[inside]], wrong)
            for label, mask in own.masks.items()
        ):
            break
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
