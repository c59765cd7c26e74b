"""Trials of prompts: the workbench asks, the search worker computes, and the rows are the cache.

The rows are authoritative. If a message is lost, the page that waits asks again. A message that arrives twice
has no effect, because the row is already answered.

The result of a trial has these parts. Images and labels are ids.

- images: the number of embedded images. context: the number of tokens that the encoder reads.
- labels: the labels in their order. counts, before: the images of each label by the prompts, and by the
  prompts to compare with (null without them).
- changed: the number of images whose label changes. flips: [label before, label now, number, images].
- best: label → the images that show it best.
- prompts: label → for each prompt: tokens, best, brought, driven and, with enough training images,
  helped, hurt and hurt_folds (workers.heads.prompt_trial).
- pairs: [label, label, cosine, images between them, spread]; the most similar first.
- accuracy: on the audit sample, or null. reviewed: agreement with the labels of training images, or null.
"""

import hashlib
import json
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from mekiki.accounts.access import require_role
from mekiki.accounts.models import Role, User
from mekiki.config import clock
from mekiki.datasets.models import Dataset
from mekiki.jobs import broker
from mekiki.jobs.models import ACTIVE_STATES, Job, Kind
from mekiki.learning.explaining.requests import EXPIRES, NO_WORKER_AFTER, RESEND_AFTER, RETRY_AFTER
from mekiki.learning.messages import TRIALS
from mekiki.learning.models import Encoder, PromptTrial
from mekiki.learning.search.texts import QUEUE
from mekiki.learning.selectors import embedded_count

TASK = "workers.tasks.try_prompts"
# Increase it when the worker would compute another result for the same prompts.
RECIPE = 3
# A result is used again for this time. Audit answers that come later are in the next result.
# If more images are embedded by now, a result is used for RETRY_AFTER only.
FRESH = timedelta(minutes=5)
KEEP = 500
EMBEDDING_KINDS = (Kind.IMPORT_IMAGES, Kind.ENCODE)

# A waiting page occupies a thread of the web server. If all places are taken, a page asks again later.
_waiting = threading.BoundedSemaphore(4)

Texts = Mapping[int, Sequence[str]]  # label id → prompts


class Problem(StrEnum):
    """Reasons why prompts could not be tried."""

    NO_EMBEDDINGS = "no_embeddings"
    NO_PROMPTS = "no_prompts"  # detail: label
    NOT_LOADED = "not_loaded"  # detail: reason
    OTHER_WEIGHTS = "other_weights"
    OTHER_VECTORS = "other_vectors"
    FAILED = "failed"  # detail: reason
    NOT_SENT = "not_sent"
    NO_WORKER = "no_worker"


@dataclass(frozen=True)
class TrialState:
    """A result, a problem, or neither while a worker computes."""

    result: dict[str, Any] | None = None
    # Images are still embedded, or were embedded since the result: a later trial has more images.
    is_partial: bool = False
    problem: Problem | None = None
    detail: dict[str, Any] = field(default_factory=dict)

    @property
    def waiting(self) -> bool:
        """Return whether the answer is still pending."""
        return self.result is None and self.problem is None

    @property
    def is_temporary(self) -> bool:
        """Return whether the problem may end without a change of the prompts, so that a page asks again."""
        return self.problem is not None and self.problem not in (Problem.NO_PROMPTS, Problem.FAILED)

    @property
    def sentence(self) -> str:
        """Return what happened and what to do, or "" if there is no problem."""
        return TRIALS.render(self.problem, self.detail) if self.problem else ""


def try_prompts(
    *, dataset: Dataset, encoder: Encoder, prompts: Texts, before: Texts, user: User, wait: float = 0.0
) -> TrialState:
    """Return what the zero-shot labels are by `prompts`, compared with those by `before`.

    A result that is not known is requested from the search worker. Wait up to `wait` seconds for it. Other
    open requests of this user in the dataset are dropped, because the user has written something else since.
    Raises PermissionDenied unless the user is an admin of the dataset.
    """
    require_role(user, dataset, Role.ADMIN)
    row = _row(dataset, encoder, prompts, before, user)
    if row.answered_at is None and not _send_when_due(row):
        return TrialState(problem=Problem.NOT_SENT)
    if row.answered_at is None and wait and _waiting.acquire(blocking=False):
        try:
            _wait(row, wait)
        finally:
            _waiting.release()
    return _state(row)


def _is_partial(row: PromptTrial) -> bool:
    jobs = Job.objects.filter(dataset=row.dataset, kind__in=EMBEDDING_KINDS, state__in=ACTIVE_STATES)
    return jobs.exists() or _has_other_images(row)


def _has_other_images(row: PromptTrial) -> bool:
    """Return whether another number of images is embedded than the result is about."""
    embedded = embedded_count(encoder=row.encoder, dataset=row.dataset)
    return row.result is not None and row.result["images"] != embedded


def _wait(row: PromptTrial, seconds: float) -> None:
    deadline, pause = time.monotonic() + seconds, 0.02
    while row.answered_at is None and time.monotonic() < deadline:
        time.sleep(pause)
        pause = min(0.1, pause * 1.5)
        try:
            row.refresh_from_db(fields=["result", "problem", "detail", "answered_at"])
        except PromptTrial.DoesNotExist:  # the user has written something else in another window
            return


def trial_digest(encoder: Encoder, prompts: Texts, before: Texts) -> str:
    """Return the SHA-256 of a question.

    The number of images is no part of it. Otherwise each image embedded meanwhile would drop the trial that a
    page waits for.
    """
    parts = [[[pk, list(texts[pk])] for pk in sorted(texts)] for texts in (prompts, before)]
    question = json.dumps([RECIPE, encoder.pk, *parts], ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(question.encode()).hexdigest()


def _row(dataset: Dataset, encoder: Encoder, prompts: Texts, before: Texts, user: User) -> PromptTrial:
    now = clock.now()
    key = {"dataset": dataset, "encoder": encoder, "digest": trial_digest(encoder, prompts, before)}
    with transaction.atomic():
        others = PromptTrial.objects.filter(dataset=dataset, created_by=user, answered_at__isnull=True)
        others.exclude(digest=key["digest"]).delete()
        row, _made = PromptTrial.objects.get_or_create(
            **key,
            defaults={
                "prompts": {str(pk): list(texts) for pk, texts in prompts.items()},
                "before": {str(pk): list(texts) for pk, texts in before.items()},
                "created_by": user,
                "began_at": now,
                "used_at": now,
            },
        )
        PromptTrial.objects.filter(pk=row.pk).update(used_at=now)
    after = RETRY_AFTER if row.problem or _has_other_images(row) else FRESH
    if row.answered_at is not None and clock.has_passed(after, row.answered_at, at=now):
        again = PromptTrial.objects.filter(pk=row.pk, answered_at=row.answered_at)
        fresh: dict[str, Any] = {"result": None, "problem": "", "detail": {}, "answered_at": None}
        again.update(**fresh, asked_at=None, began_at=now)
        row.refresh_from_db()
    return row


def _send_when_due(row: PromptTrial) -> bool:
    """Send a message to the worker if one is due. Return False if the broker does not answer."""
    now = clock.now()
    if row.asked_at is not None and not clock.has_passed(RESEND_AFTER, row.asked_at, at=now):
        return True
    lately = row.asked_at is not None and not clock.has_passed(EXPIRES, row.asked_at, at=now)
    began = {} if lately else {"began_at": now}
    due = PromptTrial.objects.filter(pk=row.pk, answered_at__isnull=True, asked_at=row.asked_at)
    if not due.update(asked_at=now, **began):
        return True
    row.began_at = began.get("began_at", row.began_at)
    sent: list[bool] = []  # stays empty inside a transaction
    transaction.on_commit(lambda: sent.append(_send(row.pk)))
    return all(sent)


def _send(pk: int) -> bool:
    if broker.send(TASK, [pk], queue=QUEUE):
        return True
    PromptTrial.objects.filter(pk=pk, answered_at__isnull=True).update(asked_at=None)
    return False


def _state(row: PromptTrial) -> TrialState:
    if row.problem:
        return TrialState(problem=Problem(row.problem), detail=row.detail)
    if row.result is not None:
        return TrialState(result=row.result, is_partial=_is_partial(row))
    if clock.has_passed(NO_WORKER_AFTER, row.began_at):
        return TrialState(problem=Problem.NO_WORKER)
    return TrialState()


def waiting_trial(pk: int) -> PromptTrial | None:
    """Return a trial that waits for a worker, or None if it was answered, dropped, or is too old."""
    rows = PromptTrial.objects.select_related("dataset", "encoder")
    row = rows.filter(pk=pk, answered_at__isnull=True).first()
    if row is None or row.asked_at is None:
        return row
    now = clock.now()
    return None if row.asked_at <= now and clock.has_passed(EXPIRES, row.asked_at, at=now) else row


def trial_has_ended(pk: int) -> bool:
    """Return whether nobody waits for the trial any more, so that a worker can stop."""
    return not PromptTrial.objects.filter(pk=pk, answered_at__isnull=True).exists()


def record_trial(*, row: PromptTrial, result: dict[str, Any]) -> None:
    """Store the result of a trial."""
    PromptTrial.objects.filter(pk=row.pk, answered_at__isnull=True).update(
        result=result, problem="", detail={}, answered_at=Now()
    )


def record_trial_problem(*, row: PromptTrial, problem: Problem, **detail: Any) -> None:
    """Store why there is no result. Raises TypeError if a value of `detail` is no JSON scalar."""
    TRIALS.check(problem, detail)
    PromptTrial.objects.filter(pk=row.pk, answered_at__isnull=True).update(
        problem=problem, detail=detail, answered_at=Now()
    )


def measured_trials(dataset: Dataset, user: User) -> int:
    """Return how many different drafts of the user were measured on the audit sample and are still known."""
    rows = PromptTrial.objects.filter(dataset=dataset, created_by=user, result__isnull=False)
    return rows.exclude(Q(result__accuracy=None)).count()


def delete_unused_trials(keep: int = KEEP) -> int:
    """Delete the least recently used trials beyond `keep`, and return the number of deleted trials."""
    last = PromptTrial.objects.order_by("-used_at").values_list("used_at", flat=True)[keep : keep + 1]
    edge = next(iter(last), None)
    return PromptTrial.objects.filter(used_at__lte=edge).delete()[0] if edge else 0
