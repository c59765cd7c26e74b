"""Which region a certificate covers, from the audits so far: fixed-sequence testing of nested regions.

Regions are tested from the smallest, each at the same level δ. The first region that is not refuted ends the
sequence (Learn then Test, Angelopoulos et al., arXiv 2110.01052). Two thresholds are used:

- to go on to the next region: at most ⌊α (size − limit)⌋ errors, a number that no answer changes;
- for the region that is certified: at most α of the labels left to the machine are wrong, which is
  ⌊α (size − decided)⌋ + wrong answers. It is never below the first threshold.

docs/explanation/certificates.md proves that P(the certified region has more than α wrong labels) ≤ δ.
"""

import math
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from verification.certificates.protocol import PLANNED, Protocol
from verification.certificates.regions import allowed_errors, region_sizes
from verification.certificates.tails import p_value, upper_bound
from verification.certificates.watched import last_counts, log_evidence, watched_upper_bound

RIGHT, WRONG, OPEN = 0, 1, 2  # OPEN: leased, skipped, flagged or in adjudication; counts as an error


@dataclass(frozen=True)
class Audits:
    """The audited images of a certificate, in audit order. All sequences have length T.

    rank: rank of each image in the order of candidates. state: RIGHT, WRONG, OPEN, or None where nobody was
    asked yet. critical: whether the true label is a critical one; empty without critical labels. others:
    ranks of candidates that people decided outside the audit since the freeze.

    The sequences start with the first candidate of the audit order and leave no candidate of the largest
    tested region out: images that were not asked have the state None. Candidates outside that region may be
    left out, as may everything after the last image that was asked.
    """

    rank: Sequence[int]
    state: Sequence[int | None]
    critical: Sequence[bool] = ()
    others: Sequence[int] = ()

    def of(self, members: Sequence[bool]) -> Iterator[tuple[int, bool]]:
        """Yield (state, critical) of the members in audit order, up to the first that was not asked."""
        for t, member in enumerate(members):
            if member:
                state = self.state[t]
                if state is None:
                    return
                yield state, state == OPEN or bool(self.critical and self.critical[t])


@dataclass(frozen=True)
class LabelGroups:
    """The candidates that are predicted as each label with an alpha of its own.

    sizes: label → images of each region, smallest region first. predicted: rank → predicted label, of the
    audited images at least.
    """

    sizes: Mapping[str, Sequence[int]]
    predicted: Mapping[int, str]

    @classmethod
    def of(cls, protocol: Protocol, predicted: Sequence[str]) -> Self:
        """Return the groups of candidates whose labels are given by rank."""
        sizes = region_sizes(len(predicted), protocol.levels)
        ranks = {
            label: [rank for rank, name in enumerate(predicted) if name == label]
            for label in protocol.alpha_by_label
        }
        counts = {label: [bisect_left(mine, size) for size in sizes] for label, mine in ranks.items()}
        return cls(counts, dict(enumerate(predicted)))


@dataclass(frozen=True)
class TestResult:
    """The test of one group of images: a region, or the images of one predicted label in it.

    statistic: the largest log-evidence so far (watched), or the p-value (planned), of H₀ “more than
    `allowed` errors”. refuted: H₀ is rejected at the level of the protocol.
    """

    size: int
    allowed: int
    audited: int  # in audit order, without a gap
    wrong: int  # of those, including open ones
    open: int
    statistic: float
    refuted: bool


@dataclass(frozen=True)
class RegionResult:
    """The result for one region.

    left: the labels that the machine would set. most_wrong: upper bound on the wrong ones among them, for
    this region alone. certified: most_wrong is at most `promised` = ⌊α · left⌋, and all smaller regions are
    refuted. Of a certified region, say “at most `promised` are wrong”: as the region was chosen by the
    audits, most_wrong has not the confidence 1 − δ. missed_critical: upper bound on the images among `left`
    whose true label is critical. step: the test that must refute H₀ before a larger region can be certified.
    """

    size: int
    left: int
    most_wrong: int
    missed_critical: int
    step: TestResult
    certified: bool
    promised: int
    by_label: dict[str, TestResult] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """All regions, smallest first, and the certified one (None if there is none).

    decided: candidates that people were asked about, in the audit or outside of it. over_limit: those are
    more than the limit of the protocol, so nothing is certified.
    """

    regions: tuple[RegionResult, ...]
    certified: RegionResult | None
    decided: int
    over_limit: bool = False


def decide(protocol: Protocol, candidates: int, audits: Audits, groups: LabelGroups | None = None) -> Result:
    """Return the result of a certificate from its audits.

    A planned test reads the first `limit` candidates of the largest region and certifies nothing before all
    of them were asked. groups: needed for `alpha_by_label`. ValueError: sequences of different lengths, a
    rank that occurs twice or is no candidate, groups of other labels or regions.
    """
    _check(candidates, audits)
    sizes = region_sizes(candidates, protocol.levels)
    groups = groups or LabelGroups({}, {})
    if any(len(groups.sizes.get(label, ())) != len(sizes) for label in protocol.alpha_by_label):
        raise ValueError("alpha_by_label needs the predicted label of each candidate")
    decided = sum(state is not None for state in audits.state) + len(audits.others)
    complete = True
    if protocol.test == PLANNED and sizes:
        audits, complete = _first(audits, sizes[-1], protocol.limit)
    over_limit = decided > protocol.limit
    regions, unbroken = [], complete and not over_limit
    for place, size in enumerate(sizes):
        members = [rank < size for rank in audits.rank]
        allowed = allowed_errors(size, protocol.alpha, protocol.limit)
        step = _test(protocol, size, allowed, protocol.alpha, audits, members)
        by_label: dict[str, TestResult] = {}
        for label, alpha in protocol.alpha_by_label.items():
            group = groups.sizes[label][place]
            if group:
                of_label = [groups.predicted.get(rank) == label for rank in audits.rank]
                inside = [m and mine for m, mine in zip(members, of_label, strict=True)]
                allowed = allowed_errors(group, alpha, protocol.limit)
                by_label[label] = _test(protocol, group, allowed, alpha, audits, inside)
        labels_hold = all(test.refuted for test in by_label.values())
        asked = [state for state, m in zip(audits.state, members, strict=True) if m and state is not None]
        left = size - len(asked) - sum(rank < size for rank in audits.others)
        bound = _upper_bound(
            protocol, size, [s != RIGHT for s, _ in audits.of(members)], protocol.delta_errors
        )
        # Only settled wrong answers are taken off: an open image may turn out to be right.
        most_wrong = min(left, max(0, bound - asked.count(WRONG)))
        promised = allowed_errors(left, protocol.alpha)
        certified = unbroken and labels_hold and most_wrong <= promised
        first_bound = promised if certified else left
        missed = _missed_critical(protocol, size, len(sizes), first_bound, audits, members)
        regions.append(RegionResult(size, left, most_wrong, missed, step, certified, promised, by_label))
        unbroken = unbroken and labels_hold and step.refuted
    certified_regions = [region for region in regions if region.certified]
    return Result(tuple(regions), certified_regions[-1] if certified_regions else None, decided, over_limit)


def decide_whole_pool(protocol: Protocol, candidates: int, pool: int, audits: Audits) -> Result:
    """Return the weaker statement: of all `pool` labels, people's and machine's, at most α are wrong.

    People's labels count as right. The errors of a region must not exceed ⌊α · pool⌋, whatever its size.
    Source: probably approximately correct labels (Candès, Ilyas and Zrnic, arXiv 2506.10908), here with an
    exact test and without replacement. The two statements hold with confidence 1 − δ each, not jointly.
    """
    _check(candidates, audits)
    decided = sum(state is not None for state in audits.state) + len(audits.others)
    allowed = allowed_errors(pool, protocol.alpha)
    sizes = region_sizes(candidates, protocol.levels)
    unbroken = True
    if protocol.test == PLANNED and sizes:
        audits, unbroken = _first(audits, sizes[-1], protocol.limit)
    regions = []
    for size in sizes:
        members = [rank < size for rank in audits.rank]
        step = _test(protocol, size, allowed, protocol.alpha, audits, members)
        unbroken = unbroken and step.refuted
        asked = [state for state, m in zip(audits.state, members, strict=True) if m and state is not None]
        left = size - len(asked) - sum(rank < size for rank in audits.others)
        bound = _upper_bound(
            protocol, size, [s != RIGHT for s, _ in audits.of(members)], protocol.delta_errors
        )
        most_wrong = min(left, max(0, bound - asked.count(WRONG)))
        first_bound = min(left, allowed) if unbroken else left
        missed = _missed_critical(protocol, size, len(sizes), first_bound, audits, members)
        regions.append(RegionResult(size, left, most_wrong, missed, step, unbroken, first_bound))
    certified = [region for region in regions if region.certified]
    return Result(tuple(regions), certified[-1] if certified else None, decided)


def _first(audits: Audits, size: int, limit: int) -> tuple[Audits, bool]:
    """Return the first `limit` audits of the largest region, and whether all of them were asked."""
    at = [t for t, rank in enumerate(audits.rank) if rank < size][:limit]
    critical = [audits.critical[t] for t in at] if audits.critical else ()
    states = [audits.state[t] for t in at]
    complete = len(at) == min(limit, size) and None not in states
    return Audits([audits.rank[t] for t in at], states, critical, audits.others), complete


def _test(
    protocol: Protocol, size: int, allowed: int, alpha: float, audits: Audits, members: Sequence[bool]
) -> TestResult:
    """Test H₀ “more than `allowed` of the `size` images are wrong”."""
    states = [state for state, _critical in audits.of(members)]
    wrong = sum(state != RIGHT for state in states)
    still_open = states.count(OPEN)
    delta = protocol.delta_errors
    if protocol.test == PLANNED:
        p = p_value(size, len(states), wrong, allowed)
        return TestResult(size, allowed, len(states), wrong, still_open, p, p <= delta)
    reference = allowed_errors(size, alpha) + 1
    statistic = max(
        log_evidence(size, n, k, allowed, reference)
        for n, k in last_counts(state != RIGHT for state in states)
    )
    refuted = statistic >= -math.log(delta)
    return TestResult(size, allowed, len(states), wrong, still_open, statistic, refuted)


def _upper_bound(protocol: Protocol, size: int, errors: list[bool], delta: float) -> int:
    """Return the upper bound on the errors of a region at level δ, by the test of the protocol."""
    if protocol.test == PLANNED:
        return upper_bound(size, len(errors), sum(errors), delta)
    return watched_upper_bound(size, last_counts(errors), delta, allowed_errors(size, protocol.alpha) + 1)


def _missed_critical(
    protocol: Protocol, size: int, regions: int, bound: int, audits: Audits, members: Sequence[bool]
) -> int:
    """Return the upper bound on missed critical images: `bound` by the error test, or less.

    With delta_critical the audits give a second bound, at delta_critical / regions, because the certified
    region is chosen after the audits.
    """
    if not protocol.delta_critical:
        return bound
    missed = [critical for _state, critical in audits.of(members)]
    settled = sum(critical and state == WRONG for state, critical in audits.of(members))
    second = _upper_bound(protocol, size, missed, protocol.delta_critical / regions) - settled
    return min(bound, max(0, second))


def _check(candidates: int, audits: Audits) -> None:
    if len(audits.rank) != len(audits.state) or len(audits.critical) not in (0, len(audits.rank)):
        raise ValueError("the sequences of the audits must have the same length")
    ranks = [*audits.rank, *audits.others]
    asked = [rank for rank, state in zip(audits.rank, audits.state, strict=True) if state is not None]
    if len(set(audits.rank)) != len(audits.rank) or len({*asked, *audits.others}) != len(asked) + len(
        audits.others
    ):
        raise ValueError("an image is decided twice")
    if any(not 0 <= rank < candidates for rank in ranks):
        raise ValueError("an audited image is no candidate")
