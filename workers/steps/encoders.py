"""The dataset's encoder, loaded once a process, and its text directions."""

from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db.models import Exists, OuterRef, QuerySet
from django.utils.translation import gettext_lazy
from numpy.typing import NDArray

from mekiki.config import clock
from mekiki.datasets.models import Dataset, Image
from mekiki.jobs.models import Job
from mekiki.labeling.models import Label, PromptSet
from mekiki.labeling.selectors import active_labels, current_prompt_set, prompts_of
from mekiki.learning import models
from mekiki.learning.selectors import champion, open_change
from mekiki.learning.services import record_long_prompts, register_encoder, request_change
from workers.encoders import Encoder, EncoderError, load_encoder
from workers.errors import StageError
from workers.heads.zero_shot import LabelWithoutPrompts, make_class_embeddings
from workers.runner import Report
from workers.steps.machine import report_machine
from workers.steps.probing import require_recorded_vectors

PAUSE = timedelta(hours=1)  # before the platform tries a change of its own again

# Who is told how far a download is; no part of what an encoder is cached by.
_downloading: ContextVar[Callable[[int, int], None] | None] = ContextVar("downloading", default=None)


@lru_cache(maxsize=2)
def _loaded(name: str, device: str | None) -> Encoder:
    # A worker process lives long and works for several datasets; two encoders at a time is what fits everywhere.
    folder = Path(settings.HOME) / "cache" / "encoders"
    encoder = load_encoder(name, device=device, progress=_downloading.get(), cache_dir=folder)
    if encoder.tower is None:  # ONNX forms run on the CPU beside any GPU: they tell nothing of the machine
        report_machine(encoder.device)
    return encoder


def _reporter(report: Report) -> Callable[[int, int], None]:
    """Progress of a download in megabytes. It raises what must stop the stage, and that stops the download."""
    begun = False

    def tell(done: int, total: int) -> None:
        nonlocal begun
        if not begun:
            begun = True
            report(stage="downloading the encoder", total=total // 1_000_000, unit="MB")
        report(done=done // 1_000_000, total=total // 1_000_000)

    return tell


def loaded(name: str, report: Report | None = None) -> Encoder:
    """The encoder of this name as it is here and now; nothing is put on record of it.

    EncoderError: it cannot be loaded, with the reason.
    """
    token = _downloading.set(_reporter(report) if report is not None else None)
    try:
        return _loaded(name, None if settings.DEVICE == "auto" else settings.DEVICE)
    finally:
        _downloading.reset(token)


def encoder_for(
    dataset: Dataset, name: str = "", report: Report | None = None
) -> tuple[Encoder, models.Encoder]:
    """The encoder of a dataset, or the one of this name, and its row, made when it is new.

    EncoderError: it cannot be loaded, with the reason. OtherVectorsError: it was loaded, and this worker computes
    other vectors with it than those on record.
    """
    encoder = loaded(name or dataset.encoder_name, report)
    probe = encoder.probe  # before it is put on record: it shows whether the encoder can be used at all
    row = register_encoder(
        name=encoder.name,
        digest=encoder.digest,
        precision=encoder.precision,
        dim=encoder.dim,
        logit_scale=encoder.logit_scale,
    )
    require_recorded_vectors(row, probe)
    return encoder, row


def missing(dataset: Dataset, encoder: models.Encoder) -> QuerySet[Image]:
    """Images without an embedding by this encoder that it has not failed to read."""
    here = {"encoder": encoder, "image": OuterRef("pk")}
    return Image.objects.filter(
        ~Exists(models.Embedding.objects.filter(**here)),
        ~Exists(models.EncodingProblem.objects.filter(**here)),
        dataset=dataset,
    )


def serving_encoder(job: Job, report: Report) -> tuple[Encoder, models.Encoder, models.Head | None] | None:
    """The encoder in use, its row, and the head in use. Call it under the learning lock: nothing moves then.

    None where the weights behind the encoder's name are others by now than those of the head in use: the platform
    changes over to them (a change of the encoder like any other), and the head in use goes on serving meanwhile.
    StageError: a change took the dataset away from what this worker loads.
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
                "This worker loads %(name)s as it was before the last change of the encoder: other weights, or another "
                "device. If that is meant, take the change back on the encoder's page; else let all workers use the "
                "same weights and the same kind of device. Everything that was stored is kept."
            ),
            {"name": dataset.encoder_name},
        )
    if not _stopped_lately(dataset, row):
        with suppress(ValidationError):  # a change is open already
            request_change(dataset=dataset, name=dataset.encoder_name)
    return None


def _stopped_lately(dataset: Dataset, row: models.Encoder) -> bool:
    """Did the platform's own change to these weights fail, or a person stop it, within the hour? It is not begun
    again at once, or a fault that stays would be tried without end and nobody could stop it."""
    last = models.EncoderChange.objects.filter(dataset=dataset).order_by("-pk").first()
    return (
        last is not None
        and last.created_by_id is None
        and last.to_encoder_id == row.pk
        and last.state in {models.EncoderChange.State.FAILED, models.EncoderChange.State.CANCELLED}
        and last.ended_at is not None
        and not clock.has_passed(PAUSE, last.ended_at)
    )


def read_by_the_candidate(dataset: Dataset, labels: list[Label], prompt_set: PromptSet) -> None:
    """Say which of the prompts are too long for the encoder that waits to be switched over to, if one does."""
    change = open_change(dataset)
    if change is None or change.state != models.EncoderChange.State.READY:
        return
    try:
        encoder, _row = encoder_for(dataset, change.to_name)
    except EncoderError:
        return  # the switch will say why; the prompts of the encoder in use do not wait for it
    by_label = prompts_of(prompt_set)
    prompts = [(label.name, text) for label in labels for text in by_label.get(label.pk, [])]
    record_long_prompts(change=change, long_prompts=long_ones(encoder, prompts))


def schema_of(dataset: Dataset) -> tuple[list[Label], PromptSet]:
    """The labels in use, in the order of their keys, and the current prompts. StageError without them."""
    labels, prompt_set = list(active_labels(dataset)), current_prompt_set(dataset)
    if not labels or prompt_set is None:
        raise StageError(
            gettext_lazy(
                "This dataset has no labels with prompts yet, so there is nothing to predict. "
                "Write them on the labels page: predicting starts by itself. Images and embeddings are kept."
            )
        )
    return labels, prompt_set


def long_ones(encoder: Encoder, prompts: list[tuple[str, str]]) -> list[dict[str, Any]]:
    """Of (label, prompt), those that do not fit the encoder's context, each with its tokens and how many fit."""
    counts = encoder.count_tokens([text for _label, text in prompts])
    return [
        {"label": label, "prompt": text, "tokens": count, "context": encoder.context_length}
        for (label, text), count in zip(prompts, counts, strict=True)
        if count > encoder.context_length
    ]


def directions(
    encoder: Encoder, labels: list[Label], prompt_set: PromptSet
) -> tuple[NDArray[np.float32], list[dict[str, Any]]]:
    """(L, d) unit text directions in the order of `labels`, and the prompts the encoder cannot read to their end.

    StageError names a label without a prompt.
    """
    by_label = prompts_of(prompt_set)
    owners, texts = [], []
    for index, label in enumerate(labels):
        for text in by_label.get(label.pk, []):
            owners.append(index)
            texts.append(text)
    long = long_ones(encoder, [(labels[owner].name, text) for owner, text in zip(owners, texts, strict=True)])
    try:
        return make_class_embeddings(
            encoder.encode_texts(texts), np.asarray(owners, np.int64), len(labels)
        ), long
    except LabelWithoutPrompts as error:
        raise StageError(
            gettext_lazy(
                "The label “%(label)s” has no prompt. Write at least one on the labels page; "
                "predicting starts by itself."
            ),
            {"label": labels[error.index].name},
        ) from error
