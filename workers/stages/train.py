"""Training of a head on the confirmed labels, and its promotion if it is better."""

from typing import Any

import numpy as np
from django.db import InterfaceError, OperationalError

from mekiki.config import disk
from mekiki.datasets.models import Dataset
from mekiki.jobs.models import Job
from mekiki.jobs.services import CancelledError, LostClaimError, WorkerStopsError
from mekiki.labeling.models import PromptSet
from mekiki.learning import models, training_log
from mekiki.learning.selectors import champion
from mekiki.learning.services import (
    drop_replaced_predictions,
    finish_run,
    get_or_create_run,
    promote,
    write_log,
)
from workers import embeddings
from workers.embeddings import Mirror
from workers.encoders import OtherVectorsError
from workers.heads.head import LinearHead
from workers.heads.scoring import Scores
from workers.heads.serial import load_head
from workers.locks import learning_lock
from workers.runner import Report, explain_to_all
from workers.steps.auditing import audited, evaluate
from workers.steps.choosing import fill
from workers.steps.encoders import schema_of, serving_encoder
from workers.steps.predictions import score_all, store_missing
from workers.steps.promotion import AuditComparison, Verdict, compare, judge
from workers.steps.teaching import Setting, digest_of, train_new_head, training_set
from workers.versions import code_version


class _Log:
    """The log of a training run, stored line by line as codes with values and translated when read.

    A retry adds to the lines of the attempts before.
    """

    def __init__(self, run: models.TrainingRun, attempt: int) -> None:
        self.run, self.attempt, self.text = run, attempt, run.log
        if self.text or attempt > 1:
            self("tried_again", attempt=attempt)

    def __call__(self, code: str, /, **values: Any) -> None:
        self.text = training_log.add(self.text, code, values)
        write_log(run=self.run, attempt=self.attempt, log=self.text)

    def __str__(self) -> str:
        return self.text


def run(job: Job, report: Report) -> dict[str, Any]:
    """Train, store predictions, promote or keep, evaluate, refill. A retry reuses the head it made."""
    training_run = get_or_create_run(job)
    log = _Log(training_run, job.attempt)
    try:
        return _train(job, training_run, report, log)
    except (LostClaimError, WorkerStopsError, OperationalError, InterfaceError, OtherVectorsError):
        raise  # the run continues in another worker, or later
    except CancelledError:
        log("stopped")
        finish_run(run=training_run, promoted=False, reason={"code": "cancelled"}, log=str(log))
        raise
    except Exception as error:
        if disk.no_room(error):
            raise  # the job waits for room, then continues
        texts = explain_to_all(error)
        log("failed", error=texts)
        finish_run(run=training_run, promoted=False, reason={"code": "failed", "error": texts}, log=str(log))
        raise


def _train(job: Job, run_: models.TrainingRun, report: Report, log: _Log) -> dict[str, Any]:
    dataset = job.dataset
    assert dataset is not None
    labels, prompt_set = schema_of(dataset)
    with learning_lock(dataset, report):
        serving = serving_encoder(job, report)
        if serving is None:
            finish_run(run=run_, promoted=False, reason={"code": "encoding_first"}, log=str(log))
            return {"head": None, "code": "encoding_first"}
        encoder, row, in_use_now = serving
        if run_.head is not None and run_.head.encoder_id != row.pk:
            # Its head was made before the encoder changed and does not fit the vectors of this encoder.
            finish_run(run=run_, promoted=False, reason={"code": "encoder_switched"}, log=str(log))
            return {"head": None, "code": "encoder_switched"}
        report(stage="reading the prompts")
        setting = Setting.of(dataset, encoder, row, labels, prompt_set)
        setting.record_long_prompts()
        long = setting.long_as_json
        report(stage="reading embeddings")
        mirror = embeddings.load(
            row, dataset, progress=lambda done, total: report(done=done, total=total, unit="images")
        )
        label_ids = setting.label_ids
        rows, y, training = training_set(dataset, mirror, label_ids)
        if not len(rows):
            code = "no_labels" if len(mirror) else "no_embeddings"
            finish_run(run=run_, promoted=False, reason={"code": code}, log=str(log))
            return {"head": None, "code": code, "prompt_set": prompt_set.version, "long_prompts": long}
        digest = digest_of(dataset, training)
        if run_.head is None and _is_same(in_use_now, row, prompt_set, label_ids, digest):
            finish_run(run=run_, promoted=False, reason={"code": "same_head"}, log=str(log))
            return {
                "head": None,
                "code": "same_head",
                "prompt_set": prompt_set.version,
                "long_prompts": long,
            }
        X = np.asarray(mirror.vectors[rows], np.float32)
        if run_.head is None:
            log("learning_from", labels=len(rows), images=len(mirror))
            train_new_head(
                setting, X, y, training, digest, run=run_, user=job.created_by, report=report, log=log
            )
        head = run_.head
        assert head is not None
        scores = score_all(load_head(bytes(head.weights)), mirror, report)
        log("predicting", head=head.version, images=len(mirror))
        before, verdict = _judge(dataset, head, scores, mirror, report)
        log("verdict", promoted=verdict.promote, reason=verdict.reason)
        if verdict.promote:
            store_missing(head, scores, mirror, report)
            promote(head=head, reason=verdict.reason, user=job.created_by)
            drop_replaced_predictions(dataset)
        report(stage="evaluating")
        evaluation = evaluate(dataset, head, scores, mirror)
        finish_run(run=run_, promoted=verdict.promote, reason=verdict.reason, log=str(log))
        if verdict.promote:
            in_use, in_use_scores = head, scores
        else:
            assert before is not None
            in_use = before
            in_use_scores = score_all(load_head(bytes(before.weights)), mirror, report)
            evaluation = evaluate(dataset, in_use, in_use_scores, mirror)
        queued = fill(dataset, in_use, in_use_scores, mirror, report)
    return {
        "head": head.version,
        "promoted": verdict.promote,
        "code": verdict.reason["code"],
        "labels": head.n_labels,
        "audited": evaluation.n if evaluation else 0,
        "queued": queued,
        "prompt_set": prompt_set.version,
        "long_prompts": long,
    }


def _is_same(
    head: models.Head | None,
    encoder: models.Encoder,
    prompt_set: PromptSet,
    label_ids: list[int],
    digest: str,
) -> bool:
    """Return whether training would make the head in use again (invariant 3: same inputs, same head)."""
    return head is not None and (
        head.is_trained,
        head.encoder_id,
        head.prompt_set_id,
        head.label_ids,
        head.decisions_digest,
        head.code_version,
    ) == (True, encoder.pk, prompt_set.pk, label_ids, digest, code_version())


def _judge(
    dataset: Dataset, head: models.Head, scores: Scores, mirror: Mirror, report: Report
) -> tuple[models.Head | None, Verdict]:
    """Return (the champion with its weights, whether the new head replaces it).

    A head that is already promoted stays promoted.
    """
    report(stage="comparing with the head in use")
    current = champion(dataset)
    cross = head.metrics.get("cross_validated_on_reviewed_labels") or {}
    before = (
        models.Head.objects.select_related("encoder", "prompt_set").get(pk=current.pk) if current else None
    )
    audit: AuditComparison | None = None
    change: dict[str, Any] = {}
    if before is not None and before.pk != head.pk:
        old: LinearHead = load_head(bytes(before.weights))
        old_labels = np.asarray(before.label_ids)[score_all(old, mirror, report).label]
        new_labels = np.asarray(head.label_ids)[scores.label]
        change = {"changed": int((old_labels != new_labels).sum()), "images": len(mirror)}
        sample = audited(dataset, mirror, head.label_ids)
        rows, truth = sample.rows, sample.truth
        if len(rows):
            true_ids = np.where(truth >= 0, np.asarray(head.label_ids)[truth], -1)
            audit = compare(old_labels[rows], new_labels[rows], true_ids)
    verdict = judge(
        labels=head.n_labels,
        log_loss=cross.get("log_loss"),
        prompts=head.metrics["prompts_log_loss"],
        audit=audit,
        schema_changed=before is not None and sorted(before.label_ids) != sorted(head.label_ids),
    )
    if before is None or before.pk == head.pk:
        verdict = Verdict(True, verdict.reason)
    replaced = before.version if before is not None and before.pk != head.pk else None
    return before, Verdict(verdict.promote, {**verdict.reason, **change, "compared_with": replaced})


__all__ = ["run", "training_set"]
