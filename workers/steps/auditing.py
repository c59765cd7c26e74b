"""How good a head is, from the blind audit stream only (design.md, invariant 4)."""

from dataclasses import asdict
from typing import Any

import numpy as np

from mekiki.datasets.models import Dataset
from mekiki.labeling.models import Label
from mekiki.learning import models
from mekiki.learning.services import record_evaluation
from mekiki.review.selectors import audit_labels, training_labels
from workers.embeddings import Mirror
from workers.evaluation.metrics import (
    MacroRecall,
    accuracy,
    confusion_matrix,
    macro_recall,
    per_label,
)
from workers.heads.scoring import Scores


def audited(dataset: Dataset, mirror: Mirror, label_ids: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """(rows (m,) of the mirror, indices (m,) into label_ids) of the audited images with a label the head knows.

    An image whose true label the head does not know is left out here and counted in the report: it is
    wrong whatever the head says.
    """
    index = {label_id: i for i, label_id in enumerate(label_ids)}
    pairs = audit_labels(dataset)
    rows, found = mirror.rows_of([image for image, _label in pairs])
    truth = np.array([index.get(label, -1) for _image, label in pairs], np.int64)
    return rows[found], truth[found]


def evaluate(dataset: Dataset, head: models.Head, scores: Scores, mirror: Mirror) -> models.Evaluation | None:
    """Estimate a head's accuracy and keep the estimate; None before the first audited image."""
    rows, truth = audited(dataset, mirror, head.label_ids)
    if not len(rows):
        return None
    said = scores.label[rows].astype(np.int64)
    known = truth >= 0
    total = accuracy(truth, said)
    names = dict(Label.objects.filter(pk__in=head.label_ids).values_list("pk", "name"))
    matrix = confusion_matrix(truth[known], said[known], len(head.label_ids))
    report = {
        "labels": [
            {
                "id": head.label_ids[each.label],
                "name": names.get(head.label_ids[each.label], ""),
                "precision": _json(each.precision),
                "recall": _json(each.recall),
            }
            for each in per_label(matrix)
        ],
        "label_ids": list(head.label_ids),
        "confusion": matrix.tolist(),
        "unknown_label": int((~known).sum()),
        "macro_recall": _macro(macro_recall(truth[known], said[known], len(head.label_ids))),
        "prompt_version": head.prompt_set.version,
    }
    answers = len(training_labels(dataset)) + len(audit_labels(dataset))
    return record_evaluation(
        head=head,
        n=total.n,
        correct=total.k,
        low=total.low,
        high=total.high,
        answers=answers,
        report=report,
    )


def _json(value: Any) -> dict[str, Any]:
    return {**asdict(value), "value": value.value}


def _macro(value: MacroRecall) -> dict[str, Any]:
    return asdict(value)
