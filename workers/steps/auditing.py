"""Accuracy of a head, estimated from the blind audit stream only (design.md, invariant 4)."""

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mekiki.datasets.models import Dataset
from mekiki.labeling.models import Label
from mekiki.learning import models
from mekiki.learning.reports import EvaluationReport
from mekiki.learning.services import record_evaluation
from mekiki.review.audit_counts import audit_counts
from mekiki.review.near_duplicates import near_trained_images
from mekiki.review.selectors import AuditStratum, audit_sample, audit_strata, training_labels
from workers.embeddings import Mirror
from workers.evaluation.metrics import MacroRecall, accuracy, confusion_matrix, macro_recall, per_label
from workers.evaluation.strata import weigh
from workers.heads.scoring import Scores
from workers.steps.pool_figure import measure_pool


@dataclass(frozen=True)
class EmbeddedAuditSample:
    """The n audited images that have an embedding.

    The truth is −1 for an image whose true label the head does not know or whose label was archived. Every
    prediction for it is wrong.
    """

    rows: NDArray[np.int64]  # (n,) rows of the mirror
    truth: NDArray[np.int64]  # (n,) indices into the head's labels, or −1
    label_ids: NDArray[np.int64]  # (n,) the given labels, including labels that the head does not know
    stratum: NDArray[np.int64]  # (n,) indices into `strata`
    weights: NDArray[np.float64]  # (n,) relative number of images that each one represents, mean 1
    strata: list[dict[str, Any]]  # per stratum: since, until, images, audited
    layers: list[AuditStratum]  # the same strata, with their imports
    left_out: int  # images in strata without an audited image: the estimate does not cover them
    archived: int  # images of the n whose label was archived
    not_embedded: int  # images of the sample without an embedding; they are not among the n


@dataclass(frozen=True)
class AuditSample:
    """The recorded audit sample: n images, their labels and strata.

    An image whose label was archived has the label −1 for every head, because it was not judged by the
    current labels. It stays in the sample, because removing it could improve the accuracy.
    """

    images: list[int]
    labels: list[int]
    given: list[int]  # the given labels, including archived ones
    archived: NDArray[np.bool_]  # (n,)
    stratum: NDArray[np.int64]  # (n,) indices into `strata`
    strata: list[AuditStratum]


def drawn_for_audit(dataset: Dataset) -> AuditSample:
    """Return the audit sample, with or without embeddings."""
    # Read the strata first: an image that arrives between the two reads has no audit answer yet.
    strata = audit_strata(dataset)
    sample = audit_sample(dataset)
    of_batch = {batch: h for h, layer in enumerate(strata) for batch in layer.batches}
    stratum = np.array([of_batch[batch] for _image, _label, batch in sample], np.int64)
    old = set(Label.objects.filter(dataset=dataset, archived_at__isnull=False).values_list("pk", flat=True))
    return AuditSample(
        [image for image, _label, _batch in sample],
        [-1 if label in old else label for _image, label, _batch in sample],
        [label or -1 for _image, label, _batch in sample],
        np.array([label in old for _image, label, _batch in sample], np.bool_),
        stratum,
        strata,
    )


def embedded_audit_sample(dataset: Dataset, mirror: Mirror, label_ids: list[int]) -> EmbeddedAuditSample:
    """Return the audited images that have an embedding, weighted by their time of import."""
    index = {label_id: i for i, label_id in enumerate(label_ids)}
    drawn = drawn_for_audit(dataset)
    rows, embedded = mirror.rows_of(drawn.images)
    truth = np.array([index.get(label, -1) for label in drawn.labels], np.int64)[embedded]
    stratum, strata = drawn.stratum[embedded], drawn.strata
    weighting = weigh(stratum, [layer.images for layer in strata])
    counts = np.bincount(stratum, minlength=len(strata))
    described = [
        {
            "since": layer.since.isoformat() if layer.since else None,
            "until": layer.until.isoformat() if layer.until else None,
            "images": layer.images,
            "audited": int(counts[h]),
        }
        for h, layer in enumerate(strata)
    ]
    return EmbeddedAuditSample(
        rows[embedded], truth, np.array(drawn.given, np.int64)[embedded], stratum, weighting.weights,
        described, strata, weighting.left_out,
        archived=int(drawn.archived[embedded].sum()), not_embedded=int((~embedded).sum()),
    )  # fmt: skip


def _macro_recall(sample: EmbeddedAuditSample, predicted: NDArray[np.int64], n_labels: int) -> MacroRecall:
    """Return the mean recall over the labels of the sample.

    A label that was archived or that the head does not know has recall 0. Otherwise archiving a label that
    the head predicts badly would improve the mean.
    """
    truth = sample.truth.copy()
    unknown = truth < 0
    others, number = np.unique(sample.label_ids[unknown], return_inverse=True)
    truth[unknown] = n_labels + number
    return macro_recall(truth, predicted, n_labels + len(others), weights=sample.weights)


def evaluate(dataset: Dataset, head: models.Head, scores: Scores, mirror: Mirror) -> models.Evaluation | None:
    """Estimate a head's accuracy and store the estimate; None before the first audited image."""
    sample = embedded_audit_sample(dataset, mirror, head.label_ids)
    if not len(sample.rows):
        return None
    truth, weights = sample.truth, sample.weights
    predicted = scores.label[sample.rows].astype(np.int64)
    known = truth >= 0
    n_labels = len(head.label_ids)
    total = accuracy(truth, predicted, weights=weights)
    names = dict(Label.objects.filter(pk__in=head.label_ids).values_list("pk", "name"))
    right = np.bincount(sample.stratum[truth == predicted], minlength=len(sample.strata))
    report = EvaluationReport.current(
        labels=[
            {
                "id": head.label_ids[scores_of_label.label],
                "name": names.get(head.label_ids[scores_of_label.label], ""),
                "precision": asdict(scores_of_label.precision),
                "recall": asdict(scores_of_label.recall),
            }
            for scores_of_label in per_label(truth, predicted, n_labels, weights=weights)
        ],
        label_ids=head.label_ids,
        confusion=confusion_matrix(truth[known], predicted[known], n_labels).tolist(),
        unknown_label=int((~known).sum()),
        macro_recall=asdict(_macro_recall(sample, predicted, n_labels)),
        prompt_version=head.prompt_set.version,
        trials=total.trials,
        strata=[stratum | {"right": int(right[h])} for h, stratum in enumerate(sample.strata)],
    )
    counts = replace(
        audit_counts(dataset),
        counted=total.n,
        archived_label=sample.archived,
        not_embedded=sample.not_embedded,
    )
    pool = measure_pool(
        dataset=dataset,
        head=head,
        scores=scores,
        mirror=mirror,
        rows=sample.rows,
        right=truth == predicted,
        stratum=sample.stratum,
        strata=sample.layers,
    )
    near = near_trained_images(head, mirror.ids[sample.rows].tolist()) if head.is_trained else set()
    is_near = np.isin(mirror.ids[sample.rows], list(near))
    # The sample was read once: an audit answer that came since is part of the next estimate.
    answers = len(training_labels(dataset)) + total.n + sample.not_embedded
    return record_evaluation(
        head=head,
        n=total.n,
        correct=total.k,
        share=None if (weights == 1).all() else total.value,
        low=total.low,
        high=total.high,
        left_out=sample.left_out,
        answers=answers,
        counts=counts,
        near_trained=int(is_near.sum()),
        near_trained_right=int((is_near & (truth == predicted)).sum()),
        pool=pool,
        report=report,
    )
