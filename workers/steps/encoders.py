"""The encoder of a dataset, loaded once per process, and its class embeddings."""

from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from datetime import timedelta
from functools import lru_cache
from pathlib import Path

import numpy as np
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db.models import Exists, OuterRef, QuerySet
from django.utils.translation import gettext_lazy
from numpy.typing import NDArray

from mekiki.config import clock
from mekiki.datasets.models import Dataset, Image
from mekiki.jobs.models import Job
from mekiki.labeling.models import Label, Prompt, PromptSet
from mekiki.labeling.selectors import active_labels, current_prompt_set
from mekiki.learning import models
from mekiki.learning.selectors import champion, open_change
from mekiki.learning.services import record_long_prompts, register_encoder, request_change
from workers.encoders import Encoder, EncoderError, load_encoder
from workers.errors import StageError
from workers.heads.zero_shot import LabelWithoutPrompts, make_class_embeddings
from workers.runner import Report
from workers.steps.machine import report_machine
from workers.steps.probing import require_recorded_vectors

PAUSE = timedelta(hours=1)  # before the platform retries a change that it started itself

# The receiver of the progress of a download. It is not part of the cache key of an encoder.
_downloading: ContextVar[Callable[[int, int], None] | None] = ContextVar("downloading", default=None)


@lru_cache(maxsize=2)
def _loaded(name: str, device: str | None) -> Encoder:
    # A worker process serves several datasets for a long time. Two encoders fit into memory everywhere.
    folder = Path(settings.HOME) / "cache" / "encoders"
    encoder = load_encoder(name, device=device, progress=_downloading.get(), cache_dir=folder)
    if encoder.tower is None:  # ONNX forms run on the CPU even if there is a GPU
        report_machine(encoder.device)
    return encoder


def _reporter(report: Report) -> Callable[[int, int], None]:
    """Return a function that reports the progress of a download in megabytes.

    An exception that `report` raises to stop the stage also stops the download.
    """
    begun = False

    def tell(done: int, total: int) -> None:
        nonlocal begun
        if not begun:
            begun = True
            report(stage="downloading the encoder", total=total // 1_000_000, unit="MB")
        report(done=done // 1_000_000, total=total // 1_000_000)

    return tell


def load_cached_encoder(name: str, report: Report | None = None) -> Encoder:
    """Return the encoder of this name as this machine loads it now. Nothing is recorded about it.

    Raises EncoderError with the reason if it cannot be loaded.
    """
    token = _downloading.set(_reporter(report) if report is not None else None)
    try:
        return _loaded(name, None if settings.DEVICE == "auto" else settings.DEVICE)
    finally:
        _downloading.reset(token)


def encoder_for(
    dataset: Dataset, name: str = "", report: Report | None = None
) -> tuple[Encoder, models.Encoder]:
    """Return a dataset's encoder, or the encoder of this name, and its row. A new encoder gets a row.

    Raises EncoderError with the reason if it cannot be loaded, and OtherVectorsError if this worker computes
    other vectors with it than those on record.
    """
    encoder = load_cached_encoder(name or dataset.encoder_name, report)
    probe = encoder.probe  # before the encoder is recorded: the probe shows whether it can be used
    row = register_encoder(
        name=encoder.name,
        digest=encoder.digest,
        precision=encoder.precision,
        dim=encoder.dim,
        logit_scale=encoder.logit_scale,
    )
    require_recorded_vectors(row, probe)
    return encoder, row


def images_without_embedding(dataset: Dataset, encoder: models.Encoder) -> QuerySet[Image]:
    """Return the images that have no embedding by this encoder and that it has not failed to read."""
    here = {"encoder": encoder, "image": OuterRef("pk")}
    return Image.objects.filter(
        ~Exists(models.Embedding.objects.filter(**here)),
        ~Exists(models.EncodingProblem.objects.filter(**here)),
        dataset=dataset,
    )


def serving_encoder(job: Job, report: Report) -> tuple[Encoder, models.Encoder, models.Head | None] | None:
    """Return the encoder in use, its row, and the head in use. Call it under the learning lock.

    Return None if the weights behind the encoder's name are no longer those of the head in use. The platform
    then requests a change of the encoder to the new weights, and the head in use stays meanwhile.

    Raises StageError if a change moved the dataset away from the weights that this worker loads.
    """
    dataset = job.dataset
    assert dataset is not None
    dataset.refresh_from_db(fields=["encoder_name"])
    report(stage="loading the encoder")
    encoder, row = encoder_for(dataset, report=report)
    before = champion(dataset)
    if before is None or before.encoder_id == row.pk:
        return encoder, row, before
    left = models.EncoderChange.objects.filter(
        dataset=dataset,
        from_encoder=row,
        to_encoder=before.encoder,
        state=models.EncoderChange.State.SWITCHED,
    )
    if left.exists():
        raise StageError(
            gettext_lazy(
                "This worker loads %(name)s as it was before the last change of the encoder: other "
                "weights, or another device. If this is intended, revert the change on the page of "
                "the encoder. If not, all workers must use the same weights and the same kind of "
                "device. All stored data is kept."
            ),
            {"name": dataset.encoder_name},
        )
    if not _change_ended_recently(dataset, row):
        with suppress(ValidationError):  # a change is open already
            request_change(dataset=dataset, name=dataset.encoder_name)
    return None


def _change_ended_recently(dataset: Dataset, row: models.Encoder) -> bool:
    """Return whether the platform's own change to these weights failed or was stopped within the hour.

    Such a change does not start again at once. Otherwise a permanent fault would be retried without end, and
    nobody could stop it.
    """
    last = models.EncoderChange.objects.filter(dataset=dataset).order_by("-pk").first()
    return (
        last is not None
        and last.created_by_id is None
        and last.to_encoder_id == row.pk
        and last.state in {models.EncoderChange.State.FAILED, models.EncoderChange.State.CANCELLED}
        and last.ended_at is not None
        and not clock.has_passed(PAUSE, last.ended_at)
    )


def record_long_prompts_of_candidate(dataset: Dataset, labels: list[Label], prompt_set: PromptSet) -> None:
    """Record which prompts are too long for a prepared encoder that waits for the switch, if there is one."""
    change = open_change(dataset)
    if change is None or change.state != models.EncoderChange.State.READY:
        return
    try:
        encoder, row = encoder_for(dataset, change.to_name)
    except EncoderError:
        return  # the switch will report the reason; the prompts of the encoder in use do not wait for it
    long = long_prompts(encoder, row, ordered_prompts(labels, prompt_set))
    record_long_prompts(encoder=row, prompt_set=prompt_set, long_prompts=long)


def schema_of(dataset: Dataset) -> tuple[list[Label], PromptSet]:
    """Return the labels in use, in the order of their keys, and the current prompt set.

    Raises StageError if there are none.
    """
    labels, prompt_set = list(active_labels(dataset)), current_prompt_set(dataset)
    if not labels or prompt_set is None:
        raise StageError(
            gettext_lazy(
                "This dataset has no labels with prompts yet, so there is nothing to predict. Write "
                "them on the labels page: predicting starts automatically. Images and embeddings are "
                "kept."
            )
        )
    return labels, prompt_set


def ordered_prompts(labels: list[Label], prompt_set: PromptSet) -> list[Prompt]:
    """Return the prompts of these labels, in the order of `labels` and of the prompts of a label."""
    by_label: dict[int, list[Prompt]] = {label.pk: [] for label in labels}
    for prompt in prompt_set.prompts.select_related("label").order_by("label_id", "position"):
        by_label.get(prompt.label_id, []).append(prompt)
    return [prompt for prompts in by_label.values() for prompt in prompts]


def long_prompts(encoder: Encoder, row: models.Encoder, prompts: list[Prompt]) -> list[models.LongPrompt]:
    """Return the prompts that exceed the encoder's context, as rows that are not stored.

    `row` is the encoder's row in the database.
    """
    counts = encoder.count_tokens([prompt.text for prompt in prompts])
    return [
        models.LongPrompt(encoder=row, prompt=prompt, tokens=count, context=encoder.context_length)
        for prompt, count in zip(prompts, counts, strict=True)
        if count > encoder.context_length
    ]


def class_embeddings(encoder: Encoder, labels: list[Label], prompts: list[Prompt]) -> NDArray[np.float32]:
    """Return the class embeddings (L, d) of the prompts, in the order of `labels`.

    Raises StageError that names a label without a prompt.
    """
    place = {label.pk: index for index, label in enumerate(labels)}
    owners = np.asarray([place[prompt.label_id] for prompt in prompts], np.int64)
    try:
        texts = encoder.encode_texts([prompt.text for prompt in prompts])
        return make_class_embeddings(texts, owners, len(labels))
    except LabelWithoutPrompts as error:
        raise StageError(
            gettext_lazy(
                "The label “%(label)s” has no prompt. Write at least one on the labels page; "
                "predicting starts automatically."
            ),
            {"label": labels[error.index].name},
        ) from error
