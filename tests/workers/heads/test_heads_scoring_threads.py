"""Scoring of large pools by several threads: same results and errors as by one."""

from __future__ import annotations

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from workers.heads import scoring
from workers.heads.head import NonFiniteVectors
from workers.heads.scoring import score
from workers.heads.zero_shot import ZeroShotHead


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_results_are_identical_for_any_number_of_threads(
    dtype: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    head = ZeroShotHead(rng.normal(size=(7, 32)), 30.0)
    X = rng.normal(size=(45_001, 32)).astype(dtype)
    results = []
    for threads in (1, 2, 3):
        with threadpool_limits(limits=threads, user_api="blas"):
            results.append(score(head, X, chunk=700))
    monkeypatch.setattr(scoring, "_MIN_ROWS_FOR_THREADS", 10**9)  # no threads
    with threadpool_limits(limits=1, user_api="blas"):
        results.append(score(head, X, chunk=700))
    for other in results[1:]:
        for name in ("label", "runner_up", "confidence", "runner_up_confidence", "margin", "entropy"):
            np.testing.assert_array_equal(getattr(results[0], name), getattr(other, name))
    assert len(np.unique(results[0].label)) == 7


def test_the_error_names_rows_of_the_first_invalid_block() -> None:
    X = np.zeros((60_000, 4), np.float16)
    X[[31_000, 59_000]] = np.nan
    with threadpool_limits(limits=2, user_api="blas"), pytest.raises(NonFiniteVectors) as caught:
        score(ZeroShotHead(np.eye(3, 4), 10.0), X)
    assert caught.value.rows.tolist() == [31_000]
