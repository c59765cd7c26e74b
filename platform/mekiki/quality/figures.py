"""The format of a report's figures (`StudyReport.figures`), as typed records.

A worker computes them (workers/steps/agreement.py). Pages and the PDF read them with `Figures.of`.
"""

from dataclasses import dataclass
from typing import Any, Self

FORMAT = 1


@dataclass(frozen=True)
class Share:
    """k of n with an interval. `value` is None if n is 0."""

    k: int
    n: int
    value: float | None
    low: float
    high: float


@dataclass(frozen=True)
class Coefficient:
    """A kappa or alpha with an interval. See workers.evaluation.agreement.Coefficient."""

    value: float | None
    low: float | None
    high: float | None
    images: int
    ratings: int


@dataclass(frozen=True)
class LabelFigures:
    """A label of the study. `archived`: it was archived before the report was computed."""

    id: int
    name: str
    critical: bool
    archived: bool


@dataclass(frozen=True)
class ReviewerFigures:
    """What one reviewer did. The figures against the reference are None without reference labels.

    given, unable: numbers of answers, of `wanted`; `unable` of them say that the image cannot be judged.
    confusion: rows are reference labels, columns answers.
    """

    name: str
    member: bool
    joint: bool
    wanted: int
    given: int
    unable: int
    within: Share
    own_kappa: Coefficient
    reference: Share | None
    reference_kappa: Coefficient | None
    misses: Share | None
    false_alarms: Share | None
    confusion: list[list[int]] | None


@dataclass(frozen=True)
class PairFigures:
    """Cohen's kappa of two reviewers, by their positions."""

    first: int
    second: int
    kappa: Coefficient


@dataclass(frozen=True)
class ImageFigures:
    """An image on which answers differ. answers: for each reviewer and run a position of a label, −1, −2."""

    sha256: str
    disagreement: float
    reference: int
    answers: list[list[int]]


@dataclass(frozen=True)
class Figures:
    """All figures of a report. `design` is that of the inputs."""

    design: dict[str, Any]
    labels: list[LabelFigures]
    reviewers: list[ReviewerFigures]
    reference_person: str
    reference_images: int
    images: int
    confidence: float
    resamples: int
    verdict: str
    between: Share
    all_reference: Share | None
    fleiss: Coefficient
    alpha: Coefficient
    pairs: list[PairFigures]
    differing: list[ImageFigures]
    differing_count: int

    @classmethod
    def of(cls, stored: dict[str, Any]) -> Self:
        """Return the stored figures as records."""
        values = {name: value for name, value in stored.items() if name != "format"}
        values["labels"] = [LabelFigures(**row) for row in values["labels"]]
        values["reviewers"] = [_reviewer(row) for row in values["reviewers"]]
        values["pairs"] = [
            PairFigures(row["first"], row["second"], Coefficient(**row["kappa"])) for row in values["pairs"]
        ]
        values["differing"] = [ImageFigures(**row) for row in values["differing"]]
        values["between"] = Share(**values["between"])
        values["all_reference"] = _share(values["all_reference"])
        values["fleiss"], values["alpha"] = Coefficient(**values["fleiss"]), Coefficient(**values["alpha"])
        return cls(**values)

    @property
    def has_reference(self) -> bool:
        """Return whether the answers were compared with reference labels."""
        return self.reference_images > 0


def _share(stored: dict[str, Any] | None) -> Share | None:
    return None if stored is None else Share(**stored)


def _reviewer(stored: dict[str, Any]) -> ReviewerFigures:
    kappa = stored["reference_kappa"]
    return ReviewerFigures(
        **stored
        | {
            "within": Share(**stored["within"]),
            "own_kappa": Coefficient(**stored["own_kappa"]),
            "reference": _share(stored["reference"]),
            "reference_kappa": None if kappa is None else Coefficient(**kappa),
            "misses": _share(stored["misses"]),
            "false_alarms": _share(stored["false_alarms"]),
        }
    )
