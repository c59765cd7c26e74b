"""Learning curves: acquire, fit and measure, repeatedly.

All curves of one seed share the pool, the test part and the random order.
"""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.efficiency.data import Data, Split, split
from benchmarks.efficiency.methods import (
    FLOOR,
    HEADS,
    HEADS_OF_DETAIL,
    METHODS,
    METHODS_OF_DETAIL,
    QUESTIONS,
    Fitted,
    Moment,
    zero_shot,
)
from workers.heads.calibration import expected_calibration_error


@dataclass(frozen=True)
class Job:
    """One data set, condition and seed, for which all curves are measured."""

    data: Data
    condition: str  # "balanced" or "imbalanced", with " + wrong" if a tenth of the answers is wrong
    seed: int
    labels: tuple[int, ...]  # the numbers of answers after which a head is fitted

    def split(self) -> Split:
        return split(
            self.data,
            self.seed,
            imbalanced=self.condition.startswith("imbalanced"),
            wrong=0.1 if self.condition.endswith("wrong") else 0.0,
        )


def run(job: Job, methods: list[tuple[str, str]] | None = None) -> dict[str, Any]:
    """Return every method's curve for one seed, zero-shot, and the accuracy with all labels.

    The accuracy with all labels is that of the better head. Where the local detail is compared, no head is
    trained on all labels, and it is that of the better curve at its last point.
    """
    from threadpoolctl import threadpool_limits

    usual = METHODS if job.data.detail is None else METHODS_OF_DETAIL
    with threadpool_limits(limits=1):
        parts = job.split()
        prompts = zero_shot(job.data)
        measured = {
            f"{head}/{question}": curve(job, parts, head, question) for head, question in (methods or usual)
        }
        if job.data.detail is None:
            everything = [
                measure(fit(job.data, parts.pool, parts.answers, job.seed), job.data, parts)["accuracy"]
                for fit in HEADS.values()
            ]
        else:  # the comparison of the local detail does not need it
            everything = [points[-1]["accuracy"] for points in measured.values()]
        return {
            "data": job.data.name,
            "condition": job.condition,
            "seed": job.seed,
            "full_accuracy": max(everything),
            "zero_shot": None if prompts is None else measure(prompts, job.data, parts),
            "curves": measured,
        }


def curve(job: Job, parts: Split, head: str, question: str) -> list[dict[str, float]]:
    """Return the measures after each number of labels.

    The test part is used for nothing but measuring.
    """
    data = job.data
    X = data.X[parts.pool]
    fit = (HEADS | HEADS_OF_DETAIL)[head]
    order = np.random.default_rng([job.seed, 29]).permutation(len(X))
    known = np.empty(0, np.int64)
    # Before the first answer our head uses the prompts; a plain regression has no information.
    fitted: Fitted | None = zero_shot(data) if head in HEADS_OF_DETAIL else None
    points = []
    for number, count in enumerate(job.labels):
        begun = time.perf_counter()
        now = Moment(
            X=X,
            free=np.setdiff1d(np.arange(len(X)), known),
            known=known,
            answers=parts.answers[known],
            head=fitted,
            n_labels=data.n_labels,
            order=order,
            seed=1000 * job.seed + number,
            joined=data.read_by(fitted, parts.pool),
        )
        asked = QUESTIONS[question](now, min(count, len(X)) - len(known))
        known = np.concatenate([known, asked])
        if len(np.unique(known)) != len(known):
            raise RuntimeError(f"{question} asked about an image twice")
        fitted = fit(data, parts.pool[known], parts.answers[known], job.seed)
        seconds = time.perf_counter() - begun
        points.append({"labels": len(known), "seconds": seconds, **measure(fitted, data, parts)})
    return points


def measure(head: Fitted, data: Data, parts: Split) -> dict[str, float]:
    """Return accuracy, macro recall, log-loss (nats) and calibration error on the test part.

    Accuracy is weighted to the pool's mixture of labels.
    """
    p = np.asarray(head.predict_proba(data.read_by(head, parts.test)), np.float64)
    truth = data.y[parts.test]
    right = p.argmax(axis=1) == truth
    recall = np.bincount(truth, weights=right, minlength=data.n_labels) / np.bincount(
        truth, minlength=data.n_labels
    )
    likelihood = np.maximum(p[np.arange(len(p)), truth], FLOOR)
    return {
        "accuracy": float(parts.weight @ right),
        "macro_recall": float(recall.mean()),
        "nll": float(-(parts.weight @ np.log(likelihood))),
        "ece": expected_calibration_error(p, truth, sample_weight=parts.weight),
    }


def area(labels: NDArray[Any], accuracy: NDArray[Any]) -> float:
    """Return the mean accuracy over log₂ of the labels, by the trapezoidal rule."""
    x = np.log2(np.asarray(labels, np.float64))
    return float(np.trapezoid(accuracy, x) / (x[-1] - x[0]))


def labels_to(target: float, labels: NDArray[Any], accuracy: NDArray[Any]) -> float:
    """Return the number of labels at which the curve first reaches the target; infinity if it never does.

    Between two points the curve is a line over log₂ of the labels.
    """
    above = np.flatnonzero(np.asarray(accuracy) >= target)
    if not len(above):
        return float("inf")
    i = int(above[0])
    if i == 0:
        return float(labels[0])
    low, high = accuracy[i - 1], accuracy[i]
    x = np.log2(np.asarray(labels[i - 1 : i + 1], np.float64))
    return float(2 ** (x[0] + (target - low) / (high - low) * (x[1] - x[0])))
