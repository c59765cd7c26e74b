"""Seconds, processor seconds and memory of one call, and the least that the machine could do it in."""

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
    """Of one call, or of the median one."""

    seconds: float
    cpu: float  # of all threads
    grown_mb: float  # the most memory of its own (not mapped files) beyond what the process held before


def own_mb() -> float:
    """Anonymous memory of this process; pages of mapped files are not in it, which the system may take back."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024
    return 0.0


def taken(call: Callable[[], Any]) -> tuple[Taken, Any]:
    """Run it while a thread watches the memory."""
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
    """Seconds to read every byte of X once, in blocks, in one thread: the quickest block's pace for all of it.

    The quickest, because a floor that other programs have raised would be none.
    """
    quickest = np.inf
    for start in range(0, max(1, len(X) - 8191), 8192):
        begun = time.perf_counter()
        part = X[start : start + 8192]
        part.view(np.uint64).sum()
        quickest = min(quickest, (time.perf_counter() - begun) / len(part))
    return float(quickest) * len(X)


def product_s(rows: int, dims: int, columns: int) -> float:
    """Seconds of a (rows, dims) × (dims, columns) product in float32, without conversion, one thread's: the quickest
    of many blocks that lie in the cache."""
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
    """What re-scoring cannot avoid: all bytes read once and all products taken; nothing converted, no softmax."""
    n, d = X.shape
    read, product = read_s(X), product_s(n, d, labels)
    return {
        "floor_gb": round(X.nbytes / 1e9, 3),
        "floor_gflop": round(2e-9 * n * d * labels, 3),
        "floor_read_s": round(read, 4),
        "floor_product_s": round(product, 4),
    }


def choose_floor(X: NDArray[Any], shortlist: int, sample: int, centres: int, groups: int) -> dict[str, float]:
    """What choosing cannot avoid: each image's uncertainty looked at once, the shortlist's sample gathered, and one
    assignment of it to the groups and of each group to its own centres."""
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
