"""The benchmarks of predictions and the gallery run and write figures under the design's names."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def run_benchmark(name: str, out: Path, *options: str) -> dict[str, Any]:
    process = subprocess.run(
        [sys.executable, f"benchmarks/{name}.py", "--quick", "--json", out, *options],
        cwd=ROOT, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    figures: dict[str, Any] = json.loads(out.read_text())
    return figures


def test_predictions_benchmark_writes_plausible_figures(tmp_path: Path) -> None:
    measured = run_benchmark("predictions", tmp_path / "out.json")
    assert measured["images"] == 4_000
    assert 0 < measured["store_s"] <= measured["visible_s"]
    assert measured["drop_s"] > 0 and measured["long_read_drop_s"] > 1, (
        "the drop waits for a reader of two seconds"
    )


def test_gallery_benchmark_writes_plausible_figures(tmp_path: Path) -> None:
    measured = run_benchmark("gallery", tmp_path / "out.json", "--pages", "1")
    assert measured["images"] == 4_000
    assert 0 < measured["page_p50_ms"] <= measured["page_p95_ms"]
    assert measured["label_old_p95_ms"] > 0


def test_benchmark_of_facets_writes_plausible_figures(tmp_path: Path) -> None:
    measured = run_benchmark("gallery_facets", tmp_path / "out.json")
    assert measured["images"] == 2_000 and measured["pairs"] >= 5
    assert 0 < measured["page_p50_ms"] <= measured["page_p95_ms"] <= measured["slowest_p95_ms"]
    assert measured["counts_two_p50_ms"] > 0
