"""Accuracy against the hidden truth, which is known only in a simulation."""

from dataclasses import dataclass

from mekiki.learning.accuracy import counts_of
from mekiki.learning.models import Head, Prediction
from mekiki.learning.selectors import champion, latest_evaluation
from mekiki.simulation.truth import Truth

# A prediction with a lower calibrated confidence counts as uncertain.
UNCERTAIN_BELOW = 0.8


@dataclass(frozen=True)
class Score:
    """The score of the champion against the truth, over every image with a prediction.

    `accuracy` and `macro_recall` are fractions in [0, 1]. For answered images the prediction is scored too,
    not the answer. `audit` is the estimate that Mekiki makes from the audit stream. It is None until an
    audited image exists. `uncertain` is the number of images below UNCERTAIN_BELOW.
    """

    answers: int
    accuracy: float
    macro_recall: float
    uncertain: int
    audit: dict | None
    head: Head

    def as_json(self) -> dict:
        """Return the score as one round of the --json file."""
        return {
            "answers": self.answers,
            "accuracy": round(self.accuracy, 4),
            "macro_recall": round(self.macro_recall, 4),
            "audit": self.audit
            or {
                "estimate": None,
                "low": None,
                "high": None,
                "n": 0,
                "correct": 0,
                "drawn": 0,
            },
        }


def score(truth: Truth, answers: int) -> Score:
    """Score the champion of the dataset. Raises RuntimeError if there is no champion or prediction yet."""
    head = champion(truth.dataset)
    if head is None:
        raise RuntimeError("There is no head to score yet.")
    right: dict[int, int] = {}
    total: dict[int, int] = {}
    uncertain = 0
    rows = Prediction.objects.filter(head=head).values_list("image_id", "label_id", "confidence")
    for image, label, confidence in rows.iterator(chunk_size=20_000):
        true = truth.by_id.get(image)
        if true is None:
            continue
        total[true] = total.get(true, 0) + 1
        right[true] = right.get(true, 0) + (label == true)
        uncertain += confidence < UNCERTAIN_BELOW
    if not total:
        raise RuntimeError("The head has no predictions yet.")
    evaluation = latest_evaluation(truth.dataset)
    audit = None
    if evaluation is not None and evaluation.n:
        audit = {
            "estimate": round(evaluation.accuracy or 0.0, 4),
            "low": round(evaluation.low, 4),
            "high": round(evaluation.high, 4),
            "n": evaluation.n,
            "correct": evaluation.correct,
            "drawn": counts_of(evaluation).drawn,
        }
    return Score(
        answers=answers,
        accuracy=sum(right.values()) / sum(total.values()),
        macro_recall=sum(right[c] / total[c] for c in total) / len(total),
        uncertain=uncertain,
        audit=audit,
        head=head,
    )
