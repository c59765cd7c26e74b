"""A plan before anything is spent: what a certificate probably covers, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from verification.certificates.protocol import PLAN_LEVELS, PLANNED, WATCHED, Protocol
from verification.certificates.spending import Numbers
from workers.evaluation.certificates.label_tests import OwnAlphas
from workers.evaluation.certificates.simulation import Run, run_planned, run_watched

LIMITS = (100, 150, 200, 300, 400, 600, 800)
LIMITS_BY_LABEL = (1200, 1600)  # further ones if labels have an alpha of their own
RUNS = 200
SECONDS = 4.0  # of a blind decision, if the dataset has none to measure
# A calibrated confidence of 1 still is wrong now and then: labels are ambiguous, reviewers make mistakes.
_LEAST_ERROR = 0.001
_QUANTILES = (0.1, 0.5, 0.9)


@dataclass(frozen=True)
class PlannedCertificate:
    """The simulated result of one protocol. Ranges are the 10 %, 50 % and 90 % quantiles of the runs."""

    protocol: Protocol
    images: tuple[int, int, int]  # set by machine
    audits: tuple[int, int, int]
    answers: float  # mean number of answers until all candidates have a label: audits and the remainder
    granted: float  # share of the runs in which some region was certified
    minutes: float  # of auditing, at the median number


@dataclass(frozen=True)
class Plan:
    """All simulated protocols, by (α, limit). `best` has, for each α, the least number of answers."""

    candidates: int
    expected_errors: float  # among all candidates, by the model of the plan
    curve: tuple[PlannedCertificate, ...]

    def best(self, alpha: float) -> PlannedCertificate:
        """Return the protocol with the least number of answers for this α. ValueError: not planned."""
        return min((c for c in self.curve if c.protocol.alpha == alpha), key=lambda c: c.answers)


def make_plan(
    confidence: ArrayLike,
    audited_confidence: ArrayLike,
    audited_right: ArrayLike,
    *,
    alphas: Sequence[float] = (0.01, 0.02, 0.05),
    delta: float = 0.05,
    limits: Sequence[int] = LIMITS,
    grid: Sequence[float] = PLAN_LEVELS,
    runs: int = RUNS,
    seconds: float = SECONDS,
    seed: int = 0,
    test: str = WATCHED,
    alpha_by_label: Mapping[str, float] | None = None,
    predicted_as: Mapping[str, ArrayLike] | None = None,
) -> Plan:
    """Simulate certificates from the current audit sample and return what they cover and cost.

    Model: a candidate with calibrated confidence s is wrong with probability min(1, f · max(1 − s, 0.001)).
    The factor f has a Gamma(1 + o, 1 + x) distribution, with o wrong of the audited images and x expected by
    their confidences: with few audits, f is uncertain, and so is the plan. The first level of each protocol
    is the one of `grid` with the least number of answers. The result only chooses the protocol; the test
    does not depend on the model.

    Args:
        confidence: (m,) of all candidates, in any order. audited_confidence, audited_right: (n,) of the
            audit sample. limits: numbers of audits for the curve. seconds: of one blind decision.
        test: the test of the certificate; a planned one always audits its limit. alpha_by_label: labels with
            an alpha of their own. predicted_as: for each of them, (m,) whether a candidate is predicted so.
            Their candidates are wrong by the same model as all others.
    """
    scores = np.asarray(confidence, np.float64)
    by_rank = np.argsort(-scores, kind="stable")
    ranked = scores[by_rank]
    own_alphas = dict(alpha_by_label or {})
    masks = {label: np.asarray((predicted_as or {})[label], bool)[by_rank] for label in own_alphas}
    own = OwnAlphas.of(masks)
    before = np.asarray(audited_confidence, np.float64)
    right = np.asarray(audited_right, bool)
    if before.shape != right.shape or before.ndim != 1:
        raise ValueError(f"need two (n,) arrays, got {before.shape} and {right.shape}")
    rng = np.random.default_rng(seed)
    doubt = np.maximum(1 - ranked, _LEAST_ERROR)
    factor = rng.gamma(1 + int((~right).sum()), 1 / (1 + np.maximum(1 - before, _LEAST_ERROR).sum()), runs)
    expected = float(np.minimum(1, factor.mean() * doubt).sum())
    if not len(ranked):
        empty = (Protocol(a, delta, limit, tuple(grid), test) for a in alphas for limit in limits)
        return Plan(0, 0.0, tuple(_empty(protocol) for protocol in empty))
    # The most members of the largest region that a run can look at before `limit` lie in the smallest one.
    looked = min(len(ranked), int(1.3 * (max(limits) + 20) / grid[0]))
    worlds = []
    for run in range(runs):
        order = _first_of_a_random_order(len(ranked), looked, rng)
        wrong = np.zeros(len(ranked), bool)
        wrong[order] = rng.random(looked) < np.minimum(1, factor[run] * doubt[order])
        worlds.append((order, wrong))
    curve = []
    for alpha in alphas:
        for limit in limits:
            options = [
                _simulate(
                    Protocol(alpha, delta, limit, tuple(grid[first:]), test, alpha_by_label=own_alphas),
                    worlds,
                    len(ranked),
                    seconds,
                    own,
                )
                for first in range(len(grid))
            ]
            curve.append(min(options, key=lambda option: (option.answers, -option.granted)))
    return Plan(len(ranked), expected, tuple(curve))


def _simulate(
    protocol: Protocol,
    worlds: list[tuple[NDArray[np.int64], NDArray[np.bool_]]],
    candidates: int,
    seconds: float,
    own: OwnAlphas,
) -> PlannedCertificate:
    numbers = Numbers(protocol, candidates)
    run_test = run_planned if protocol.test == PLANNED else run_watched
    runs: list[Run] = [run_test(order, wrong, numbers, own) for order, wrong in worlds]
    left = np.array([run.left for run in runs])
    audits = np.array([run.audits for run in runs])
    images = np.quantile(left, _QUANTILES).round().astype(int).tolist()
    spent = np.quantile(audits, _QUANTILES).round().astype(int).tolist()
    return PlannedCertificate(
        protocol,
        (images[0], images[1], images[2]),
        (spent[0], spent[1], spent[2]),
        answers=float((candidates - left).mean()),
        granted=float(np.mean([run.regions > 0 for run in runs])),
        minutes=float(spent[1] * seconds / 60),
    )


def _empty(protocol: Protocol) -> PlannedCertificate:
    return PlannedCertificate(protocol, (0, 0, 0), (0, 0, 0), 0.0, 0.0, 0.0)


def _first_of_a_random_order(n: int, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    return rng.choice(n, size=count, replace=False, shuffle=True).astype(np.int64)
