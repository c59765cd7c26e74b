"""Prediction by the prompts, by the trained head in use, or by a head that an admin chose.

A trained head in use predicts only the images without a prediction. A chosen head is promoted after its
predictions are stored. Then the stage estimates the accuracy on the audit sample and chooses the next images
to review.
"""

from contextlib import suppress
from functools import partial
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from mekiki.jobs.models import Job
from mekiki.jobs.payloads import PredictPayload
from mekiki.labeling.models import PromptSet
from mekiki.learning import models
from mekiki.learning.selectors import champion_since
from mekiki.learning.services import (
    is_manual_choice_for,
    promote,
    promotion_obstacle,
    start_training,
)
from mekiki.quality.following import after_predictions
from workers.errors import StageError
from workers.heads.serial import load_head
from workers.locks import learning_lock
from workers.runner import Report
from workers.steps.after_scoring import ScoredHead, record_scores
from workers.steps.encoders import record_long_prompts_of_candidate, schema_of, serving_encoder
from workers.steps.predictions import score_images
from workers.steps.training import HeadInputs, zero_shot_head
from workers.steps.vectors import load_vectors


def run(job: Job, report: Report) -> dict[str, Any]:
    """Update predictions, accuracy estimate and queue for the current images, labels and prompts.

    PredictPayload may name a head, which is promoted after its predictions are stored.
    """
    dataset = job.dataset
    assert dataset is not None
    chosen_id = PredictPayload.of(job).head
    labels, prompt_set = schema_of(dataset)
    with learning_lock(dataset, report):
        serving = serving_encoder(job, report)
        if serving is None and chosen_id is not None:
            raise StageError(
                gettext_lazy(
                    "The head in use stays: the weights of its encoder were replaced on this "
                    "machine, and a change of the encoder is in progress. Choose a head after that."
                )
            )
        if serving is None:
            return {"head": None, "code": "encoding_first"}
        encoder, row, before = serving
        report(stage="reading the prompts")
        setting = HeadInputs.of(dataset, encoder, row, labels, prompt_set)
        setting.record_long_prompts()
        since = champion_since(dataset)
        is_trained = before is not None and before.is_trained
        # A head that a person chose with these prompts in use is not replaced because of them.
        kept = (
            before is not None
            and since is not None
            and is_manual_choice_for(since, prompt_set)
            and set(before.label_ids) == {label.pk for label in labels}
        )
        if chosen_id is not None:
            head, reason = _chosen_head(job, chosen_id, row, prompt_set)
            kept = True
        elif before is not None and (is_trained or kept):
            head = models.Head.objects.get(pk=before.pk)
            reason = {}
        else:
            head = zero_shot_head(setting, job.created_by)
            reason = {"code": "first_head" if before is None else "new_prompts"}
        mirror = load_vectors(row, dataset, report)
        scores = score_images(load_head(bytes(head.weights)), mirror, report)
        user = job.created_by if chosen_id is not None else None
        in_use = before is not None and before.pk == head.pk
        recorded = record_scores(
            ScoredHead(head, scores, mirror),
            report,
            promotion=None if in_use else partial(promote, head=head, reason=reason, user=user),
        )
        record_long_prompts_of_candidate(dataset, labels, prompt_set)
    after_predictions(dataset, job.created_by)
    stale = (head.prompt_set_id, head.label_ids) != (prompt_set.pk, [label.pk for label in labels])
    if kept:
        pass
    elif is_trained and stale:
        with suppress(ValidationError):  # no training data: all its labels were archived
            start_training(dataset=dataset, trigger=models.TrainingRun.Trigger.LABELS, user=job.created_by)
    return {
        "head": head.version,
        "prompt_set": prompt_set.version,
        "predicted": recorded.predicted,
        "audited": recorded.audited,
        "queued": recorded.queued,
        "long_prompts": setting.long_as_json,
    }


def _chosen_head(
    job: Job, head_id: int, row: models.Encoder, prompt_set: PromptSet
) -> tuple[models.Head, dict[str, Any]]:
    """Return the head that an admin chose, and the reason to record.

    Raises StageError if the head cannot be used (any more).
    """
    dataset = job.dataset
    assert dataset is not None
    head = models.Head.objects.filter(dataset=dataset, pk=head_id).first()
    if head is None:
        raise StageError(gettext_lazy("The head that was chosen does not exist. The head in use stays."))
    if head.encoder_id != row.pk:
        raise StageError(
            gettext_lazy(
                "Head #%(version)s was made for another encoder. "
                "The head in use stays; retrain to get a new one."
            ),
            {"version": head.version},
        )
    if promotion_obstacle(dataset, head):
        raise StageError(lambda: f"{_('The head in use stays.')} {promotion_obstacle(dataset, head)}")
    user = job.created_by.get_username() if job.created_by else ""
    return head, {"code": "by_hand", "user": user, "prompts": prompt_set.version}
