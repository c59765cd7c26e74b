"""The dataset's encoder, loaded once a process, and its text directions."""

from functools import lru_cache
from typing import Any

import numpy as np
from django.conf import settings
from django.db.models import Exists, OuterRef, QuerySet
from django.utils.translation import gettext as _
from numpy.typing import NDArray

from mekiki.datasets.models import Dataset, Image
from mekiki.jobs.models import Job, Kind
from mekiki.jobs.services import enqueue
from mekiki.labeling.models import Label, PromptSet
from mekiki.labeling.selectors import active_labels, current_prompt_set, prompts_of
from mekiki.learning import models
from mekiki.learning.services import register_encoder
from workers.encoders import Encoder, load_encoder
from workers.errors import StageError
from workers.heads.zero_shot import LabelWithoutPrompts, text_directions


@lru_cache(maxsize=2)
def _loaded(name: str, device: str | None) -> Encoder:
    # A worker process lives long and works for several datasets; two encoders at a time is what fits everywhere.
    return load_encoder(name, device=device)


def encoder_for(dataset: Dataset, name: str = "") -> tuple[Encoder, models.Encoder]:
    """The encoder of a dataset, or the one of this name, and its row.

    EncoderError: it cannot be loaded, with the reason.
    """
    encoder = _loaded(name or dataset.encoder_name, None if settings.DEVICE == "auto" else settings.DEVICE)
    row = register_encoder(
        name=encoder.name,
        digest=encoder.digest,
        precision=encoder.precision,
        dim=encoder.dim,
        logit_scale=encoder.logit_scale,
    )
    return encoder, row


def missing(dataset: Dataset, encoder: models.Encoder) -> QuerySet[Image]:
    """Images without an embedding by this encoder that it has not failed to read."""
    here = {"encoder": encoder, "image": OuterRef("pk")}
    return Image.objects.filter(
        ~Exists(models.Embedding.objects.filter(**here)),
        ~Exists(models.EncodingProblem.objects.filter(**here)),
        dataset=dataset,
    )


def asked_to_encode_first(job: Job, row: models.Encoder, before: models.Head | None) -> bool:
    """Has the encoder changed, with images it has not embedded? Then that is asked for, and the head in use
    goes on serving: a head of an encoder that knows none of the images would empty the queue.
    """
    dataset = job.dataset
    assert dataset is not None
    if before is None or before.encoder_id == row.pk or not missing(dataset, row).exists():
        return False
    enqueue(kind=Kind.ENCODE, dataset=dataset, user=job.created_by)
    return True


def schema_of(dataset: Dataset) -> tuple[list[Label], PromptSet]:
    """The labels in use, in the order of their keys, and the current prompts. StageError without them."""
    labels, prompt_set = list(active_labels(dataset)), current_prompt_set(dataset)
    if not labels or prompt_set is None:
        raise StageError(
            _(
                "This dataset has no labels with prompts yet, so there is nothing to predict. "
                "Write them on the labels page: predicting starts by itself. Images and embeddings are kept."
            )
        )
    return labels, prompt_set


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
    long = [{"label": labels[owners[i]].name, "prompt": texts[i]} for i in encoder.too_long(texts)]
    try:
        return text_directions(encoder.encode_texts(texts), np.asarray(owners, np.int64), len(labels)), long
    except LabelWithoutPrompts as error:
        raise StageError(
            _(
                "The label “%(label)s” has no prompt. Write at least one on the labels page; "
                "predicting starts by itself."
            )
            % {"label": labels[error.index].name}
        ) from error
