"""Repeated training of a head from its own inputs, to compare the bytes. It stores and promotes no head."""

import hashlib
from typing import Any

import numpy as np

from mekiki.config import disk
from mekiki.jobs.models import Job
from mekiki.jobs.payloads import VerifyHeadPayload
from mekiki.labeling.models import Label
from mekiki.learning import models
from mekiki.learning.repeating import DIFFERENT, IMPOSSIBLE, SAME
from mekiki.learning.services import record_verification
from mekiki.review.models import Decision
from mekiki.review.selectors import ImageVotes
from workers.encoders import EncoderError
from workers.errors import StageError
from workers.heads.log import ignore_step
from workers.heads.targets import make_targets
from workers.messages import encoder_problem
from workers.runner import Report
from workers.steps.encoders import load_cached_encoder
from workers.steps.probing import require_recorded_vectors
from workers.steps.training import (
    HeadInputs,
    fold_groups,
    trained_bytes,
    training_set_digest,
    votes_of,
    zero_shot_bytes,
)
from workers.steps.vectors import load_vectors, read_detail
from workers.versions import code_version


class NotRepeatableError(Exception):
    """An input of the head no longer exists.

    `code` and `facts` are the arguments of the sentences in mekiki.learning.repeating.
    """

    def __init__(self, code: str, **facts: Any) -> None:
        super().__init__(code)
        self.code, self.facts = code, facts


def run(job: Job, report: Report) -> dict[str, Any]:
    """Repeat the training of a head. The result is the job's result and is recorded as an event.

    If the worker is killed between the event and the end of the job, the check runs and is recorded once
    more. Both records are true.
    """
    dataset = job.dataset
    assert dataset is not None
    head = models.Head.objects.select_related("dataset", "encoder", "prompt_set").get(
        pk=VerifyHeadPayload.of(job).head, dataset=dataset
    )
    result: dict[str, Any] = {
        "version": head.version,
        "digest": head.digest,
        "code_before": head.code_version,
        "code_now": code_version(),
    }
    try:
        weights, facts = _repeat(head, report)
    except NotRepeatableError as stop:
        result |= {"outcome": IMPOSSIBLE, "code": stop.code, **stop.facts}
    else:
        # The head may have been replaced with or without its digest: both are compared.
        altered = hashlib.sha256(bytes(head.weights)).hexdigest() != head.digest
        computed = hashlib.sha256(weights).hexdigest()
        same = computed == head.digest and not altered
        result |= {"outcome": SAME if same else DIFFERENT, "computed": computed, "altered": altered, **facts}
    record_verification(head=head, result=result, user=job.created_by)
    return result


def _repeat(head: models.Head, report: Report) -> tuple[bytes, dict[str, Any]]:
    """Return (the bytes that the head's inputs give now, what changed about the inputs since).

    Raises NotRepeatableError if an input no longer exists.
    """
    training = _votes(head)
    if len(training) != head.n_labels:
        raise NotRepeatableError("images_deleted", missing=head.n_labels - len(training), total=head.n_labels)
    setting = _setting(head, report)
    if not head.is_trained:
        return zero_shot_bytes(setting), {}
    if not {votes.label for votes in training} <= set(head.label_ids):
        raise NotRepeatableError("labels_gone")
    X, detail = _vectors(head, training, report)
    y = make_targets(votes_of(training), head.label_ids)
    report(stage="training", unit="labels", total=len(y))
    weights, _trained = trained_bytes(
        setting, X, y, detail=detail, groups=fold_groups(training), seed=head.seed, log=ignore_step
    )
    report(done=len(y))
    return weights, {
        "relabelled": training_set_digest(head.dataset, training) != head.decisions_digest,
        "reembedded": _removed_since(head),
    }


def _votes(head: models.Head) -> list[ImageVotes]:
    """Return the decisions the head was trained on, by image.

    A decision never changes, so its id identifies its content.
    """
    rows = list(
        head.training_labels.order_by("image_id").values_list(
            "image_id", "label_id", "decision_id", "imported", "others", "near_group"
        )
    )
    others_of_all = [pk for *_row, others, _group in rows for pk in others]
    decisions = Decision.objects.filter(pk__in=others_of_all)
    label_of = dict(decisions.values_list("pk", "label_id"))
    if any(pk not in label_of for pk in others_of_all):
        raise NotRepeatableError("labels_gone")
    return [
        ImageVotes(image, label, decision, tuple((label_of[pk], pk) for pk in others), imported, group)
        for image, label, decision, imported, others, group in rows
    ]


def _setting(head: models.Head, report: Report) -> HeadInputs:
    """Return the setting the head was made for: its encoder, its labels in their order, its prompt set."""
    labels = Label.objects.in_bulk(head.label_ids)
    if len(labels) != len(head.label_ids):
        raise NotRepeatableError("labels_gone")
    report(stage="loading the encoder")
    name = head.encoder.name
    try:
        encoder = load_cached_encoder(
            name, report
        )  # this stores nothing, so other weights are not recorded as an encoder
        probe = encoder.probe
    except EncoderError as error:
        if disk.disk_problem_of(error):
            raise
        raise NotRepeatableError("encoder_gone", name=name, error=encoder_problem(error)) from error
    now, then = ((row.name, row.digest, row.precision) for row in (encoder, head.encoder))
    if now != then:
        raise NotRepeatableError("encoder_other", name=name, now=encoder.digest, then=head.encoder.digest)
    require_recorded_vectors(head.encoder, probe)
    report(stage="reading the prompts")
    try:
        return HeadInputs.of(
            head.dataset, encoder, head.encoder, [labels[pk] for pk in head.label_ids], head.prompt_set
        )
    except StageError as error:
        raise NotRepeatableError("prompts_gone", error=str(error)) from error


def _vectors(
    head: models.Head, training: list[ImageVotes], report: Report
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the embeddings (n, d) and the detail (n, k) of the training images: float16 made float32.

    A head that does not read the detail is the same with and without it in the training.
    """
    mirror = load_vectors(head.encoder, head.dataset, report)
    rows, embedded = mirror.rows_of([votes.image for votes in training])
    if not embedded.all():
        raise NotRepeatableError("embeddings_gone", missing=int((~embedded).sum()), total=len(training))
    detail = None
    if head.detail_id is not None:
        assert mirror.detail is not None  # load_vectors sets it
        with_row = read_detail(head.dataset, mirror, rows)
        if with_row is None or with_row[1].pk != head.detail_id:
            missing = int((mirror.detail.rows[rows] < 0).sum())
            raise NotRepeatableError("embeddings_gone", missing=missing, total=len(training))
        detail = with_row[0]
    return np.asarray(mirror.vectors[rows], np.float32), detail


def _removed_since(head: models.Head) -> bool:
    """Return whether the embeddings were removed after the head was made.

    The embeddings it was made from no longer exist then, even where others have replaced them.
    """
    removals = models.EmbeddingRemoval.objects.filter(dataset=head.dataset_id, encoder=head.encoder_id)
    return removals.filter(removed_at__gt=head.created_at).exists()
