"""Two real Celery workers on one dataset, and `kill -9` of the leading one.

The test reads the figures of the benchmark.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
IMAGES = 600


@pytest.mark.slow
def test_each_image_is_embedded_once_although_a_worker_is_killed(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    command = [
        sys.executable,
        str(ROOT / "benchmarks" / "two_workers.py"),
        "--images",
        str(IMAGES),
        "--only-kill",
        "--json",
        str(out),
    ]
    # This test does not use the session's own servers.
    environment = {
        name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "BROKER_URL")
    }
    environment["MEKIKI_EMBEDDING_CHUNK"] = "32"  # work is shared from four chunks on
    # The benchmark fails if rows are missing, a job failed, or only one of the two workers did something.
    process = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=1800)
    assert process.returncode == 0, process.stdout[-3000:] + process.stderr[-3000:]
    figures = json.loads(out.read_text())
    assert figures["embedded_twice"] == 0
    assert figures["images"] == IMAGES
    assert 0 < figures["killed_share"] < IMAGES, "both workers embedded a part of the images"
    assert figures["predictions_asked"] == [1], "predictions follow once"
