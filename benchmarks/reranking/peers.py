"""The same steps by the libraries people would use: scikit-learn, and scikit-activeml where it is installed."""

import importlib.util
import multiprocessing
import sys
import time
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from benchmarks.reranking.data import Pool, make

HOW = "pip install 'mekiki[bench]'"
LIMIT = 60.0  # seconds: a peer that took longer is not tried on a larger pool
QUERIES = ("UncertaintySampling", "Badge", "CoreSet")


def absent() -> str | None:
    """Why scikit-activeml is not measured, or None."""
    if importlib.util.find_spec("skactiveml") is None:
        return f"scikit-activeml is not installed and so not measured; {HOW} (or PYTHONPATH to a folder that has it)"
    return None


def logistic(pool: Pool, confirmed: int, seed: int) -> dict[str, float]:
    """scikit-learn's LogisticRegression at its defaults on the confirmed labels, then all probabilities at once."""
    from sklearn.linear_model import LogisticRegression

    rows = pool.confirmed(confirmed, seed)
    X, y = np.asarray(pool.X[rows], np.float32), pool.y[rows]
    begun = time.perf_counter()
    # Unit vectors at its default strength learn little; at 100 it learns what the head learns.
    model = LogisticRegression(C=100.0, max_iter=200).fit(X, y)
    fitted = time.perf_counter()
    model.predict_proba(np.asarray(pool.X, np.float32))
    return {"refit_s": fitted - begun, "rescore_s": time.perf_counter() - fitted}


def query(name: str, pool: Pool, confirmed: int, batch: int, seed: int) -> float:
    """Seconds of one query for a batch, fitting left out as far as the library lets one."""
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
    """In a process of its own, on the first n images of the pool that `make(*place)` maps: its result, or a string
    that says why there is none."""
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
        return "memory"  # the system ended it
    finally:
        process.join()
