"""The benchmark of the local detail runs on images made here and on a folder, and its table is written."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.write import adaptation

ROOT = Path(__file__).resolve().parents[2]


def test_the_quick_benchmark_compares_heads_with_and_without_detail(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for label, spot in (("good", False), ("small_spot", True)):
        (tmp_path / "cloth" / label).mkdir(parents=True)
        for number in range(14):
            pixels = rng.integers(90, 110, (200, 200), dtype=np.uint8)
            if spot:
                top, left = rng.integers(0, 190, 2)
                pixels[top : top + 2, left : left + 2] = 130
            Image.fromarray(pixels).save(tmp_path / "cloth" / label / f"{number}.png")
    out = tmp_path / "adaptation.json"
    command = [
        sys.executable,
        "benchmarks/adaptation.py",
        "--quick",
        "--textile",
        tmp_path / "cloth",
        "--json",
        out,
    ]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    results = json.loads(out.read_text())["results"]
    by_row = {r["row"]: r for r in results if r["set"] == "textile"}
    assert set(by_row) == {"pocket", "pocket + detail", "untrained", "untrained + detail", "detail alone"}
    assert by_row["pocket + detail"]["accuracy"] == 1 > by_row["pocket"]["accuracy"]
    assert {r["set"] for r in results} == {"textile", "digits", "pictures"}
    table = adaptation(results)
    assert "| textile | pocket + detail | 100.0% | 100.0% |" in table
