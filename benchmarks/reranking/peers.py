"""The same steps by common libraries: scikit-learn, and scikit-activeml if it is installed."""

import importlib.util
import multiprocessing
import sys
import time
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from benchmarks.reranking.data import Pool, make

HOW = "pip install 'mekiki[bench]'"
LIMIT = 60.0  # seconds; a peer that takes longer is not tried on a larger pool
QUERIES = ("UncertaintySampling", "Badge", "CoreSet")


def absent() -> str | None:
    """Return why scikit-activeml is not measured, or None."""
    if importlib.util.find_spec("skactiveml") is None:
        return (
            f"scikit-activeml is not installed and so not measured; {HOW} "
            "(or PYTHONPATH to a folder that has it)"
        )
    return None


def logistic(pool: Pool, confirmed: int, seed: int) -> dict[str, float]:
    """Return the seconds of scikit-learn's LogisticRegression: fit, then all probabilities at once.

    It is fitted on the confirmed labels.
    """
    from sklearn.linear_model import LogisticRegression

    rows = pool.confirmed(confirmed, seed)
    X, y = np.asarray(pool.X[rows], np.float32), pool.y[rows]
    begun = time.perf_counter()
    # At the default strength (C=1) it learns little from unit vectors; at C=100 it learns as much as the
    # head.
    model = LogisticRegression(C=100.0, max_iter=200).fit(X, y)
    fitted = time.perf_counter()
    model.predict_proba(np.asarray(pool.X, np.float32))
    return {"refit_s": fitted - begun, "rescore_s": time.perf_counter() - fitted}


def query(name: str, pool: Pool, confirmed: int, batch: int, seed: int) -> float:
    """Return the seconds of one query for a batch, without fitting as far as the library allows it."""
    from skactiveml import pool as strategies
    from skactiveml.classifier import SklearnClassifier
    from skactiveml.utils import MISSING_LABEL
    from sklearn.linear_model import LogisticRegression

    known = pool.confirmed(confirmed, seed)
    X = np.asarray(pool.X, np.float32)
    y = np.full(len(X), MISSING_LABEL)
    y[known] = pool.y[known]
    if name == "CoreSet":
        begun = time.perf_counter()
        strategies.CoreSet(random_state=seed).query(X=X, y=y, batch_size=batch)
        return time.perf_counter() - begun
    head = SklearnClassifier(
        LogisticRegression(C=100.0, max_iter=200), classes=np.arange(pool.n_labels), random_state=seed
    ).fit(X, y)
    if name == "Badge":
        strategy: Any = strategies.Badge(random_state=seed)
    else:
        strategy = strategies.UncertaintySampling(method="margin_sampling", random_state=seed)
    begun = time.perf_counter()
    strategy.query(X=X, y=y, clf=head, fit_clf=False, batch_size=batch)
    return time.perf_counter() - begun


def _child(to: Connection, path: list[str], which: str, place: tuple[Any, ...], n: int, given: Any) -> None:
    sys.path[:] = path
    try:
        pool = make(*place).first(n)
        to.send(logistic(pool, *given) if which == "LogisticRegression" else query(which, pool, *given))
    except MemoryError:
        to.send("memory")
    except Exception as error:
        to.send(f"{type(error).__name__}: {error}"[:200])


def alone(which: str, place: tuple[Any, ...], n: int, *given: Any, limit: float = 3 * LIMIT) -> Any:
    """Run a peer in a separate process, on the first n images of the pool that `make(*place)` maps.

    Returns its result, or a string with the reason why there is none.
    """
    mine, other = multiprocessing.Pipe(False)
    process = multiprocessing.get_context("spawn").Process(
        target=_child, args=(other, sys.path, which, place, n, given)
    )
    process.start()
    other.close()
    try:
        if not mine.poll(limit):
            process.terminate()
            return f"stopped after {limit:.0f} s"
        return mine.recv()
    except EOFError:
        return "memory"  # the system killed the process
    finally:
        process.join()
