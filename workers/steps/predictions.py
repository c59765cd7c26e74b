"""Prediction of all images of a dataset by a head, and storing of new predictions."""

import numpy as np

from mekiki.learning import models
from mekiki.learning.services import index_predictions, store_predictions
from mekiki.learning.vectors import predicted_image_ids
from workers.embeddings import Mirror
from workers.heads.head import LinearHead
from workers.heads.scoring import Scores, score
from workers.runner import Report
from workers.steps.vectors import head_inputs

CHUNK = 50_000


def score_images(head: LinearHead, mirror: Mirror, report: Report) -> Scores:
    """Return the scores of every row of the mirror."""
    report(stage="predicting", done=0, total=len(mirror), unit="images")
    parts = []
    for start in range(0, len(mirror), CHUNK):
        parts.append(score(head, head_inputs(head, mirror, slice(start, start + CHUNK))))
        report(done=min(start + CHUNK, len(mirror)))
    if not parts:
        return score(head, np.empty((0, head.dim), np.float32))
    return Scores(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in Scores.__dataclass_fields__)
    )


def store_missing_predictions(head: models.Head, scores: Scores, mirror: Mirror, report: Report) -> int:
    """Store the predictions that a head does not have yet, and index them; return their number.

    Every CHUNK is committed, so the next worker need not store again what a killed worker has stored.
    """
    rows = np.flatnonzero(~mirror.mask_of(predicted_image_ids(head)))
    label_ids = np.asarray(head.label_ids, np.int64)
    report(stage="storing predictions", done=0, total=len(rows), unit="images")
    stored = 0
    for start in range(0, len(rows), CHUNK):
        some = rows[start : start + CHUNK]
        stored += store_predictions(
            head=head,
            image_ids=mirror.ids[some],
            label_ids=label_ids[scores.label[some]],
            runner_up_ids=label_ids[scores.runner_up[some]] if len(label_ids) > 1 else None,
            confidence=scores.confidence[some],
            margin=scores.margin[some],
            entropy=scores.entropy[some],
        )
        report(done=start + len(some))
    index_predictions(head=head)
    return stored
