"""Seconds, processor seconds and memory of one call, and lower bounds of its time on this machine."""

import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits


@dataclass(frozen=True)
class Taken:
    """The cost of one call, or the median of several."""

    seconds: float
    cpu: float  # of all threads
    grown_mb: float  # largest growth of anonymous memory (not mapped files) during the call


def own_mb() -> float:
    """Return the anonymous memory of this process in MB.

    Pages of mapped files are not included, because the system may take them back.
    """
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024
    return 0.0


def taken(call: Callable[[], Any]) -> tuple[Taken, Any]:
    """Run the call while a thread watches the memory; return its cost and its value."""
    before, most, over = own_mb(), 0.0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not over.wait(0.01):
            most = max(most, own_mb())

    watcher = threading.Thread(target=watch)
    watcher.start()
    begun, cpu = time.perf_counter(), time.process_time()
    try:
        value = call()
    finally:
        seconds, spent = time.perf_counter() - begun, time.process_time() - cpu
        over.set()
        watcher.join()
    return Taken(seconds, spent, max(0.0, max(most, own_mb()) - before)), value


def median(of: list[Taken]) -> Taken:
    return Taken(
        statistics.median(t.seconds for t in of),
        statistics.median(t.cpu for t in of),
        max(t.grown_mb for t in of),
    )


def read_s(X: NDArray[Any]) -> float:
    """Return the seconds to read every byte of X once, in blocks, in one thread.

    The pace of the fastest block is used for all of X, because other programs would raise the floor
    otherwise.
    """
    quickest = np.inf
    for start in range(0, max(1, len(X) - 8191), 8192):
        begun = time.perf_counter()
        part = X[start : start + 8192]
        part.view(np.uint64).sum()
        quickest = min(quickest, (time.perf_counter() - begun) / len(part))
    return float(quickest) * len(X)


def product_s(rows: int, dims: int, columns: int) -> float:
    """Return the seconds of a (rows, dims) × (dims, columns) product in float32, in one thread.

    Conversion is not included. The pace is that of the fastest of many blocks that lie in the cache.
    """
    rng = np.random.default_rng(0)
    block, W = rng.random((2048, dims), np.float32), rng.random((dims, columns), np.float32)
    quickest = np.inf
    with threadpool_limits(limits=1, user_api="blas"):
        for _ in range(30):
            begun = time.perf_counter()
            block @ W
            quickest = min(quickest, time.perf_counter() - begun)
    return float(quickest) * rows / 2048


def rescore_floor(X: NDArray[Any], labels: int) -> dict[str, float]:
    """Return the lower bound of re-scoring: all bytes read once and all products computed.

    Nothing is converted, and there is no softmax.
    """
    n, d = X.shape
    read, product = read_s(X), product_s(n, d, labels)
    return {
        "floor_gb": round(X.nbytes / 1e9, 3),
        "floor_gflop": round(2e-9 * n * d * labels, 3),
        "floor_read_s": round(read, 4),
        "floor_product_s": round(product, 4),
    }


def choose_floor(X: NDArray[Any], shortlist: int, sample: int, centres: int, groups: int) -> dict[str, float]:
    """Return the lower bound of choosing.

    It includes reading each image's uncertainty once, gathering the sample of the shortlist, assigning the
    sample once to the groups, and assigning each group once to its centres.
    """
    n, d = X.shape
    rows = np.sort(np.random.default_rng(0).choice(n, sample, replace=False))
    begun = time.perf_counter()
    np.asarray(X[rows], np.float32)
    gathered = time.perf_counter() - begun
    values = np.random.default_rng(1).random(n, np.float32)
    begun = time.perf_counter()
    np.partition(values, n - shortlist)
    ranked = time.perf_counter() - begun
    product = product_s(sample, d, groups) + product_s(sample, d, max(1, centres // groups))
    return {
        "choose_floor_mb": round(sample * d * 2 / 1e6, 1),
        "choose_floor_s": round(gathered + ranked + product, 4),
    }
