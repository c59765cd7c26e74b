"""Train a head on the confirmed labels, and put it in use if it earns it."""

from typing import Any

import numpy as np
from django.db import InterfaceError, OperationalError

from mekiki.datasets.models import Dataset, Image
from mekiki.jobs.models import Job
from mekiki.jobs.services import CancelledError, LostClaimError
from mekiki.labeling.models import PromptSet
from mekiki.learning import models
from mekiki.learning.selectors import champion
from mekiki.learning.services import (
    decisions_digest,
    drop_replaced_predictions,
    finish_run,
    next_version,
    promote,
    record_head,
    run_of,
    seed_for,
)
from mekiki.review.selectors import training_labels
from workers import embeddings
from workers.embeddings import Mirror
from workers.heads.head import LinearHead
from workers.heads.scoring import Scores
from workers.heads.serial import dump_head, load_head
from workers.heads.train import train_head
from workers.locks import learning_lock
from workers.runner import Report, explain
from workers.steps.auditing import audited, evaluate
from workers.steps.choosing import fill
from workers.steps.encoders import asked_to_encode_first, directions, encoder_for, schema_of
from workers.steps.predictions import score_all, store_missing
from workers.steps.promotion import AuditComparison, Verdict, compare, judge, prompts_log_loss
from workers.versions import code_version


class _Log:
    """Lines a person can read later, kept with the run."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, line: str) -> None:
        self.lines.append(line)

    def __str__(self) -> str:
        return "\n".join(self.lines)


def run(job: Job, report: Report) -> dict[str, Any]:
    """Train, store predictions, promote or keep, evaluate, refill. A retry goes on with the head it made."""
    training_run, log = run_of(job), _Log()
    try:
        return _train(job, training_run, report, log)
    except (LostClaimError, OperationalError, InterfaceError):
        raise  # the run goes on in another worker, or later
    except CancelledError:
        finish_run(run=training_run, promoted=False, reason={"code": "cancelled"}, log=str(log))
        raise
    except Exception as error:
        sentence, _retry = explain(error)
        finish_run(
            run=training_run, promoted=False, reason={"code": "failed", "error": sentence}, log=str(log)
        )
        raise


def _train(job: Job, run_: models.TrainingRun, report: Report, log: _Log) -> dict[str, Any]:
    dataset = job.dataset
    assert dataset is not None
    labels, prompt_set = schema_of(dataset)
    report(stage="loading the encoder")
    encoder, row = encoder_for(dataset)
    with learning_lock(dataset, report):
        if asked_to_encode_first(job, row, champion(dataset)):
            finish_run(run=run_, promoted=False, reason={"code": "encoding_first"}, log=str(log))
            return {
                "head": None,
                "code": "encoding_first",
                "prompt_set": prompt_set.version,
                "long_prompts": [],
            }
        report(stage="reading the prompts")
        text, long = directions(encoder, labels, prompt_set)
        report(stage="reading embeddings")
        mirror = embeddings.load(
            row, dataset, progress=lambda done, total: report(done=done, total=total, unit="images")
        )
        label_ids = [label.pk for label in labels]
        rows, y, training = training_set(dataset, mirror, label_ids)
        if not len(rows):
            code = "no_labels" if len(mirror) else "no_embeddings"
            finish_run(run=run_, promoted=False, reason={"code": code}, log=str(log))
            return {"head": None, "code": code, "prompt_set": prompt_set.version, "long_prompts": long}
        digest = _digest(dataset, training)
        if run_.head is None and _is_same(champion(dataset), row, prompt_set, label_ids, digest):
            finish_run(run=run_, promoted=False, reason={"code": "same_head"}, log=str(log))
            return {
                "head": None,
                "code": "same_head",
                "prompt_set": prompt_set.version,
                "long_prompts": long,
            }
        X = np.asarray(mirror.vectors[rows], np.float32)
        if run_.head is None:
            report(stage="training", unit="labels", total=len(rows))
            seed = seed_for(dataset, "head", next_version(dataset))
            log(f"encoder {row.name} ({row.digest[:12]}), prompt set v{prompt_set.version}, seed {seed}")
            trained = train_head(X, y, text=text, logit_scale=encoder.logit_scale, seed=seed, log=log)
            report(done=len(rows))
            record_head(
                dataset=dataset,
                kind=models.Head.Kind.LOGISTIC,
                encoder=row,
                prompt_set=prompt_set,
                label_ids=label_ids,
                weights=dump_head(trained.head),
                calibrated=trained.head.calibrated,
                seed=seed,
                code_version=code_version(),
                metrics={
                    **trained.metrics,
                    "long_prompts": long,
                    "prompts_log_loss": prompts_log_loss(X, y, text, encoder.logit_scale),
                },
                training=training,
                training_digest=digest,
                run=run_,
                user=job.created_by,
            )
        head = run_.head
        assert head is not None
        scores = score_all(load_head(bytes(head.weights)), mirror, report)
        before, verdict = _judge(dataset, head, scores, mirror, report)
        log(f"verdict: {verdict.reason['code']}, {'promoted' if verdict.promote else 'not promoted'}")
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
            mirror = embeddings.load(before.encoder, dataset)
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


def training_set(
    dataset: Dataset, mirror: Mirror, label_ids: list[int]
) -> tuple[np.ndarray, np.ndarray, list[tuple[int, int, int]]]:
    """(rows (n,) of the mirror, label indices (n,), (image, label, decision) ids) a head may learn from.

    Labels outside `label_ids` (archived since) and images without an embedding are left out.
    """
    index = {label_id: i for i, label_id in enumerate(label_ids)}
    triples = [t for t in training_labels(dataset) if t[1] in index]
    rows, found = mirror.rows_of([image for image, _label, _decision in triples])
    kept = [t for t, there in zip(triples, found, strict=True) if there]
    return rows[found], np.array([index[label] for _image, label, _d in kept], np.int64), kept


def _is_same(
    head: models.Head | None,
    encoder: models.Encoder,
    prompt_set: PromptSet,
    label_ids: list[int],
    digest: str,
) -> bool:
    """Would training make the head in use once more? (Invariant 3: same inputs, same head.)"""
    return head is not None and (
        head.kind,
        head.encoder_id,
        head.prompt_set_id,
        head.label_ids,
        head.decisions_digest,
        head.code_version,
    ) == (models.Head.Kind.LOGISTIC, encoder.pk, prompt_set.pk, label_ids, digest, code_version())


def _digest(dataset: Dataset, training: list[tuple[int, int, int]]) -> str:
    names = {label.pk: label.name for label in dataset.labels.all()}
    hashes = dict(
        Image.objects.filter(pk__in=[image for image, _l, _d in training]).values_list("pk", "sha256")
    )
    return decisions_digest((hashes[image], names[label], decision) for image, label, decision in training)


def _judge(
    dataset: Dataset, head: models.Head, scores: Scores, mirror: Mirror, report: Report
) -> tuple[models.Head | None, Verdict]:
    """(the champion with its weights, whether the new head replaces it). A head already promoted stays so."""
    report(stage="comparing with the head in use")
    current = champion(dataset)
    cross = head.metrics.get("cross_validated_on_reviewed_labels") or {}
    before = (
        models.Head.objects.select_related("encoder", "prompt_set").get(pk=current.pk) if current else None
    )
    audit: AuditComparison | None = None
    change: dict[str, Any] = {}
    if before is not None and before.pk != head.pk and before.encoder_id == head.encoder_id:
        old: LinearHead = load_head(bytes(before.weights))
        old_said = np.asarray(before.label_ids)[score_all(old, mirror, report).label]
        new_said = np.asarray(head.label_ids)[scores.label]
        change = {"changed": int((old_said != new_said).sum()), "images": len(mirror)}
        rows, truth = audited(dataset, mirror, head.label_ids)
        if len(rows):
            true_ids = np.where(truth >= 0, np.asarray(head.label_ids)[truth], -1)
            audit = compare(old_said[rows], new_said[rows], true_ids)
    verdict = judge(
        labels=head.n_labels,
        log_loss=cross.get("log_loss"),
        prompts=head.metrics["prompts_log_loss"],
        audit=audit,
        schema_changed=before is not None
        and (sorted(before.label_ids) != sorted(head.label_ids) or before.encoder_id != head.encoder_id),
    )
    if before is None or before.pk == head.pk:
        verdict = Verdict(True, verdict.reason)
    replaced = before.version if before is not None and before.pk != head.pk else None
    return before, Verdict(verdict.promote, {**verdict.reason, **change, "compared_with": replaced})


__all__ = ["run", "training_set"]
