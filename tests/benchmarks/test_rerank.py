"""The benchmark of re-ranking measures what it reports, and it runs."""

import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np

from benchmarks.reranking import data, page, plots

ROOT = Path(__file__).resolve().parents[2]


def test_it_runs_and_writes_figures_under_the_names_of_the_design(tmp_path: Path) -> None:
    out = tmp_path / "rerank.json"
    done = subprocess.run(
        [sys.executable, "benchmarks/rerank.py", "--quick", "--json", out],
        cwd=ROOT, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = json.loads(out.read_text())
    named = {
        "images", "dims", "labels", "confirmed", "refit_s", "rescore_s", "choose_s", "total_s",
        "floor_read_s",
    }  # fmt: skip
    ours = [row for row in rows if row["kind"] == "rerank"]
    assert all(named <= set(row) for row in ours)
    assert {row["images"] for row in ours} == {2_000, 6_000, 20_000}
    assert {(row["labels"], row["confirmed"]) for row in ours} == {
        (10, 100),
        (10, 300),
        (20, 100),
        (20, 300),
    }
    assert all(row["chosen"] == 300 for row in ours)
    kinds = {row["strategy"] for row in rows if row["kind"] == "acquisition"}
    assert {"margin", "k_center", "typiclust", "random", "cold start"} <= kinds
    beside = [row for row in rows if row["kind"] == "peer"]
    assert beside[0]["peer"] == "LogisticRegression" and beside[0]["rescore_s"] > 0
    # either measured, or reported as absent together with how to install it
    assert len(beside) > 1 or "scikit-activeml is not installed" in done.stdout
    drawn = plots.write(rows, tmp_path)
    ElementTree.fromstring(drawn.read_text())
    assert f"images/{drawn.name}" in page.section(rows)


def test_the_pool_is_what_the_page_says(tmp_path: Path) -> None:
    pool = data.make(tmp_path, 3_000, 5)
    again = data.make(tmp_path, 3_000, 5)
    assert isinstance(pool.X, np.memmap) and pool.X.dtype == np.float16
    assert pool.X.tobytes() == again.X.tobytes() and pool.y.tolist() == again.y.tolist()
    V = np.asarray(pool.X, np.float32)
    np.testing.assert_allclose(np.linalg.norm(V, axis=1), 1.0, atol=2e-3)
    # a tenth are near-copies, which have the label of their original
    near = V @ V.T
    np.fill_diagonal(near, -1.0)
    twin = near.argmax(axis=1)
    copies = near.max(axis=1) > 0.995
    assert 0.08 < copies.mean() < 0.25
    assert (pool.y[copies] == pool.y[twin[copies]]).mean() > 0.99
    rows = pool.confirmed(200, 0)
    assert len(set(rows)) == 200 and not pool.reserve[rows].any()
    # the prompts carry some information, but not all
    seen = ((V @ pool.text.T).argmax(axis=1) == pool.y).mean()
    assert 0.3 < seen < 0.95


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
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
