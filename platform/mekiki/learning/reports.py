"""The figures stored with a head and with an accuracy estimate, as typed, versioned records.

They are stored as JSON. Rows without a version were written before versions existed. They are read as version
0, and figures that they lack have their defaults.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self

from django.db import models
from django.db.models.query_utils import DeferredAttribute

if TYPE_CHECKING:
    from pydantic import TypeAdapter


@dataclass(frozen=True)
class Stored:
    """Base class of the records. A record redefines `version` when the meaning of a field changes."""

    version: int = field(default=1, compare=False)

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON values, without fields that are None."""
        record: dict[str, Any] = _adapter(type(self)).dump_python(self, mode="json", exclude_none=True)
        return record

    @classmethod
    def current(cls, **figures: Any) -> Self:
        """Return a record of this version from JSON values."""
        record: Self = _adapter(cls).validate_python(figures)
        return record

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Return the record of a stored value. Unknown keys are ignored.

        Raises pydantic.ValidationError (a ValueError) if a value has another type.
        """
        record: Self = _adapter(cls).validate_python({"version": 0, **data})
        return record


_adapters: "dict[type, TypeAdapter[Any]]" = {}


def _adapter(kind: type) -> "TypeAdapter[Any]":
    if kind not in _adapters:
        # Imported here, because every process loads the models, and few of them read a record.
        from pydantic import TypeAdapter

        _adapters[kind] = TypeAdapter(kind)
    return _adapters[kind]


@dataclass(frozen=True)
class LongPrompt:
    """A prompt that the encoder truncates, with its number of tokens and the encoder's limit."""

    label: str
    prompt: str
    tokens: int
    context: int


@dataclass(frozen=True)
class Choice:
    """Why a head is of its kind: "few_labels", "best", "simpler", or "" if kinds were not compared."""

    code: str = ""


@dataclass(frozen=True)
class Candidate:
    """A kind of head in the comparison of kinds, by cross-validation on reviewed labels."""

    kind: str
    log_loss: float
    gap: float  # log_loss minus the lowest of all candidates
    gap_error: float  # standard error of the gap
    cv_accuracy: float
    chosen: bool


@dataclass(frozen=True)
class Strength:
    """A strength of the prior, and its cross-validated log-loss in nats."""

    lambda0: float
    log_loss: float
    standard_error: float  # of the difference from the best


@dataclass(frozen=True)
class Reliability:
    """Bins of the confidence (b,) of a reliability diagram. An empty bin has no confidence and frequency."""

    lower: tuple[float, ...] = ()
    upper: tuple[float, ...] = ()
    count: tuple[int, ...] = ()
    confidence: tuple[float | None, ...] = ()
    frequency: tuple[float | None, ...] = ()


@dataclass(frozen=True)
class CrossValidation:
    """Out-of-fold figures on the n reviewed labels. They do not estimate accuracy."""

    n: int = 0
    cv_accuracy: float | None = None
    log_loss: float | None = None
    expected_calibration_error: float | None = None
    zero_shot_reviewed_accuracy: float | None = None
    reliability: Reliability = Reliability()
    confusion: tuple[tuple[int, ...], ...] = ()  # (L, L), rows true, columns predicted


@dataclass(frozen=True)
class DetailStrength:
    """One of the heads that are averaged: the relative strength γ of the local detail, and its weight."""

    gamma: float
    weight: float


@dataclass(frozen=True)
class HeadMetrics(Stored):
    """What the training of a head found out. A head of the prompts alone has only `long_prompts`."""

    n: int | None = None  # labels
    labels_per_class: tuple[int, ...] = ()  # (L,)
    choice: Choice = Choice()
    candidates: tuple[Candidate, ...] = ()
    cross_validation: tuple[Strength, ...] = ()
    cross_validated_on_reviewed_labels: CrossValidation | None = None
    lambda0: float | None = None
    text_scale: float | None = None
    detail_strengths: tuple[DetailStrength, ...] = ()  # of the averaged heads; empty: trained without detail
    whitening_power: float | None = None
    gamma: float | None = None
    trust_in_text: tuple[float, ...] = ()  # (L,), mean 1
    temperature: float | None = None
    calibrated: bool | None = None
    label_noise: float | None = None  # share of the labels
    long_prompts: tuple[LongPrompt, ...] = ()
    prompts_log_loss: float | None = None  # of the prompts alone, at their best calibration
    differing_decisions: int = 0  # images on which reviewers differ

    @property
    def log_loss(self) -> float | None:
        """Return the cross-validated log-loss; None if there were too few labels."""
        cross = self.cross_validated_on_reviewed_labels
        return cross.log_loss if cross is not None else None


@dataclass(frozen=True)
class Proportion:
    """A share k / n with its 95 % interval; `value` is None for n = 0."""

    k: int = 0
    n: int = 0
    low: float = 0.0
    high: float = 1.0
    value: float | None = None
    trials: float | None = None  # effective number of independent images behind the interval


@dataclass(frozen=True)
class MeanRecall:
    """The mean recall over labels, with its 95 % interval."""

    value: float | None = None
    low: float = 0.0
    high: float = 1.0
    labels: int = 0


@dataclass(frozen=True)
class LabelFigures:
    """Precision and recall of one label on the audit sample. `name` is the name at that time."""

    id: int | None = None
    name: str = ""
    precision: Proportion = Proportion()
    recall: Proportion = Proportion()


@dataclass(frozen=True)
class Stratum:
    """A part of the dataset by time of import (ISO 8601), and its audited images."""

    since: str | None = None
    until: str | None = None
    images: int = 0
    audited: int = 0
    right: int = 0


@dataclass(frozen=True)
class EvaluationReport(Stored):
    """The details of an accuracy estimate."""

    labels: tuple[LabelFigures, ...] = ()
    label_ids: tuple[int, ...] = ()  # (L,) order of the confusion matrix
    confusion: tuple[tuple[int, ...], ...] = ()  # (L, L), rows true, columns predicted
    unknown_label: int = 0  # images with a label that the head does not know
    macro_recall: MeanRecall | None = None
    prompt_version: int | None = None
    trials: float | None = None
    strata: tuple[Stratum, ...] = ()


class _StoredAttribute(DeferredAttribute):
    """The attribute of a model instance. A value that is set as JSON becomes a record."""

    def __set__(self, instance: models.Model, value: Any) -> None:
        instance.__dict__[self.field.attname] = self.field.to_python(value)


class StoredField(models.JSONField):
    """Base class of JSON columns that are read and written as a record."""

    record: ClassVar[type[Stored]]
    descriptor_class = _StoredAttribute

    def to_python(self, value: Any) -> Any:
        """Return the record of a JSON object."""
        return self.record.from_json(value) if isinstance(value, dict) else value

    def get_prep_value(self, value: Any) -> Any:
        """Return the JSON object of a record."""
        return super().get_prep_value(value.to_json() if isinstance(value, Stored) else value)

    def deconstruct(self) -> Any:
        """Return a plain JSONField for migrations: the column is the same for every version of the record."""
        name, _path, args, kwargs = super().deconstruct()
        return name, "django.db.models.JSONField", args, kwargs


class HeadMetricsField(StoredField):
    """A column of HeadMetrics."""

    record = HeadMetrics


class EvaluationReportField(StoredField):
    """A column of EvaluationReport."""

    record = EvaluationReport
