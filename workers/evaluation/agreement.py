"""Attribute agreement analysis: how well reviewers agree with themselves, with each other, with a reference.

Arrays: `answers` (R, N, T) holds the label, 0 … L − 1, that reviewer r gave image n in run t, or −1 if there
is no answer. `reference` (N,) holds the reference label of each image, or −1. `critical` (L,) bool.

Proportions count images and have exact (Clopper–Pearson) intervals, as in AIAG, "Measurement systems
analysis", 4th edition, 2010, chapter III-C. Kappas and alpha have bootstrap intervals. The bootstrap draws
images, because the answers about one image depend on each other. The formulas and their sources are in
docs/explanation/agreement.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import beta

from workers.evaluation.metrics import Proportion, confusion_matrix

MISSING = -1
RESAMPLES = 2000
# Bounds the memory of the bootstrap, in numbers of one block of resamples.
_BLOCK = 4_000_000

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def exact_proportion(k: int, n: int, confidence: float = 0.95) -> Proportion:
    """Return k of n with its Clopper–Pearson interval; (0, 1) for n = 0.

    Source: Clopper & Pearson (1934), "The use of confidence or fiducial limits". Raises ValueError: k outside
    [0, n], or confidence outside (0, 1).
    """
    if not 0 < confidence < 1:
        raise ValueError("confidence must lie strictly between 0 and 1")
    if not 0 <= k <= n:
        raise ValueError(f"need 0 <= k <= n, got k={k}, n={n}")
    tail = (1 - confidence) / 2
    low = float(beta.ppf(tail, k, n - k + 1)) if k else 0.0
    high = float(beta.ppf(1 - tail, k + 1, n - k)) if k < n else 1.0
    return Proportion(int(k), int(n), low, high, k / n if n else None, float(n))


# --- Proportions of images ---------------------------------------------------------------------------------


def check_answers(answers: ArrayLike, reference: ArrayLike | None = None) -> Ints:
    """Return answers as an (R, N, T) array of integers. Raises ValueError for other shapes and values."""
    given = np.asarray(answers, np.int64)
    if given.ndim != 3:
        raise ValueError(f"answers must be (reviewers, images, runs), got {given.shape}")
    if given.size and given.min() < MISSING:
        raise ValueError("labels must be 0 or above, or -1 for a missing answer")
    if reference is not None and np.shape(reference) != (given.shape[1],):
        raise ValueError(f"reference must be ({given.shape[1]},), got {np.shape(reference)}")
    return given


def complete_images(answers: ArrayLike) -> NDArray[np.bool_]:
    """Return (R, N): whether the reviewer answered the image in every run."""
    return np.asarray((check_answers(answers) != MISSING).all(axis=2))


def joint_reviewers(answers: ArrayLike) -> list[int]:
    """Return the reviewers who answered at least one image in every run.

    The figures about all reviewers use their answers only. A reviewer without such an image would leave no
    image for these figures.
    """
    return [int(r) for r in np.flatnonzero(complete_images(answers).any(axis=1))]


def _consistent(given: Ints) -> NDArray[np.bool_]:
    """Return (R, N): whether all runs of the reviewer have the same label."""
    return np.asarray((given == given[:, :, :1]).all(axis=2))


def within_reviewers(answers: ArrayLike, confidence: float = 0.95) -> list[Proportion]:
    """Return for each reviewer the proportion of images with the same label in all runs.

    An image counts for a reviewer who answered it in every run.
    """
    given = check_answers(answers)
    complete, same = complete_images(given), _consistent(given)
    return [
        exact_proportion(int((c & s).sum()), int(c.sum()), confidence)
        for c, s in zip(complete, same, strict=True)
    ]


def with_reference(answers: ArrayLike, reference: ArrayLike, confidence: float = 0.95) -> list[Proportion]:
    """Return for each reviewer the proportion of images with the reference label in all runs."""
    given, truth = check_answers(answers, reference), np.asarray(reference, np.int64)
    counted = complete_images(given) & (truth != MISSING)
    right = (given == truth[None, :, None]).all(axis=2)
    return [
        exact_proportion(int((c & s).sum()), int(c.sum()), confidence)
        for c, s in zip(counted, right, strict=True)
    ]


def between_reviewers(answers: ArrayLike, confidence: float = 0.95) -> Proportion:
    """Return the proportion of images to which all reviewers gave the same label in all runs.

    It uses the reviewers of `joint_reviewers`, and the images that all of them answered in every run.
    """
    given = check_answers(answers)[joint_reviewers(answers)]
    if len(given) < 2:
        return exact_proportion(0, 0, confidence)
    counted = complete_images(given).all(axis=0)
    same = (given == given[:1, :, :1]).all(axis=(0, 2))
    return exact_proportion(int((counted & same).sum()), int(counted.sum()), confidence)


def all_with_reference(answers: ArrayLike, reference: ArrayLike, confidence: float = 0.95) -> Proportion:
    """Return the proportion of images to which all reviewers gave the reference label in all runs."""
    given, truth = (
        check_answers(answers, reference)[joint_reviewers(answers)],
        np.asarray(reference, np.int64),
    )
    if not len(given):
        return exact_proportion(0, 0, confidence)
    counted = complete_images(given).all(axis=0) & (truth != MISSING)
    right = (given == truth[None, :, None]).all(axis=(0, 2))
    return exact_proportion(int((counted & right).sum()), int(counted.sum()), confidence)


# --- Coefficients -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Coefficient:
    """A kappa or alpha with its bootstrap interval.

    `value` is None if it is undefined: too few answers, or all answers are the same label, so that chance
    explains any agreement. `low` and `high` are None if the value is undefined, if there is no disagreement
    to resample, or if it is undefined in more than half of the resamples.
    """

    value: float | None
    low: float | None
    high: float | None
    images: int
    ratings: int


def counts_by_image(ratings: ArrayLike, n_labels: int) -> Floats:
    """Return (N, L): how often each image of ratings (N, m) got each label. Missing ratings are left out."""
    given = np.asarray(ratings, np.int64)
    counts = np.zeros((len(given), n_labels))
    rows, columns = np.nonzero(given != MISSING)
    np.add.at(counts, (rows, given[rows, columns]), 1)
    return counts


def _resampled(
    measure: Callable[[Floats], Floats], n: int, width: int, *, resamples: int, seed: int, confidence: float
) -> tuple[float | None, float | None, float | None]:
    """Return (value, low, high) of a measure of weights (b, N) → (b,); NaN where it is undefined."""
    value = float(measure(np.ones((1, n)))[0]) if n else float("nan")
    if not np.isfinite(value):
        return None, None, None
    if value == 1 or resamples < 1:
        return value, None, None
    rng = np.random.default_rng(seed)
    step = max(1, _BLOCK // max(n, width))
    drawn = []
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        drawn.append(measure(rng.multinomial(n, np.full(n, 1 / n), size=size).astype(np.float64)))
    values = np.concatenate(drawn)
    values = values[np.isfinite(values)]
    if 2 * len(values) < resamples:
        return value, None, None
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return value, float(low), float(high)


def _ratio(above: Floats, below: Floats) -> Floats:
    """Return above / below; NaN where below is (nearly) 0."""
    defined = np.abs(below) > 1e-12
    return np.where(defined, above / np.where(defined, below, 1.0), np.nan)


def cohen_kappa(
    first: ArrayLike,
    second: ArrayLike,
    n_labels: int,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    confidence: float = 0.95,
) -> Coefficient:
    """Return Cohen's kappa of two reviewers, or of a reviewer and the reference.

    first, second: (N, T), or (N,) for the reference. Run t of one is compared with run t of the other, and
    the pairs of all runs are pooled, as in the cross-tabulation of AIAG. Pairs with a missing answer are left
    out. Source: Cohen (1960), "A coefficient of agreement for nominal scales".
    """
    a, b = (np.asarray(x, np.int64) for x in (first, second))
    a, b = (x[:, None] if x.ndim == 1 else x for x in (a, b))
    a, b = np.broadcast_arrays(a, b)
    used = (a != MISSING) & (b != MISSING)
    images, runs = np.nonzero(used)
    tables = np.zeros((len(a), n_labels * n_labels))
    np.add.at(tables, (images, a[images, runs] * n_labels + b[images, runs]), 1)
    tables = tables[used.any(axis=1)]

    def measure(weights: Floats) -> Floats:
        table = (weights @ tables).reshape(len(weights), n_labels, n_labels)
        total = table.sum(axis=(1, 2))
        observed = _ratio(np.trace(table, axis1=1, axis2=2), total)
        expected = _ratio((table.sum(axis=2) * table.sum(axis=1)).sum(axis=1), total * total)
        return _ratio(observed - expected, 1 - expected)

    estimate = _resampled(
        measure, len(tables), n_labels * n_labels, resamples=resamples, seed=seed, confidence=confidence
    )
    return Coefficient(*estimate, images=len(tables), ratings=int(2 * used.sum()))


def fleiss_kappa(
    ratings: ArrayLike,
    n_labels: int,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    confidence: float = 0.95,
) -> Coefficient:
    """Return Fleiss' kappa of ratings (N, m): m answers about each image, −1 for a missing answer.

    Images with fewer than two answers are left out. If the number of answers differs between images, the
    agreement of an image is the share of equal pairs among its own answers, and every image counts the same.
    With equal numbers this is the formula of Fleiss (1971), "Measuring nominal scale agreement among many
    raters".
    """
    counts = counts_by_image(ratings, n_labels)
    counts = counts[counts.sum(axis=1) >= 2]
    m = counts.sum(axis=1)
    agreement = (counts * (counts - 1)).sum(axis=1) / (m * (m - 1))

    def measure(weights: Floats) -> Floats:
        observed = _ratio(weights @ agreement, weights.sum(axis=1))
        shares = (weights @ counts) / (weights @ m)[:, None]
        expected = (shares**2).sum(axis=1)
        return _ratio(observed - expected, 1 - expected)

    estimate = _resampled(
        measure, len(counts), n_labels, resamples=resamples, seed=seed, confidence=confidence
    )
    return Coefficient(*estimate, images=len(counts), ratings=int(m.sum()))


def krippendorff_alpha(
    ratings: ArrayLike,
    n_labels: int,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    confidence: float = 0.95,
) -> Coefficient:
    """Return Krippendorff's alpha for nominal labels of ratings (N, m), −1 for a missing answer.

    Images with fewer than two answers cannot be paired and are left out. Source: Krippendorff (2011),
    "Computing Krippendorff's alpha-reliability".
    """
    counts = counts_by_image(ratings, n_labels)
    counts = counts[counts.sum(axis=1) >= 2]
    m = counts.sum(axis=1)
    coincidences = (counts * (counts - 1)).sum(axis=1) / (m - 1)  # equal pairs, by image

    def measure(weights: Floats) -> Floats:
        n = weights @ m
        totals = weights @ counts
        observed = n - weights @ coincidences
        expected = n * n - (totals**2).sum(axis=1)
        return 1 - _ratio((n - 1) * observed, expected)

    estimate = _resampled(
        measure, len(counts), n_labels, resamples=resamples, seed=seed, confidence=confidence
    )
    return Coefficient(*estimate, images=len(counts), ratings=int(m.sum()))


# --- Errors against the reference -------------------------------------------------------------------------


@dataclass(frozen=True)
class CriticalErrors:
    """Misses and false alarms of one reviewer on critical labels, as proportions of answers."""

    misses: Proportion
    false_alarms: Proportion


def critical_errors(
    answers: ArrayLike, reference: ArrayLike, critical: ArrayLike, confidence: float = 0.95
) -> list[CriticalErrors]:
    """Return for each reviewer the misses and the false alarms.

    A miss is an answer with a label that is not critical for an image whose reference label is critical. A
    false alarm is an answer with a critical label for an image whose reference label is not critical. The
    trials are the answers of all runs, so the intervals are somewhat too narrow if runs resemble each other.
    """
    given, truth = check_answers(answers, reference), np.asarray(reference, np.int64)
    mask = np.asarray(critical, bool)
    rows = []
    for reviewer in given:
        images, runs = np.nonzero((reviewer != MISSING) & (truth != MISSING)[:, None])
        answer_critical, is_critical = mask[reviewer[images, runs]], mask[truth[images]]
        missed = int((is_critical & ~answer_critical).sum())
        alarms = int((~is_critical & answer_critical).sum())
        rows.append(
            CriticalErrors(
                exact_proportion(missed, int(is_critical.sum()), confidence),
                exact_proportion(alarms, int((~is_critical).sum()), confidence),
            )
        )
    return rows


def confusion_matrices(answers: ArrayLike, reference: ArrayLike, n_labels: int) -> list[Ints]:
    """Return for each reviewer (L, L) counts of answers: rows are reference labels, columns answers."""
    given, truth = check_answers(answers, reference), np.asarray(reference, np.int64)
    matrices = []
    for reviewer in given:
        images, runs = np.nonzero((reviewer != MISSING) & (truth != MISSING)[:, None])
        matrices.append(confusion_matrix(truth[images], reviewer[images, runs], n_labels))
    return matrices


def image_disagreement(answers: ArrayLike, n_labels: int) -> Floats:
    """Return (N,): the share of pairs of answers about an image that differ; NaN below two answers."""
    given = check_answers(answers)
    counts = counts_by_image(given.transpose(1, 0, 2).reshape(given.shape[1], -1), n_labels)
    m = counts.sum(axis=1)
    return 1 - _ratio((counts * (counts - 1)).sum(axis=1), m * (m - 1))
