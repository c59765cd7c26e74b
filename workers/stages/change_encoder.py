"""Change of a dataset's encoder: prepare the new encoder, switch over to it, or roll back.

A job does one of the three (ChangeEncoderPayload). Each step can be killed at any point and repeated:
existing embeddings and heads are reused, and the switch is one transaction.
"""

import time
from dataclasses import replace
from typing import Any

from django.db import InterfaceError, OperationalError
from django.utils.translation import gettext_lazy

from mekiki.config import disk
from mekiki.datasets.models import Dataset
from mekiki.datasets.selectors import image_count
from mekiki.jobs.models import Job
from mekiki.jobs.payloads import ChangeEncoderPayload
from mekiki.jobs.services import CancelledError, LostClaimError, WorkerStoppingError
from mekiki.labeling.selectors import active_labels, current_prompt_set
from mekiki.learning import models
from mekiki.learning.selectors import champion, unreadable_by
from mekiki.learning.services import (
    begin_platform_switch,
    drop_replaced_predictions,
    mark_change_ready,
    record_new_encoder,
    record_step_failure,
    resume_change,
    switch_over,
)
from workers.embeddings import Mirror
from workers.encoders import Encoder, EncoderError, VectorMismatchError
from workers.errors import StageError
from workers.heads.log import ignore_step
from workers.heads.scoring import Scores
from workers.heads.serial import load_head
from workers.locks import learning_lock
from workers.runner import Report, explain, explain_to_all
from workers.stages import encode
from workers.steps.after_scoring import ScoredHead, record_scores
from workers.steps.comparing import changed_predictions, on_audit_stream, on_reviewed_labels
from workers.steps.encoders import encoder_for
from workers.steps.predictions import score_images
from workers.steps.training import HeadInputs, best_head
from workers.steps.vectors import load_vectors

S = models.EncoderChange.State


def run(job: Job, report: Report) -> dict[str, Any]:
    """Do the requested step. On any error the encoder in use stays, and the change stores the reason."""
    assert job.dataset is not None
    change = resume_change(job=job)
    if change is None:  # The step was completed before the worker died; its follow-ups are separate jobs.
        with learning_lock(job.dataset, report):  # training may be storing predictions of its head
            drop_replaced_predictions(job.dataset)
        return {"state": "done"}
    try:
        if change.state == S.PREPARING:
            _prepare(change, job, report)
        begin_platform_switch(change=change, job=job)
        if change.state in {S.SWITCHING, S.TAKING_BACK}:
            return _switch(change, job, report)
        return {"state": change.state, "encoder": change.to_name}
    except (LostClaimError, WorkerStoppingError, OperationalError, InterfaceError, VectorMismatchError):
        raise  # another worker continues, or this one later
    except CancelledError:
        record_step_failure(change=change, code="cancelled", error="")
        raise
    except Exception as error:
        if disk.disk_problem_of(error):
            raise  # the job waits for room, then continues
        sentence, _retry = explain(error)
        code = str(getattr(error, "code", None) or type(error).__name__)
        record_step_failure(change=change, code=code, error=sentence, texts=explain_to_all(error))
        raise


def _prepare(change: models.EncoderChange, job: Job, report: Report) -> None:
    dataset = change.dataset
    report(stage="loading the encoder")
    begun = time.monotonic()
    encoder, row = encoder_for(dataset, change.to_name, report)
    facts: dict[str, Any] = {
        "device": encoder.device,
        "load_seconds": round(time.monotonic() - begun, 1),
        "context_length": encoder.context_length,
        "image_side": encoder.image_side,
    }
    record_new_encoder(change=change, encoder=row, facts=facts)
    begun = time.monotonic()
    embedded = encode.run(job, report)["embedded"]
    facts = {
        "embedded": embedded,
        "embed_seconds": round(time.monotonic() - begun, 1),
        "images": image_count(dataset),
        "unreadable": unreadable_by(dataset, row),
    }
    if facts["images"] and facts["unreadable"] >= facts["images"]:
        raise StageError(
            gettext_lazy("%(name)s could read none of the images. Choose another encoder."),
            {"name": change.to_name},
        )
    with learning_lock(dataset, report):
        head, comparison, long = _compared(change, encoder, row, job, report)
        facts["long_prompts"] = long
        mark_change_ready(change=change, head=head, facts=facts, comparison=comparison)


def _setting(dataset: Dataset, encoder: Encoder, row: models.Encoder) -> HeadInputs | None:
    """Return the setting of heads; None while the dataset has no labels with prompts."""
    labels, prompt_set = list(active_labels(dataset)), current_prompt_set(dataset)
    if not labels or prompt_set is None:
        return None
    return HeadInputs.of(dataset, encoder, row, labels, prompt_set)


def _compared(
    change: models.EncoderChange, encoder: Encoder, row: models.Encoder, job: Job, report: Report
) -> tuple[models.Head | None, dict[str, Any], list[dict[str, Any]]]:
    """Return (head, comparison, long prompts) of the new encoder, and store the long prompts.

    The head is the first head of the new encoder. The comparison shows old and new encoder side by side. The
    prompts are those too long for the new encoder.
    """
    dataset = change.dataset
    report(stage="reading the prompts")
    setting = _setting(dataset, encoder, row)
    if setting is None:
        return None, {}, []
    setting.record_long_prompts()
    mirror = load_vectors(row, dataset, report)
    head = best_head(setting, mirror, user=job.created_by, report=report, log=ignore_step)
    in_use = champion(dataset)
    if in_use is None:
        return head, {}, setting.long_as_json
    old_head = models.Head.objects.select_related("encoder").get(pk=in_use.pk)
    old_mirror = load_vectors(old_head.encoder, dataset, report)
    old: tuple[models.Head, Scores, Mirror] = (
        old_head,
        score_images(load_head(bytes(old_head.weights)), old_mirror, report),
        old_mirror,
    )
    new = (head, score_images(load_head(bytes(head.weights)), mirror, report), mirror)
    report(stage="comparing the encoders")
    changed, images = changed_predictions(old, new)
    comparison = {
        "old_head": old_head.version,
        "new_head": head.version,
        "new_kind": head.kind,
        "changed": changed,
        "images": images,
        "audit": on_audit_stream(dataset, old, new),
        "reviewed": on_reviewed_labels(
            dataset, _old_setting(change, old_head.encoder, setting, old_mirror), (setting, mirror)
        ),
    }
    return head, comparison, setting.long_as_json


def _old_setting(
    change: models.EncoderChange, row: models.Encoder, new: HeadInputs, mirror: Mirror
) -> tuple[HeadInputs, Mirror] | None:
    """Return the encoder in use as a setting with the same prompts.

    Return None if its weights cannot be loaded any more.
    """
    try:
        encoder, loaded = encoder_for(change.dataset, change.from_name)
    except EncoderError:
        return None
    if loaded.pk != row.pk:
        return None
    return HeadInputs.of(change.dataset, encoder, row, new.labels, new.prompt_set), mirror


def _switch(change: models.EncoderChange, job: Job, report: Report) -> dict[str, Any]:
    """Embed new images, make the head for today's labels and prompts, store its predictions, switch."""
    dataset, back = change.dataset, change.state == S.TAKING_BACK
    name = change.from_name if back else change.to_name
    expected = change.from_encoder if back else change.to_encoder
    report(stage="loading the encoder")
    encoder, row = encoder_for(dataset, name, report)
    if expected is not None and row.pk != expected.pk:
        raise StageError(
            gettext_lazy(
                "%(name)s has other weights (or another precision) on this worker than when its "
                "embeddings were computed. Restore the old weights, or prepare the change to this "
                "encoder again."
            ),
            {"name": name},
        )
    job.payload = replace(ChangeEncoderPayload.of(job), encoder=name).as_json()
    encode.run(job, report)
    with learning_lock(dataset, report):
        report(stage="reading the prompts")
        setting = _setting(dataset, encoder, row)
        if setting is None:
            switch_over(change=change, head=None, user=job.created_by)
            return {"state": change.state, "encoder": name}
        setting.record_long_prompts()
        mirror = load_vectors(row, dataset, report)
        head = best_head(setting, mirror, user=job.created_by, report=report, log=ignore_step)
        scores = score_images(load_head(bytes(head.weights)), mirror, report)

        def switch() -> None:
            report()  # the last point at which the job can be cancelled
            switch_over(change=change, head=head, user=job.created_by)

        recorded = record_scores(ScoredHead(head, scores, mirror), report, promotion=switch)
    return {
        "state": change.state,
        "encoder": name,
        "head": head.version,
        "predicted": recorded.predicted,
        "audited": recorded.audited,
        "queued": recorded.queued,
        "prompt_set": setting.prompt_set.version,
        "long_prompts": setting.long_as_json,
    }
