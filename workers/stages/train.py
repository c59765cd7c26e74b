"""Training of a head on the confirmed labels, and its promotion if it is better.

A run is three steps under the learning lock: `gather` reads the database, `compute` trains, scores and
decides without it, and `record` writes the results.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from django.db import InterfaceError, OperationalError

from mekiki.config import disk
from mekiki.jobs.models import Job
from mekiki.jobs.services import CancelledError, LostClaimError, WorkerStoppingError
from mekiki.learning import models, training_log
from mekiki.learning.reports import HeadMetrics
from mekiki.learning.selectors import champion
from mekiki.learning.services import finish_run, get_or_create_run, next_version, promote, write_log
from mekiki.review.errors import ReviewError
from mekiki.review.selectors import ImageVotes
from workers.embeddings import Mirror
from workers.encoders import VectorMismatchError
from workers.heads.head import LinearHead
from workers.heads.log import Log
from workers.heads.scoring import Scores
from workers.heads.serial import load_head
from workers.locks import learning_lock
from workers.runner import Report, explain_to_all
from workers.steps.after_scoring import ScoredHead, record_scores
from workers.steps.auditing import EmbeddedAuditSample, embedded_audit_sample, evaluate
from workers.steps.encoders import schema_of, serving_encoder
from workers.steps.predictions import score_images
from workers.steps.promotion import PromotionDecision, compare_on_audit, decide_promotion
from workers.steps.training import (
    HeadInputs,
    NewHead,
    compute_head,
    fold_groups,
    images_left_out,
    record_new_head,
    seed_of_head,
    training_set,
    training_set_digest,
)
from workers.steps.vectors import load_vectors, training_detail
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


class NothingToTrain(Exception):
    """The run ends without a new head. `code` is the reason, `facts` are further values of the result."""

    def __init__(self, code: str, **facts: Any) -> None:
        super().__init__(code)
        self.code, self.facts = code, facts


@dataclass(frozen=True)
class Gathered:
    """The inputs of a training run."""

    setting: HeadInputs
    mirror: Mirror
    X: np.ndarray  # (n, d) embeddings of the labelled images
    detail: tuple[np.ndarray, models.Encoder] | None  # (n, k) detail descriptors, and their row
    y: np.ndarray  # (n,) labels, or (n, L) soft labels
    training: list[ImageVotes]  # n, the decisions behind y
    digest: str  # of the decisions
    version: int  # of the head
    seed: int
    stored: models.Head | None  # the head that an earlier attempt of this run has stored
    before: models.Head | None  # the champion; None if an earlier attempt has promoted `stored`
    audit: EmbeddedAuditSample | None  # None without `before`
    near_left_out: int  # images that are left out as near-duplicates of the audit reserve

    @property
    def label_ids(self) -> list[int]:
        return self.stored.label_ids if self.stored is not None else self.setting.label_ids


@dataclass(frozen=True)
class Computed:
    """The results of a training run."""

    new: NewHead | None  # None if an earlier attempt has stored the head
    scores: Scores
    before_scores: Scores | None  # of the champion, if it is another head
    verdict: PromotionDecision


def run(job: Job, report: Report) -> dict[str, Any]:
    """Train, store predictions, promote or keep, evaluate, refill. A retry reuses the head it made."""
    training_run = get_or_create_run(job)
    log = _Log(training_run, job.attempt)
    try:
        return _train(job, training_run, report, log)
    except (LostClaimError, WorkerStoppingError, OperationalError, InterfaceError, VectorMismatchError):
        raise  # the run continues in another worker, or later
    except CancelledError:
        log("stopped")
        finish_run(run=training_run, promoted=False, reason={"code": "cancelled"}, log=str(log))
        raise
    except Exception as error:
        if disk.disk_problem_of(error):
            raise  # the job waits for room, then continues
        texts = explain_to_all(error)
        log("failed", error=texts)
        finish_run(run=training_run, promoted=False, reason={"code": "failed", "error": texts}, log=str(log))
        raise


def _train(job: Job, run_: models.TrainingRun, report: Report, log: _Log) -> dict[str, Any]:
    assert job.dataset is not None
    with learning_lock(job.dataset, report):
        try:
            gathered = gather(job, run_, report, log)
        except NothingToTrain as stop:
            finish_run(run=run_, promoted=False, reason={"code": stop.code}, log=str(log))
            return {"head": None, "code": stop.code, **stop.facts}
        computed = compute(gathered, report, log)
        return record(job, run_, gathered, computed, report, log)


def gather(job: Job, run_: models.TrainingRun, report: Report, log: Log) -> Gathered:
    """Return the inputs of a training run. Raises NothingToTrain if there is no head to train."""
    dataset = job.dataset
    assert dataset is not None
    labels, prompt_set = schema_of(dataset)
    serving = serving_encoder(job, report)
    if serving is None:
        raise NothingToTrain("encoding_first")
    encoder, row, in_use = serving
    if run_.head is not None and run_.head.encoder_id != row.pk:
        # Its head was made before the encoder changed and does not fit the vectors of this encoder.
        raise NothingToTrain("encoder_switched")
    report(stage="reading the prompts")
    setting = HeadInputs.of(dataset, encoder, row, labels, prompt_set)
    setting.record_long_prompts()
    facts = {"prompt_set": prompt_set.version, "long_prompts": setting.long_as_json}
    mirror = load_vectors(row, dataset, report)
    try:
        left_out = images_left_out(run_)
    except ReviewError as error:
        raise NothingToTrain("view_changed", **facts) from error
    rows, y, training, near_left_out = training_set(dataset, mirror, setting.label_ids, left_out)
    if run_.without_query and not run_.without_view:
        log("without_images", images=len(left_out))
    elif run_.without_query:
        log("without_view", view=run_.without_view, query=run_.without_query, images=len(left_out))
    if not len(rows):
        raise NothingToTrain("no_labels" if len(mirror) else "no_embeddings", **facts)
    digest = training_set_digest(dataset, training)
    detail = training_detail(dataset, mirror, rows)
    if run_.head is None and _repeats_head_in_use(in_use, setting, digest, detail is not None):
        raise NothingToTrain("same_head", **facts)
    version = run_.head.version if run_.head is not None else next_version(dataset)
    current, before = champion(dataset), None
    if current is not None and current.pk != run_.head_id:
        before = models.Head.objects.select_related("encoder", "prompt_set").get(pk=current.pk)
    label_ids = run_.head.label_ids if run_.head is not None else setting.label_ids
    return Gathered(
        setting=setting,
        mirror=mirror,
        X=np.asarray(mirror.vectors[rows], np.float32),
        detail=detail,
        y=y,
        training=training,
        digest=digest,
        version=version,
        seed=seed_of_head(dataset, version),
        stored=run_.head,
        before=before,
        audit=embedded_audit_sample(dataset, mirror, label_ids) if before is not None else None,
        near_left_out=near_left_out,
    )


def _repeats_head_in_use(
    head: models.Head | None, setting: HeadInputs, digest: str, with_detail: bool
) -> bool:
    """Return whether training would make the head in use again (invariant 3: same inputs, same head)."""
    return head is not None and (
        head.is_trained,
        head.encoder_id,
        head.prompt_set_id,
        head.label_ids,
        head.decisions_digest,
        head.code_version,
        bool(head.metrics.detail_strengths),
    ) == (
        True,
        setting.row.pk,
        setting.prompt_set.pk,
        setting.label_ids,
        digest,
        code_version(),
        with_detail,
    )


def compute(gathered: Gathered, report: Report, log: Log) -> Computed:
    """Train a head, score every image, and decide whether to promote. It reads no database.

    `report` and `log` may raise to stop the run.
    """
    new, stored = None, gathered.stored
    if stored is None:
        log("learning_from", labels=len(gathered.y), images=len(gathered.mirror))
        if gathered.near_left_out:
            log("near_audit_left_out", images=gathered.near_left_out)
        new = compute_head(
            gathered.setting,
            gathered.X,
            gathered.y,
            detail=gathered.detail,
            groups=fold_groups(gathered.training),
            seed=gathered.seed,
            report=report,
            log=log,
        )
        head, metrics = load_head(new.weights), new.metrics
    else:
        head, metrics = load_head(bytes(stored.weights)), stored.metrics
    log("predicting", head=gathered.version, images=len(gathered.mirror))
    scores = score_images(head, gathered.mirror, report)
    report(stage="comparing with the head in use")
    before_scores = None
    if gathered.before is not None:
        champion_head: LinearHead = load_head(bytes(gathered.before.weights))
        before_scores = score_images(champion_head, gathered.mirror, report)
    n_labels = len(gathered.y) if stored is None else stored.n_labels
    verdict = _verdict(gathered, metrics, n_labels, scores, before_scores)
    return Computed(new, scores, before_scores, verdict)


def _verdict(
    gathered: Gathered, metrics: HeadMetrics, n_labels: int, scores: Scores, before_scores: Scores | None
) -> PromotionDecision:
    """Return whether the head replaces the champion. A head that is already promoted stays promoted."""
    audit, before, change = None, gathered.before, {}
    label_ids = np.asarray(gathered.label_ids)
    if before is not None and before_scores is not None and gathered.audit is not None:
        old_labels = np.asarray(before.label_ids)[before_scores.label]
        new_labels = label_ids[scores.label]
        change = {"changed": int((old_labels != new_labels).sum()), "images": len(gathered.mirror)}
        rows, truth = gathered.audit.rows, gathered.audit.truth
        if len(rows):
            true_ids = np.where(truth >= 0, label_ids[truth], -1)
            audit = compare_on_audit(old_labels[rows], new_labels[rows], true_ids)
    assert metrics.prompts_log_loss is not None  # every trained head has it
    in_use_labels = before.label_ids if before is not None else gathered.label_ids
    verdict = decide_promotion(
        labels=n_labels,
        log_loss=metrics.log_loss,
        prompts=metrics.prompts_log_loss,
        audit=audit,
        schema_changed=sorted(in_use_labels) != sorted(gathered.label_ids),
    )
    replaced = before.version if before is not None else None
    return PromotionDecision(
        verdict.promote or before is None, {**verdict.reason, **change, "compared_with": replaced}
    )


def record(
    job: Job, run_: models.TrainingRun, gathered: Gathered, computed: Computed, report: Report, log: _Log
) -> dict[str, Any]:
    """Store the head and what follows from its scores; return the result of the job.

    The head is linked to the run first: a retry continues with it.
    """
    head, verdict, mirror = gathered.stored, computed.verdict, gathered.mirror
    if computed.new is not None:
        head = record_new_head(
            gathered.setting,
            computed.new,
            gathered.training,
            gathered.digest,
            run=run_,
            user=job.created_by,
        )
    assert head is not None
    log("verdict", promoted=verdict.promote, reason=verdict.reason)
    finish = partial(finish_run, run=run_, promoted=verdict.promote, reason=verdict.reason, log=str(log))
    if verdict.promote:
        recorded = record_scores(
            ScoredHead(head, computed.scores, mirror),
            report,
            promotion=partial(promote, head=head, reason=verdict.reason, user=job.created_by),
            evaluated=finish,
        )
    else:
        assert gathered.before is not None and computed.before_scores is not None
        report(stage="evaluating")
        evaluate(head.dataset, head, computed.scores, mirror)
        finish()
        recorded = record_scores(
            ScoredHead(gathered.before, computed.before_scores, mirror), report, store=False
        )
    return {
        "head": head.version,
        "promoted": verdict.promote,
        "code": verdict.reason["code"],
        "labels": head.n_labels,
        "audited": recorded.audited,
        "queued": recorded.queued,
        "prompt_set": gathered.setting.prompt_set.version,
        "long_prompts": gathered.setting.long_as_json,
    }
