"""Ways to let a machine label a pool: ours, and published or documented ones."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmarks.certification.populations import Population
from verification.certificates.decision import Audits, decide_whole_pool
from verification.certificates.protocol import PLANNED, Protocol
from verification.certificates.regions import allowed_errors
from verification.certificates.spending import Numbers
from verification.certificates.tails import upper_bound
from workers.evaluation.certificates.plan import PlannedCertificate
from workers.evaluation.certificates.simulation import Run, run_planned, run_watched

SAMPLE = 200  # answers of the methods that take a sample of fixed size


@dataclass(frozen=True)
class Outcome:
    """Labels that the machine sets in one run, how many of them are wrong, and the audits it took."""

    left: int
    wrong_left: int
    audits: int


@dataclass(frozen=True)
class Case:
    """A population with what is fixed before the seed is drawn."""

    population: Population
    alpha: float
    delta: float
    planned: PlannedCertificate
    watched_numbers: Numbers
    planned_numbers: Numbers
    whole_numbers: Numbers


def prepare(population: Population, alpha: float, delta: float, planned: PlannedCertificate) -> Case:
    """Return the case of one plan.

    The planned test has the regions of the plan, and as many audits as the first of them needs with as many
    errors as the confidences expect, rounded.
    """
    m = len(population.wrong)
    protocol = planned.protocol
    watched = Numbers(protocol, m)
    start = watched.sizes[0] if watched.sizes else 1
    doubt = float((1 - population.confidence[:start]).mean())
    audits = next(
        (n for n in range(1, min(400, start) + 1) if decides_with(start, n, round(n * doubt), alpha, delta)),
        min(SAMPLE, m),
    )
    fixed = Protocol(alpha, delta, max(audits, 1), protocol.levels, PLANNED)
    whole = Protocol(alpha, delta, SAMPLE, tuple(np.round(np.arange(0.05, 1.01, 0.05), 2)), PLANNED)
    return Case(population, alpha, delta, planned, watched, Numbers(fixed, m), Numbers(whole, m))


def decides_with(size: int, audits: int, wrong: int, alpha: float, delta: float) -> bool:
    """Return whether the planned test would certify a region with these answers."""
    return upper_bound(size, audits, wrong, delta) - wrong <= allowed_errors(size - audits, alpha)


def watched(case: Case, order: NDArray[np.int64]) -> Outcome:
    """Run our test that may be watched."""
    return _outcome(run_watched(order, case.population.wrong, case.watched_numbers))


def planned(case: Case, order: NDArray[np.int64]) -> Outcome:
    """Run our test with a fixed number of audits."""
    return _outcome(run_planned(order, case.population.wrong, case.planned_numbers))


def binomial(case: Case, order: NDArray[np.int64]) -> Outcome:
    """Run the planned test with the binomial tail, as if the pool were infinite (Learn then Test)."""
    wrong, sizes = case.population.wrong, case.planned_numbers.sizes
    limit = case.planned_numbers.protocol.limit
    sample = order[order < sizes[-1]][:limit]
    size = 0
    for region in sizes:
        inside = sample[sample < region]
        if stats.binom.cdf(int(wrong[inside].sum()), len(inside), case.alpha) > case.delta:
            break
        size = region
    return _region(wrong, size, sample)


def confidence_threshold(case: Case, order: NDArray[np.int64]) -> Outcome:
    """Accept every label whose confidence is at least 1 − α. No audit."""
    size = int((case.population.confidence >= 1 - case.alpha).sum())
    return _region(case.population.wrong, size, order[:0])


def point_estimate(case: Case, order: NDArray[np.int64]) -> Outcome:
    """Accept above the lowest threshold whose accuracy on a validation sample is at least 1 − α.

    The rule that Amazon SageMaker Ground Truth documents for automated data labeling: a quality metric of a
    random validation set decides which confidence is high enough.
    """
    wrong = case.population.wrong
    sample = np.sort(order[:SAMPLE])
    errors = np.cumsum(wrong[sample])
    fine = np.flatnonzero(errors <= case.alpha * np.arange(1, len(sample) + 1))
    if not len(fine):
        return _region(wrong, 0, sample)
    last = int(fine[-1])
    size = len(wrong) if last == len(sample) - 1 else int(sample[last]) + 1
    return _region(wrong, size, sample)


def conformal(case: Case, order: NDArray[np.int64]) -> Outcome:
    """Select labels by conformal p-values and Benjamini-Hochberg (conformal labeling, arXiv 2510.14581).

    The p-value of an image counts the wrong calibration images that are at least as confident; with the
    estimated share of wrong images, the selection ends at the last rank r with
    (1 + wrong above r) / (n + 1) · (images) / (images above r) ≤ α. Controls the expected share of wrong
    labels at α, not the share in one pool.
    """
    wrong = case.population.wrong
    sample = np.sort(order[:SAMPLE])
    rest = np.setdiff1d(np.arange(len(wrong)), sample)
    errors = np.searchsorted(sample[wrong[sample]], rest)  # wrong calibration images above each
    p = (1 + errors) / (len(sample) + 1)
    fine = np.flatnonzero(p * len(rest) / np.arange(1, len(rest) + 1) <= case.alpha)
    size = int(rest[fine[-1]]) + 1 if len(fine) else 0
    return _region(wrong, size, sample)


def pac_labels(case: Case, order: NDArray[np.int64]) -> Outcome:
    """Bound the errors in the whole pool, people's labels included (PAC labels, arXiv 2506.10908).

    A uniform sample and the binomial upper bound in place of the paper's betting bound.
    """
    population = case.population
    wrong, sample = population.wrong, order[:SAMPLE]
    size = 0
    for region in case.whole_numbers.sizes:
        errors = int(wrong[sample[sample < region]].sum())
        upper = stats.beta.ppf(1 - case.delta, errors + 1, len(sample) - errors)
        if upper * len(wrong) > case.alpha * population.pool:
            break
        size = region
    return _region(wrong, size, sample)


def whole_pool(case: Case, order: NDArray[np.int64]) -> Outcome:
    """Make the statement of PAC labels with our exact test: the second line of a certificate."""
    population = case.population
    state = population.wrong[order[:SAMPLE]].astype(int).tolist()
    protocol = case.whole_numbers.protocol
    inside = Audits(order[:SAMPLE].tolist(), state)
    result = decide_whole_pool(protocol, len(population.wrong), population.pool, inside)
    size = result.certified.size if result.certified else 0
    return _region(population.wrong, size, order[:SAMPLE])


METHODS: dict[str, Callable[[Case, NDArray[np.int64]], Outcome]] = {
    "watched (ours)": watched,
    "planned (ours)": planned,
    "planned, binomial": binomial,
    "whole pool (ours)": whole_pool,
    "PAC labels": pac_labels,
    "conformal, FDR": conformal,
    "point estimate": point_estimate,
    "confidence ≥ 1 − α": confidence_threshold,
}
# These promise at most α of all labels of the pool, people's labels included.
WHOLE_POOL = {"whole pool (ours)", "PAC labels"}


def exceeds(name: str, case: Case, outcome: Outcome) -> bool:
    """Return whether a run breaks the statement of its method."""
    labels = case.population.pool if name in WHOLE_POOL else outcome.left
    return outcome.wrong_left > allowed_errors(labels, case.alpha)


def _outcome(run: Run) -> Outcome:
    return Outcome(run.left, run.wrong_left, run.audits)


def _region(wrong: NDArray[np.bool_], size: int, sample: NDArray[np.int64]) -> Outcome:
    by_people = sample[sample < size]
    left_wrong = int(wrong[:size].sum()) - int(wrong[by_people].sum())
    return Outcome(size - len(by_people), left_wrong, len(sample))
