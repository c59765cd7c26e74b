"""Vectors of single prompts, which the search worker computes when somebody asks for the first time."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now
from numpy.typing import ArrayLike, NDArray

from mekiki.config import clock
from mekiki.jobs import broker
from mekiki.labeling.models import Prompt
from mekiki.learning.explaining.requests import (
    EXPIRES,
    NO_WORKER_AFTER,
    RESEND_AFTER,
    RETRY_AFTER,
    Problem,
)
from mekiki.learning.messages import EXPLANATIONS
from mekiki.learning.models import Encoder, PromptEmbedding
from mekiki.learning.search.texts import QUEUE

TASK = "workers.tasks.embed_prompts"


@dataclass(frozen=True)
class PromptVectors:
    """Vectors (d,) by prompt id if all are known, a problem, or neither while a worker computes them."""

    vectors: dict[int, NDArray[np.float32]] = field(default_factory=dict)
    problem: Problem | None = None
    detail: dict[str, Any] = field(default_factory=dict)
    waiting: bool = False


def find_prompt_vectors(*, encoder: Encoder, prompts: Sequence[Prompt]) -> PromptVectors:
    """Return the vectors of prompts by an encoder. Missing ones are requested from the search worker."""
    ids = [prompt.pk for prompt in prompts]
    rows = _rows(encoder, ids)
    missing = [pk for pk in ids if pk not in rows]
    if missing:
        new = [PromptEmbedding(encoder=encoder, prompt_id=pk, began_at=clock.now()) for pk in missing]
        PromptEmbedding.objects.bulk_create(new, ignore_conflicts=True)
        rows = _rows(encoder, ids)
    if all(row.vector is not None for row in rows.values()):
        return PromptVectors({pk: np.asarray(row.vector, np.float32) for pk, row in rows.items()})
    open_rows = [row for row in rows.values() if row.vector is None]
    if not _send_when_due(encoder, open_rows):
        return PromptVectors(problem=Problem.NOT_SENT)
    failed = next((row for row in open_rows if row.problem), None)
    if failed is not None:
        return PromptVectors(problem=Problem(failed.problem), detail=failed.detail)
    if any(clock.has_passed(NO_WORKER_AFTER, row.began_at) for row in open_rows):
        return PromptVectors(problem=Problem.NO_WORKER)
    return PromptVectors(waiting=True)


def _rows(encoder: Encoder, ids: list[int]) -> dict[int, PromptEmbedding]:
    return {row.prompt_id: row for row in PromptEmbedding.objects.filter(encoder=encoder, prompt__in=ids)}


def _send_when_due(encoder: Encoder, rows: list[PromptEmbedding]) -> bool:
    """Send one message for the rows that are due. Return False if the broker does not answer."""
    now = clock.now()
    due = []
    for row in rows:
        if row.problem:
            if row.answered_at is None or clock.has_passed(RETRY_AFTER, row.answered_at, at=now):
                row.problem, row.began_at = "", now
                due.append(row)
        elif row.asked_at is None or clock.has_passed(RESEND_AFTER, row.asked_at, at=now):
            if row.asked_at is not None and clock.has_passed(EXPIRES, row.asked_at, at=now):
                row.began_at = now
            due.append(row)
    if not due:
        return True
    # If several pages wait for the same prompts, only one of them finds rows to send.
    not_asked = Q(asked_at__isnull=True) | Q(asked_at__lte=now - RESEND_AFTER) | Q(asked_at__gt=now)
    sent = []
    for row in due:
        rows_due = PromptEmbedding.objects.filter(not_asked | ~Q(problem=""), pk=row.pk, vector__isnull=True)
        if rows_due.update(asked_at=now, began_at=row.began_at, problem="", detail={}, answered_at=None):
            sent.append(row.prompt_id)
    if not sent:
        return True
    done: list[bool] = []  # stays empty inside a transaction
    transaction.on_commit(lambda: done.append(_send(encoder.pk, sent)))
    return all(done)


def _send(encoder_id: int, prompt_ids: list[int]) -> bool:
    if broker.send(TASK, [encoder_id, prompt_ids], queue=QUEUE):
        return True
    # The next request of the page then tries again at once.
    open_rows = PromptEmbedding.objects.filter(encoder=encoder_id, prompt__in=prompt_ids, vector__isnull=True)
    open_rows.update(asked_at=None)
    return False


def waiting_prompts(encoder_id: int, prompt_ids: Sequence[int]) -> list[PromptEmbedding]:
    """Return the rows of these prompts that have no vector yet, with prompt and encoder."""
    rows = PromptEmbedding.objects.select_related("prompt", "encoder")
    return list(rows.filter(encoder=encoder_id, prompt__in=prompt_ids, answered_at__isnull=True))


def record_prompt_vectors(*, rows: Sequence[PromptEmbedding], vectors: ArrayLike) -> None:
    """Store the unit vectors (k, d) of prompts. Raises ValueError for a wrong shape or not finite values."""
    values = np.asarray(vectors, np.float32)
    dim = rows[0].encoder.dim if rows else 0
    if values.shape != (len(rows), dim) or not np.isfinite(values).all():
        raise ValueError(f"finite vectors ({len(rows)}, {dim}) are needed, got {values.shape}")
    for row, vector in zip(rows, values, strict=True):
        PromptEmbedding.objects.filter(pk=row.pk).update(
            vector=vector.tolist(), problem="", detail={}, answered_at=Now()
        )


def record_prompt_problem(*, rows: Sequence[PromptEmbedding], problem: Problem, **detail: Any) -> None:
    """Store why prompts have no vectors. Raises TypeError if a value of `detail` is no JSON scalar."""
    EXPLANATIONS.check(problem, detail)
    PromptEmbedding.objects.filter(pk__in=[row.pk for row in rows], vector__isnull=True).update(
        problem=problem, detail=detail, answered_at=Now()
    )
