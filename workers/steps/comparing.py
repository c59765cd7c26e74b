"""Comparison of two encoders on the same images, as JSON values, for an admin who decides about a switch."""

from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mekiki.datasets.models import Dataset
from mekiki.learning import models
from mekiki.learning.near_duplicates import first_images
from mekiki.learning.services import seed_for
from mekiki.review.audit_counts import audit_counts
from mekiki.review.selectors import training_labels
from workers.embeddings import Mirror
from workers.evaluation.metrics import accuracy
from workers.evaluation.strata import weigh
from workers.heads.scoring import Scores
from workers.heads.train import train_head
from workers.steps.auditing import AuditSample, drawn_for_audit
from workers.steps.promotion import compare_on_audit, prompts_log_loss
from workers.steps.training import HeadInputs
from workers.steps.vectors import training_detail


def common_rows(
    one: Mirror, other: Mirror, image_ids: list[int]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Return (rows (m,) in one, rows (m,) in the other, mask (n,) of the images embedded by both)."""
    a, in_a = one.rows_of(image_ids)
    b, in_b = other.rows_of(image_ids)
    both = in_a & in_b
    return a[both], b[both], both


def on_reviewed_labels(
    dataset: Dataset, old: tuple[HeadInputs, Mirror] | None, new: tuple[HeadInputs, Mirror]
) -> dict[str, Any] | None:
    """Return the cross-validated metrics of both encoders on the same reviewed labels.

    Return None without labels. `old` is None if the weights of the encoder in use cannot be loaded any more.
    The labels are those outside the audit sample, mostly of hard images: the metrics do not estimate
    accuracy.
    """
    label_ids = new[0].label_ids
    index = {label_id: i for i, label_id in enumerate(label_ids)}
    pairs = [(image, index[label]) for image, label, _d in training_labels(dataset) if label in index]
    images, y = [image for image, _y in pairs], np.array([y for _image, y in pairs], np.int64)
    new_rows, old_rows, both = common_rows(new[1], old[1] if old else new[1], images)
    y = y[both]
    if not len(y):
        return None
    groups = _near_groups(dataset, np.array(images, np.int64)[both])
    seed = seed_for(dataset, "encoders compared", len(y))
    figures: dict[str, Any] = {
        "n": len(y),
        "new": _cross_validated(*new, new_rows, y, groups, seed),
        "old": None,
    }
    if old is not None:
        figures["old"] = _cross_validated(*old, old_rows, y, groups, seed)
    return figures


def _near_groups(dataset: Dataset, images: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return (n,) numbers of the groups of near-duplicates; negative ones for images that are in no group."""
    first = first_images(dataset)
    return np.array([first.get(image, -image) for image in images.tolist()], np.int64)


def _cross_validated(
    setting: HeadInputs,
    mirror: Mirror,
    rows: NDArray[np.int64],
    y: NDArray[np.int64],
    groups: NDArray[np.int64],
    seed: int,
) -> dict[str, Any]:
    X, scale = np.asarray(mirror.vectors[rows], np.float32), setting.encoder.logit_scale
    detail = training_detail(setting.dataset, mirror, rows)
    trained = train_head(
        X,
        y,
        class_embeddings=setting.text,
        logit_scale=scale,
        seed=seed,
        detail=None if detail is None else detail[0],
        groups=groups,
    )
    cross = trained.metrics["cross_validated_on_reviewed_labels"] or {}
    return {
        "agreement": cross.get("cv_accuracy"),  # None below about two labels a class
        "log_loss": cross.get("log_loss"),
        "prompts_agreement": float(((X @ setting.text.T).argmax(axis=1) == y).mean()),
        "prompts_log_loss": prompts_log_loss(X, y, setting.text, scale),
    }


def on_audit_stream(
    dataset: Dataset, old: tuple[models.Head, Scores, Mirror], new: tuple[models.Head, Scores, Mirror]
) -> dict[str, Any] | None:
    """Return the accuracy of the head in use and of the new encoder's first head on the same audited images.

    The images were drawn at random, judged blind and never trained on. Accuracy has a 95 % interval, with
    weights as in `workers.steps.auditing`. None before the first audited image.
    """
    drawn = drawn_for_audit(dataset)
    old_rows, new_rows, both = common_rows(old[2], new[2], drawn.images)
    truth = np.array(drawn.labels, np.int64)[both]
    if not len(truth):
        return None
    weighting = weigh(drawn.stratum[both], [stratum.images for stratum in drawn.strata])
    weights = weighting.weights
    old_labels = np.asarray(old[0].label_ids)[old[1].label[old_rows]]
    new_labels = np.asarray(new[0].label_ids)[new[1].label[new_rows]]
    pair = compare_on_audit(old_labels, new_labels, truth)
    return {
        "n": len(truth),
        "old": _json(accuracy(truth, old_labels, weights=weights)),
        "new": _json(accuracy(truth, new_labels, weights=weights)),
        "left_out": weighting.left_out,
        "counts": _counts(dataset, drawn, both),
        "only_old": pair.only_champion,
        "only_new": pair.only_challenger,
    }


def _counts(dataset: Dataset, drawn: AuditSample, both: NDArray[np.bool_]) -> dict[str, int]:
    """Return the counts of the images drawn for the audit (learning.accuracy.AuditCounts)."""
    counts = replace(
        audit_counts(dataset),
        counted=int(both.sum()),
        archived_label=int(drawn.archived[both].sum()),
        not_embedded=int((~both).sum()),
    )
    return asdict(counts)


def _json(value: Any) -> dict[str, Any]:
    return {"correct": value.k, "n": value.n, "value": value.value, "low": value.low, "high": value.high}


def changed_predictions(
    old: tuple[models.Head, Scores, Mirror], new: tuple[models.Head, Scores, Mirror]
) -> tuple[int, int]:
    """Return (number of images that get another label, number of images embedded by both)."""
    rows, embedded = old[2].rows_of(new[2].ids)
    old_labels = np.asarray(old[0].label_ids)[old[1].label[rows[embedded]]]
    new_labels = np.asarray(new[0].label_ids)[new[1].label[np.flatnonzero(embedded)]]
    return int((old_labels != new_labels).sum()), int(embedded.sum())
