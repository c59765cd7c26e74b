"""The benchmark of re-ranking measures what it reports, and it runs."""

import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np

from benchmarks.reranking import data, page, plots

ROOT = Path(__file__).resolve().parents[2]


def test_rerank_benchmark_writes_the_figures_of_the_design(tmp_path: Path) -> None:
    out = tmp_path / "rerank.json"
    process = subprocess.run(
        [sys.executable, "benchmarks/rerank.py", "--quick", "--json", out],
        cwd=ROOT, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    rows = json.loads(out.read_text())
    expected_names = {
        "images", "dims", "labels", "confirmed", "refit_s", "rescore_s", "choose_s", "total_s",
        "floor_read_s",
    }  # fmt: skip
    rerank_rows = [row for row in rows if row["kind"] == "rerank"]
    assert all(expected_names <= set(row) for row in rerank_rows)
    assert {row["images"] for row in rerank_rows} == {600, 1_800, 6_000}
    assert {(row["labels"], row["confirmed"]) for row in rerank_rows} == {
        (10, 100),
        (10, 300),
        (20, 100),
        (20, 300),
    }
    assert all(row["chosen"] == 300 for row in rerank_rows)
    kinds = {row["strategy"] for row in rows if row["kind"] == "acquisition"}
    assert {"margin", "k_center", "typiclust", "random", "cold start"} <= kinds
    peers = [row for row in rows if row["kind"] == "peer"]
    assert peers[0]["peer"] == "LogisticRegression" and peers[0]["rescore_s"] > 0
    # either measured, or reported as absent together with how to install it
    assert len(peers) > 1 or "scikit-activeml is not installed" in process.stdout
    plot = plots.write(rows, tmp_path)
    ElementTree.fromstring(plot.read_text())
    assert f"images/{plot.name}" in page.section(rows)


def test_pool_has_the_properties_described_on_the_page(tmp_path: Path) -> None:
    pool = data.make(tmp_path, 3_000, 5)
    repeated = data.make(tmp_path, 3_000, 5)
    assert isinstance(pool.X, np.memmap) and pool.X.dtype == np.float16
    assert pool.X.tobytes() == repeated.X.tobytes() and pool.y.tolist() == repeated.y.tolist()
    V = np.asarray(pool.X, np.float32)
    np.testing.assert_allclose(np.linalg.norm(V, axis=1), 1.0, atol=2e-3)
    # a tenth are near-copies, which have the label of their original
    near = V @ V.T
    np.fill_diagonal(near, -1.0)
    nearest = near.argmax(axis=1)
    copies = near.max(axis=1) > 0.995
    assert 0.08 < copies.mean() < 0.25
    assert (pool.y[copies] == pool.y[nearest[copies]]).mean() > 0.99
    rows = pool.confirmed(200, 0)
    assert len(set(rows)) == 200 and not pool.reserve[rows].any()
    # the prompts carry some information, but not all
    zero_shot_accuracy = ((V @ pool.text.T).argmax(axis=1) == pool.y).mean()
    assert 0.3 < zero_shot_accuracy < 0.95


def test_memory_of_a_call_is_measured_while_allocated() -> None:
    """The test uses a new process.

    A process that has freed much memory may allocate 40 MB without asking the system for more.
    """
    program = """
import time
import numpy as np
from benchmarks.reranking import measures

def hold():
    block = np.ones(40_000_000, np.uint8)
    time.sleep(0.1)
    return len(block)

each, value = measures.taken(hold)
assert value == 40_000_000
assert 35 < each.grown_mb < 120, each
assert each.seconds >= 0.1
"""
    process = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr
