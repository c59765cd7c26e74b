"""The tests of labels with an alpha of their own in one simulated region, for `simulation`."""

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from verification.certificates.protocol import Protocol
from verification.certificates.regions import allowed_errors
from verification.certificates.spending import Numbers
from verification.certificates.tails import p_value


@dataclass(frozen=True)
class OwnAlphas:
    """The labels with an alpha of their own: which of the m candidates they are predicted for.

    masks: label → (m,) by rank. ranks: label → the same ranks, ascending.
    """

    masks: Mapping[str, NDArray[np.bool_]]
    ranks: Mapping[str, NDArray[np.int64]]

    @classmethod
    def of(cls, masks: Mapping[str, NDArray[np.bool_]]) -> Self:
        """Return the labels from their masks."""
        return cls(masks, {label: np.flatnonzero(mask) for label, mask in masks.items()})

    def size(self, label: str, region: int) -> int:
        """Return how many of the `region` most confident candidates are predicted as this label."""
        return int(np.searchsorted(self.ranks[label], region))


@dataclass(frozen=True)
class LabelTest:
    """The test of one label in one region.

    at: (g,) places of the label's images among the members of the region, in audit order. errors: indices
    into `at` of the images whose label by machine is wrong. needed: audits at which the label holds, for 0,
    1, 2 … wrong answers.
    """

    label: str
    at: NDArray[np.int64]
    errors: list[int]
    needed: Sequence[int]

    def counts(self, asked: NDArray[np.bool_]) -> tuple[int, int]:
        """Return (audited, wrong) up to the first image of the label that was not asked.

        asked: (members,) whether each member of the region was asked.
        """
        waiting = np.flatnonzero(~asked[self.at])
        audited = int(waiting[0]) if len(waiting) else len(self.at)
        return audited, bisect_left(self.errors, audited)

    def is_reachable(self, audited: int, wrong: int, most: int) -> bool:
        """Return whether the label can hold after `most` further audits."""
        return wrong < len(self.needed) and self.needed[wrong] - audited <= most

    def next_event(self, asked: NDArray[np.bool_], first: int, audited: int, wrong: int, most: int) -> int:
        """Return how many members are asked when the label holds, or cannot hold any more.

        It assumes right answers. first: members that are asked without a gap. most: audits that are left.
        """
        needed = self.needed[wrong]
        end = int(self.at[needed - 1]) + 1 if needed <= len(self.at) else len(asked)
        end = max(end, first + 1)
        # After `taken` members more, the label has `mine` of its images audited and `spent` audits are used.
        taken = np.arange(first + 1, end + 1)
        spent = np.cumsum(~asked[first:end])
        waiting = np.flatnonzero(~asked[self.at])
        mine = np.append(waiting, len(self.at))[np.searchsorted(self.at[waiting], taken)]
        lost = np.flatnonzero(needed - mine > most - spent)
        return int(taken[lost[0]]) if len(lost) else end


def first_refuted(needed: Sequence[int], errors: list[int], n: int) -> int | None:
    """Return the first number of audits up to n that meets `needed`, or None.

    errors: ascending indices of the wrong answers in audit order.
    """
    for k, audits in enumerate(needed):
        if audits > n:
            return None
        if k >= len(errors) or audits <= errors[k]:
            return audits
    return None


def label_tests(
    numbers: Numbers, own: OwnAlphas, ranks: NDArray[np.int64], wrong: NDArray[np.bool_], region: int
) -> list[LabelTest]:
    """Return the tests of the labels that occur in a region. ranks: of its members, in audit order."""
    tests = []
    for label, mask in own.masks.items():
        size = own.size(label, region)
        if size:
            at = np.flatnonzero(mask[ranks])
            errors = np.flatnonzero(wrong[ranks[at]]).tolist()
            tests.append(LabelTest(label, at, errors, numbers.of_label(label, size)))
    return tests


def label_shares(numbers: Numbers, own: OwnAlphas, errors: Mapping[str, int]) -> list[float]:
    """Return the largest share of a label's images that must be audited, by region; inf: above the limit.

    errors: wrong answers of each label that occurs in the certified region.
    """
    shares = []
    for region in numbers.sizes if errors else ():
        share = 0.0
        for label in own.masks:
            if size := own.size(label, region):
                needed, wrong = numbers.of_label(label, size), errors.get(label, 0)
                share = max(share, needed[wrong] / size if wrong < len(needed) else math.inf)
        shares.append(share)
    return shares


def label_passes(
    protocol: Protocol, label: str, size: int, audited: NDArray[np.int64], wrong: NDArray[np.bool_]
) -> bool:
    """Return whether the planned test of a label passes. size, audited: its images, its audited ranks."""
    if not size:
        return True
    allowed = allowed_errors(size, protocol.alpha_by_label[label], protocol.limit)
    return p_value(size, len(audited), int(wrong[audited].sum()), allowed) <= protocol.delta_errors
