"""Candidates for the test that may be watched, compared on the same random orders.

All are supermartingales for sampling without replacement under “at least D errors”, valid at any time.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from verification.certificates.watched import boundary

SIZE, ALPHA, DELTA, LIMIT = 5000, 0.02, 0.05, 600
ERROR_SHARES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5)  # true errors as a share of D


def rows(runs: int, seed: int = 0) -> list[dict[str, Any]]:
    """Return, for each candidate and error rate, the median audits and the power within the limit."""
    least = int(ALPHA * SIZE) + 1
    rng = np.random.default_rng(seed)
    results = []
    for share in ERROR_SHARES:
        errors = int(share * least)
        x = np.zeros((runs, SIZE), bool)
        x[:, :errors] = True
        x = rng.permuted(x, axis=1)[:, :LIMIT]
        for name, test in CANDIDATES.items():
            stops = test(x, least)
            results.append(
                {
                    "test": name,
                    "error_rate": errors / SIZE,
                    "audits_median": float(np.median(stops)),
                    "certified_200": float((stops <= 200).mean()),
                    "certified_400": float((stops <= 400).mean()),
                    "runs": runs,
                }
            )
    return results


def _stops(log_wealth: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the audits at which 1/δ is first reached; infinity if never."""
    reached = log_wealth >= -np.log(DELTA)
    return np.where(reached.any(axis=1), reached.argmax(axis=1) + 1.0, np.inf)


def _null_mean(x: NDArray[np.bool_], least: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return (runs, T) errors before each audit, audits before it, and the mean under the null."""
    before = np.concatenate([np.zeros((len(x), 1), int), np.cumsum(x, axis=1)[:, :-1]], axis=1)
    n = np.arange(x.shape[1])[None, :]
    return before, n, np.maximum(least - before, 0) / (SIZE - n)


def _bet(x: NDArray[np.bool_], mean: NDArray[Any], rate: NDArray[Any]) -> NDArray[np.float64]:
    """Return the stops of a bet that the next image is wrong with probability `rate` (ALPHA, eq. 4)."""
    rate = np.minimum(rate, mean)
    with np.errstate(divide="ignore", invalid="ignore"):
        step = np.where(x, np.log(rate / mean), np.log((1 - rate) / (1 - mean)))
    return _stops(np.cumsum(np.where(mean > 0, step, -np.inf), axis=1))


def mixture(x: NDArray[np.bool_], least: int) -> NDArray[np.float64]:
    """Stop by the prior-posterior ratio of the product."""
    numbers = boundary(SIZE, least - 1, DELTA, LIMIT, least)
    places = np.where(x, np.arange(1, x.shape[1] + 1), 10**9)
    places.sort(axis=1)
    stops = np.full(len(x), np.inf)
    for k, audits in reversed(list(enumerate(numbers))):
        here = places[:, k] > audits
        if k:
            here &= places[:, k - 1] <= audits
        stops[here] = np.minimum(stops[here], audits)
    return stops


def shrinkage(prior_rate: float, weight: float) -> Any:
    """Return ALPHA with a truncated shrinkage estimate (Stark, arXiv 2201.02707, section 2.5.2)."""

    def test(x: NDArray[np.bool_], least: int) -> NDArray[np.float64]:
        before, n, mean = _null_mean(x, least)
        return _bet(x, mean, (weight * prior_rate * ALPHA + before) / (weight + n))

    return test


def betting(x: NDArray[np.bool_], least: int) -> NDArray[np.float64]:
    """Bet by the approximate growth-rate rule (Waudby-Smith and Ramdas, arXiv 2010.09686, aGRAPA).

    Wealth is multiplied by 1 + λ (mean − x), λ = min(c / (1 − mean), (mean − μ̂) / (σ̂² + (mean − μ̂)²)), with
    the running mean and variance started at one half error in 1/α audits. c = 0.75.
    """
    before, n, mean = _null_mean(x, least)
    estimate = (0.5 + before) / (1 / ALPHA + n)
    variance = estimate * (1 - estimate)
    gap = np.maximum(mean - estimate, 0)
    stake = np.minimum(0.75 / np.maximum(1 - mean, 1e-9), gap / (variance + gap**2))
    with np.errstate(divide="ignore", invalid="ignore"):
        return _stops(np.cumsum(np.log1p(stake * (mean - x)), axis=1))


CANDIDATES: dict[str, Any] = {
    "prior-posterior ratio (ours)": mixture,
    "ALPHA, shrinkage to α/10": shrinkage(0.1, 200),
    "ALPHA, shrinkage to α/4": shrinkage(0.25, 200),
    "ALPHA, shrinkage to α/2": shrinkage(0.5, 100),
    "betting, aGRAPA": betting,
}
