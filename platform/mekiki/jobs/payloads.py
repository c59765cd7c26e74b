"""The values that jobs carry for their stages: one class for each kind of job with such values.

Jobs store them in `Job.payload`. A field that is None is not stored. If an active job has the same key,
`enqueue` therefore leaves that value of the active job unchanged.
"""

from dataclasses import asdict, dataclass, fields
from typing import Self

from mekiki.jobs.models import Job


@dataclass(frozen=True)
class Payload:
    """The base class of the values of a job. `of` reads them, and `as_json` is what `enqueue` stores."""

    @classmethod
    def of(cls, job: Job) -> Self:
        """Return the values of a job. Other values of the job are ignored.

        Raises TypeError if a value is missing that every job of this kind has.
        """
        names = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in job.payload.items() if name in names})

    def as_json(self) -> dict[str, int | str | bool]:
        """Return the values that are not None, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class ImportImagesPayload(Payload):
    """`batch`: the id of the import."""

    batch: int


@dataclass(frozen=True)
class UndoImportPayload(Payload):
    """`batch`: the id of the import that is taken back."""

    batch: int


@dataclass(frozen=True)
class WatchFolderPayload(Payload):
    """`watch`: the id of the watched folder."""

    watch: int


@dataclass(frozen=True)
class EncodePayload(Payload):
    """`encoder`: the name of the encoder that embeds the images, None for the encoder of the dataset."""

    encoder: str | None = None


@dataclass(frozen=True)
class ChangeEncoderPayload(Payload):
    """`change`: the id of the change. `act`: a key of TRANSITIONS in learning/services/encoder_steps.py.

    `encoder` is the name of the encoder that embeds the images, as in EncodePayload.
    """

    change: int
    act: str
    encoder: str | None = None


@dataclass(frozen=True)
class PredictPayload(Payload):
    """`head`: the id of the head to promote, None for the head in use."""

    head: int | None = None


@dataclass(frozen=True)
class TrainPayload(Payload):
    """`trigger`: why the training starts, one of TrainingRun.Trigger."""

    trigger: str | None = None


@dataclass(frozen=True)
class FreezePayload(Payload):
    """`label_set`: the id of the label set."""

    label_set: int


@dataclass(frozen=True)
class RemoveEmbeddingsPayload(Payload):
    """`encoder_id`: the id of the encoder whose embeddings are removed."""

    encoder_id: int


@dataclass(frozen=True)
class IndexPayload(Payload):
    """`encoder`: the id of the encoder whose search index is built."""

    encoder: int


@dataclass(frozen=True)
class VerifyHeadPayload(Payload):
    """`head`: the id of the head whose training is repeated."""

    head: int


@dataclass(frozen=True)
class CertifyPayload(Payload):
    """`certificate`: the id of the certificate whose next step is due."""

    certificate: int


@dataclass(frozen=True)
class PlanCertificatePayload(Payload):
    """`plan`: the id of the plan whose forecast is computed."""

    plan: int


@dataclass(frozen=True)
class RebuildPicturesPayload(Payload):
    """`window`: the id of the pixel window, None for the images of old versions.

    `estimate`: whether the window is estimated first.
    """

    window: int | None = None
    estimate: bool | None = None


@dataclass(frozen=True)
class BulkActPayload(Payload):
    """`act`: the id of the act on many images."""

    act: int


@dataclass(frozen=True)
class AgreementPayload(Payload):
    """`study`: the id of the study whose report is computed."""

    study: int


@dataclass(frozen=True)
class NearDuplicatesPayload(Payload):
    """`grouping`: the id of the grouping to compute, None for a survey of several thresholds."""

    grouping: int | None = None


@dataclass(frozen=True)
class TypeMetadataPayload(Payload):
    """`scan`: whether the fields of all images are read first."""

    scan: bool | None = None
