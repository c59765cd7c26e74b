"""What follows scoring in every stage: predictions, promotion, evaluation and the review queue."""

from collections.abc import Callable
from dataclasses import dataclass

from mekiki.learning import models
from mekiki.learning.services import drop_replaced_predictions
from workers.embeddings import Mirror
from workers.heads.scoring import Scores
from workers.runner import Report
from workers.steps.auditing import evaluate
from workers.steps.predictions import store_missing_predictions
from workers.steps.queue_filling import refill_queue


@dataclass(frozen=True)
class ScoredHead:
    """A stored head with its scores of every image that has an embedding by its encoder."""

    head: models.Head
    scores: Scores
    mirror: Mirror


@dataclass(frozen=True)
class Recorded:
    """Numbers of stored predictions, of audited images in the accuracy estimate, and of queue items."""

    predicted: int
    audited: int
    queued: int


def record_scores(
    scored: ScoredHead,
    report: Report,
    *,
    store: bool = True,
    promotion: Callable[[], None] | None = None,
    evaluated: Callable[[], None] | None = None,
) -> Recorded:
    """Store missing predictions → promote → drop replaced predictions → evaluate → refill the review queue.

    `store`: False if predicting is the work of another job. `promotion` puts the head in use; None if it is
    in use already. `evaluated` is called after the accuracy estimate is stored.

    Call it under the learning lock. It can be killed between any two steps and repeated: each step finds what
    is stored already. Readers see the predictions of the old head until those of the new head are complete.
    """
    head, scores, mirror = scored.head, scored.scores, scored.mirror
    predicted = store_missing_predictions(head, scores, mirror, report) if store else 0
    if promotion is not None:
        promotion()
        drop_replaced_predictions(head.dataset)
    report(stage="evaluating")
    evaluation = evaluate(head.dataset, head, scores, mirror)
    if evaluated is not None:
        evaluated()
    queued = refill_queue(head.dataset, head, scores, mirror, report)
    return Recorded(predicted, evaluation.n if evaluation else 0, queued)
