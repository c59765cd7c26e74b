"""Predict by the prompts; where a taught head is in use, fill in what it has not answered yet; where an admin
chose a head, predict by that one and put it in use.

Then estimate its accuracy on the audit sample and choose what people are asked next.
"""

from typing import Any

from django.utils.translation import gettext as _

from mekiki.jobs.models import Job
from mekiki.labeling.models import Label, PromptSet
from mekiki.learning import models
from mekiki.learning.selectors import champion, champion_since
from mekiki.learning.services import (
    chosen_with,
    drop_replaced_predictions,
    next_version,
    obstacle,
    promote,
    record_head,
    request_training,
    seed_for,
)
from mekiki.review.selectors import training_labels
from workers import embeddings
from workers.encoders import Encoder
from workers.errors import StageError
from workers.heads.serial import dump_head, load_head
from workers.heads.zero_shot import ZeroShotHead
from workers.locks import learning_lock
from workers.runner import Report
from workers.steps.auditing import evaluate
from workers.steps.choosing import fill
from workers.steps.encoders import asked_to_encode_first, directions, encoder_for, schema_of
from workers.steps.predictions import score_all, store_missing
from workers.versions import code_version


def run(job: Job, report: Report) -> dict[str, Any]:
    """Bring predictions, the estimate and the queue up to date with images, labels and prompts.

    payload: {"head": id} puts that head in use, after its predictions are stored.
    """
    dataset = job.dataset
    assert dataset is not None
    labels, prompt_set = schema_of(dataset)
    report(stage="loading the encoder")
    encoder, row = encoder_for(dataset)
    with learning_lock(dataset, report):
        before = champion(dataset)
        if "head" not in job.payload and asked_to_encode_first(job, row, before):
            return {
                "head": None,
                "code": "encoding_first",
                "prompt_set": prompt_set.version,
                "long_prompts": [],
            }
        report(stage="reading the prompts")
        _text, long = directions(encoder, labels, prompt_set)
        since = champion_since(dataset)
        taught = (
            before is not None and before.kind == models.Head.Kind.LOGISTIC and before.encoder_id == row.pk
        )
        # A head that a person chose knowing these prompts is not replaced because of them.
        kept = (
            before is not None
            and since is not None
            and before.encoder_id == row.pk
            and chosen_with(since, prompt_set)
            and set(before.label_ids) == {label.pk for label in labels}
        )
        if "head" in job.payload:
            head, reason = _by_hand(job, row, prompt_set)
            kept = True
        elif before is not None and (taught or kept):
            head = models.Head.objects.get(pk=before.pk)
            reason = {}
        else:
            head, reason = _by_prompts(job, encoder, row, labels, prompt_set, before)
        report(stage="reading embeddings")
        mirror = embeddings.load(
            row, dataset, progress=lambda done, total: report(done=done, total=total, unit="images")
        )
        scores = score_all(load_head(bytes(head.weights)), mirror, report)
        stored = store_missing(head, scores, mirror, report)
        if before is None or before.pk != head.pk:
            promote(head=head, reason=reason, user=job.created_by if "head" in job.payload else None)
            drop_replaced_predictions(dataset)
        report(stage="evaluating")
        evaluation = evaluate(dataset, head, scores, mirror)
        queued = fill(dataset, head, scores, mirror, report)
    stale = (head.prompt_set_id, head.label_ids) != (prompt_set.pk, [label.pk for label in labels])
    if kept:
        pass
    elif (taught and stale) or (not taught and _was_taught(before, row) and training_labels(dataset)):
        request_training(dataset=dataset, trigger=models.TrainingRun.Trigger.LABELS, user=job.created_by)
    return {
        "head": head.version,
        "prompt_set": prompt_set.version,
        "predicted": stored,
        "audited": evaluation.n if evaluation else 0,
        "queued": queued,
        "long_prompts": long,
    }


def _by_hand(job: Job, row: models.Encoder, prompt_set: PromptSet) -> tuple[models.Head, dict[str, Any]]:
    """The head an admin chose, and the reason to be recorded. StageError: it cannot be used (any more)."""
    dataset = job.dataset
    assert dataset is not None
    head = models.Head.objects.filter(dataset=dataset, pk=job.payload["head"]).first()
    if head is None:
        raise StageError(_("The head that was chosen does not exist. The head in use stays."))
    if head.encoder_id != row.pk:
        raise StageError(
            _(
                "Head #%(version)s was made for another encoder. The head in use stays; retrain to get a new one."
            )
            % {"version": head.version}
        )
    if why := obstacle(dataset, head):
        raise StageError(_("The head in use stays.") + " " + why)
    user = job.created_by.get_username() if job.created_by else ""
    return head, {"code": "by_hand", "user": user, "prompts": prompt_set.version}


def _was_taught(before: models.Head | None, encoder: models.Encoder) -> bool:
    """Did a head of another encoder, taught by people, have to make way?"""
    return before is not None and before.kind == models.Head.Kind.LOGISTIC and before.encoder_id != encoder.pk


def _by_prompts(
    job: Job,
    encoder: Encoder,
    row: models.Encoder,
    labels: list[Label],
    prompt_set: PromptSet,
    before: models.Head | None,
) -> tuple[models.Head, dict[str, Any]]:
    """The zero-shot head of these prompts, found or made, and why it is promoted."""
    dataset = job.dataset
    assert dataset is not None
    label_ids = [label.pk for label in labels]
    head = (
        models.Head.objects.filter(
            dataset=dataset,
            kind=models.Head.Kind.ZERO_SHOT,
            encoder=row,
            prompt_set=prompt_set,
            label_ids=label_ids,
        )
        .order_by("-version")
        .first()
    )
    if head is None:
        text, long = directions(encoder, labels, prompt_set)
        head = record_head(
            dataset=dataset,
            kind=models.Head.Kind.ZERO_SHOT,
            encoder=row,
            prompt_set=prompt_set,
            label_ids=label_ids,
            weights=dump_head(ZeroShotHead(text, encoder.logit_scale)),
            calibrated=False,
            seed=seed_for(dataset, "head", next_version(dataset)),
            code_version=code_version(),
            metrics={"long_prompts": long},
            user=job.created_by,
        )
    if before is None:
        return head, {"code": "first_head"}
    return head, {"code": "new_encoder" if before.encoder_id != row.pk else "new_prompts"}
