"""Which image is audited next, and when further audits are no longer worth their price.

Nothing here affects validity: the evidence of a region bounds the error at every point of the audit order,
whatever decides where the audits stop.
"""

from dataclasses import dataclass
from functools import cached_property

from verification.certificates.decision import Audits, RegionResult, Result
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

    def is_worth_going_on(self, region: int, audits: int, wrong: int) -> bool:
        """Return whether a region beyond the certified one gains more images than it costs audits.

        audits, wrong: counts in the certified region. The cost assumes that all further answers are right.
        """
        size = self.sizes[region]
        highest = 0.0  # audits in the whole order for the steps so far, as a share of the candidates
        for beyond in range(region + 1, len(self.sizes)):
            step, left, larger = self.step[beyond - 1], self.left[beyond], self.sizes[beyond]
            if wrong >= len(step) or wrong >= len(left):
                return False
            highest = max(highest, step[wrong] / self.sizes[beyond - 1])
            cost = max(left[wrong], highest * larger) - audits
            if cost < larger - size and audits + cost <= self.protocol.limit:
                return True
        return False

    def _reference(self, size: int) -> int:
        return allowed_errors(size, self.protocol.alpha) + 1


def target_size(numbers: Numbers, result: Result) -> int:
    """Return the size of the region to audit now; 0 if the certificate should end.

    A planned test audits the largest region. A watched test audits the first region that is not refuted,
    until it is certified, and goes on while that is worth its price.
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
    tested = result.regions[first].step
    if first != certified and not protocol.alpha_by_label:
        needed = numbers.left[first]
        if tested.wrong >= len(needed):
            return 0
        if needed[tested.wrong] - tested.audited > protocol.limit - result.decided:
            return 0
    if certified >= 0:
        step = result.regions[certified].step
        if not numbers.is_worth_going_on(certified, step.audited, step.wrong):
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


def _may_go_on(region: RegionResult) -> bool:
    return region.step.refuted and all(test.refuted for test in region.by_label.values())
