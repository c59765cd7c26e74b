"""The share of right labels of all images of a dataset, beside the audit estimate, in numbers and words.

The audit estimate is about the head's predictions on images that no training used. Readers take it for the
share of right labels, which is another figure (docs/explanation/evaluation.md).
"""

from dataclasses import dataclass
from typing import Self

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from mekiki.learning.accuracy import leads_with_interval
from mekiki.learning.figures import count, percent
from mekiki.learning.models import Evaluation


@dataclass(frozen=True)
class PoolFigure:
    """The estimated share of right labels of all images, with its 95 % interval; None without a figure.

    people: images with a label of a person, which counts as right. machine: images whose label is a certified
    label or the prediction of the head. differing: part of `machine`, the certified label is another label
    than the prediction. left_out: images that the figure does not cover. n: audited images.
    """

    share: float | None = None
    low: float | None = None
    high: float | None = None
    people: int = 0
    machine: int = 0
    differing: int = 0
    left_out: int = 0
    n: int = 0

    @classmethod
    def of(cls, evaluation: Evaluation | None) -> Self | None:
        """Return the figure that is stored with an estimate, or None if there is none."""
        if evaluation is None or evaluation.pool_share is None:
            return None
        stored = {name: getattr(evaluation, f"pool_{name}") for name in _STORED}
        return cls(**stored, n=evaluation.n)

    @property
    def columns(self) -> dict[str, float | int | None]:
        """Return the columns of Evaluation."""
        return {f"pool_{name}": getattr(self, name) for name in _STORED}

    @property
    def interval(self) -> str:
        """Return the 95 % interval as text: "76.9 % to 96.0 %"."""
        return _("%(low)s to %(high)s") % {"low": percent(self.low), "high": percent(self.high)}

    @property
    def headline(self) -> str:
        """Return the figure that a page shows large: the percentage, or the interval with few audits."""
        return self.interval if leads_with_interval(self.n) else percent(self.share)

    @property
    def support(self) -> str:
        """Return the sentence beside the headline: the interval and the number of audited images."""
        if leads_with_interval(self.n):
            return ngettext(
                "95 %% interval from %(n)s audited image",
                "95 %% interval from %(n)s audited images",
                self.n,
            ) % {"n": count(self.n)}
        return ngettext(
            "95 %% interval %(interval)s, from %(n)s audited image",
            "95 %% interval %(interval)s, from %(n)s audited images",
            self.n,
        ) % {"interval": self.interval, "n": count(self.n)}

    @property
    def sentence(self) -> str:
        """Return what the figure is about."""
        return _(
            "The share of right labels of all images: %(people)s with a label by a person, which counts as "
            "right, and %(machine)s with a certified label or only a prediction."
        ) % {"people": count(self.people), "machine": count(self.machine)}

    @property
    def notes(self) -> list[str]:
        """Return what the figure leaves out, and labels about which the audits say nothing."""
        sentences = []
        if self.left_out:
            sentences.append(
                ngettext(
                    "The share of right labels does not cover %(n)s image: no image imported with it was "
                    "audited yet, or it has no prediction.",
                    "The share of right labels does not cover %(n)s images: no image imported with them was "
                    "audited yet, or they have no prediction.",
                    self.left_out,
                )
                % {"n": count(self.left_out)}
            )
        if self.differing:
            sentences.append(
                ngettext(
                    "%(n)s certified label differs from the prediction of the head in use. The lower end of "
                    "the interval counts it as wrong, the upper end as right.",
                    "%(n)s certified labels differ from the predictions of the head in use. The lower end "
                    "of the interval counts them as wrong, the upper end as right.",
                    self.differing,
                )
                % {"n": count(self.differing)}
            )
        return sentences


_STORED = ("share", "low", "high", "people", "machine", "differing", "left_out")


def audit_estimate_sentence() -> str:
    """Return what the audit estimate is about."""
    return _(
        "The share of right predictions of the head on images that no training used, from the audit sample."
    )
