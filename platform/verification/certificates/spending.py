"""Which image is audited next, and when further audits are no longer worth their price.

Nothing here affects validity: the evidence of a region bounds the error at every point of the audit order,
whatever decides where the audits stop.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from verification.certificates.decision import Audits, RegionResult, Result, TestResult
from verification.certificates.protocol import PLANNED, Protocol
from verification.certificates.regions import allowed_errors, region_sizes
from verification.certificates.watched import boundary, boundary_of_labels_left


@dataclass(frozen=True)
class Numbers:
    """The audits that each region needs for 0, 1, 2 … wrong answers (watched test), by region.

    left[j][k]: audits in region j at which it is certified. step[j][k]: audits in region j at which a larger
    region may be tested. A list ends where more than `limit` audits are needed.
    """

    protocol: Protocol
    candidates: int

    @cached_property
    def sizes(self) -> list[int]:
        """Sizes of the regions, ascending."""
        return region_sizes(self.candidates, self.protocol.levels)

    @cached_property
    def left(self) -> list[list[int]]:
        """Audits at which a region is certified."""
        p = self.protocol
        return [
            boundary_of_labels_left(size, p.alpha, p.delta_errors, p.limit, self._reference(size))
            for size in self.sizes
        ]

    @cached_property
    def step(self) -> list[list[int]]:
        """Audits at which a larger region may be tested."""
        p = self.protocol
        return [
            boundary(
                size, allowed_errors(size, p.alpha, p.limit), p.delta_errors, p.limit, self._reference(size)
            )
            for size in self.sizes
        ]

    def of_label(self, label: str, size: int) -> Sequence[int]:
        """Audits of a label with its own alpha at which it holds, for 0, 1, 2 … wrong answers.

        size: the images of the region that are predicted as this label.
        """
        p = self.protocol
        return _audits_of_label(size, p.alpha_by_label[label], p.delta_errors, p.limit)

    def is_worth_going_on(
        self, region: int, audits: int, wrong: int, label_shares: Sequence[float] = ()
    ) -> bool:
        """Return whether a region beyond the certified one gains more images than it costs audits.

        audits, wrong: counts in the certified region. The cost assumes that all further answers are right.
        label_shares: for each region, the largest share of a label's images that its own alpha needs.
        """
        size = self.sizes[region]
        highest = 0.0  # audits in the whole order for the steps so far, as a share of the candidates
        for beyond in range(region + 1, len(self.sizes)):
            step, left, larger = self.step[beyond - 1], self.left[beyond], self.sizes[beyond]
            if wrong >= len(step) or wrong >= len(left):
                return False
            highest = max(highest, step[wrong] / self.sizes[beyond - 1])
            if label_shares:
                highest = max(highest, label_shares[beyond])
            cost = max(left[wrong], highest * larger) - audits
            if cost < larger - size and audits + cost <= self.protocol.limit:
                return True
        return False

    def _reference(self, size: int) -> int:
        return allowed_errors(size, self.protocol.alpha) + 1


@lru_cache(maxsize=4096)
def _audits_of_label(size: int, alpha: float, delta: float, limit: int) -> tuple[int, ...]:
    allowed, reference = allowed_errors(size, alpha, limit), allowed_errors(size, alpha) + 1
    return tuple(boundary(size, allowed, delta, limit, reference))


def target_size(numbers: Numbers, result: Result) -> int:
    """Return the size of the region to audit now; 0 if the certificate should end.

    A planned test audits the largest region. A watched test audits the first region that is not refuted,
    until it is certified, and goes on while that is worth its price. It ends when people have decided as many
    images as the limit allows, or all images of the region.
    """
    protocol = numbers.protocol
    if not result.regions or result.over_limit:
        return 0
    if protocol.test == PLANNED:
        return result.regions[-1].size
    certified = -1
    for j, region in enumerate(result.regions):
        if region.certified:
            certified = j
    first = next((j for j, r in enumerate(result.regions) if not _may_go_on(r)), None)
    if first is None:
        return 0
    tested = result.regions[first]
    if result.decided >= protocol.limit or tested.left == 0:
        return 0
    if first != certified and not _is_possible(numbers, tested, protocol.limit - result.decided):
        return 0
    if certified >= 0:
        step = result.regions[certified].step
        shares = _label_shares(numbers, result, certified)
        if not numbers.is_worth_going_on(certified, step.audited, step.wrong, shares):
            return 0
    return result.regions[first].size


def next_audits(numbers: Numbers, result: Result, audits: Audits, count: int) -> list[int]:
    """Return the positions in the audit order of the next images to ask, at most `count`.

    audits: with all candidates of the audit order, or a first part of it that holds enough images.
    """
    protocol = numbers.protocol
    size = target_size(numbers, result)
    decided = sum(state is not None for state in audits.state) + len(audits.others)
    count = min(count, protocol.limit - decided)
    others = set(audits.others)
    chosen: list[int] = []
    for position, rank in enumerate(audits.rank):
        if len(chosen) >= count:
            break
        if rank < size and audits.state[position] is None and rank not in others:
            chosen.append(position)
    return chosen


def _is_possible(numbers: Numbers, region: RegionResult, most: int) -> bool:
    """Return whether `most` further audits certify a region if all their answers are right."""
    if region.most_wrong > region.promised:
        needed = numbers.left[numbers.sizes.index(region.size)]
        if not _is_reachable(needed, region.step, most):
            return False
    return all(
        test.refuted or _is_reachable(numbers.of_label(label, test.size), test, most)
        for label, test in region.by_label.items()
    )


def _is_reachable(needed: Sequence[int], test: TestResult, most: int) -> bool:
    return test.wrong < len(needed) and needed[test.wrong] - test.audited <= most


def _label_shares(numbers: Numbers, result: Result, certified: int) -> list[float]:
    """Return the largest share of a label's images that must be audited, by region; inf: above the limit.

    It assumes the wrong answers in the certified region.
    """
    here = result.regions[certified].by_label
    shares = []
    for region in result.regions if here else ():
        share = 0.0
        for label, test in region.by_label.items():
            needed = numbers.of_label(label, test.size)
            wrong = here[label].wrong if label in here else 0
            share = max(share, needed[wrong] / test.size if wrong < len(needed) else math.inf)
        shares.append(share)
    return shares


def _may_go_on(region: RegionResult) -> bool:
    return region.step.refuted and all(test.refuted for test in region.by_label.values())
