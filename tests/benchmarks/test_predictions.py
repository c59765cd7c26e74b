"""The benchmarks of predictions and the gallery run and write figures under the design's names."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def figures(name: str, out: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, f"benchmarks/{name}.py", "--quick", "--json", out],
        cwd=ROOT, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def test_predictions(tmp_path: Path) -> None:
    found = figures("predictions", tmp_path / "out.json")
    assert found["images"] == 20_000
    assert 0 < found["store_s"] <= found["visible_s"]
    assert found["drop_s"] > 0 and found["long_read_drop_s"] > 1, "it had to wait for a reader of two seconds"


def test_gallery(tmp_path: Path) -> None:
    found = figures("gallery", tmp_path / "out.json")
    assert found["images"] == 20_000
    assert 0 < found["page_p50_ms"] <= found["page_p95_ms"]
    assert found["label_old_p95_ms"] > 0
