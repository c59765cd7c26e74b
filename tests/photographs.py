"""Real photographs for tests: the NEU surface defects, which are never copied into the project.

MEKIKI_TEST_PHOTOS names the folder. The default lies next to the checkout. Tests that need the photographs
are skipped with a reason where they are missing.
"""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDER = Path(os.environ.get("MEKIKI_TEST_PHOTOS") or ROOT.parent / "shared" / "data" / "neu-surface-defects")
KINDS = ("crazing", "inclusion", "patches", "pitted_surface", "rolled-in_scale", "scratches")


def photographs(kind: str, count: int) -> list[Path]:
    """Return the first `count` photographs of one kind, by name."""
    if not FOLDER.is_dir():
        pytest.skip(f"NO PHOTOGRAPHS at {FOLDER}: set MEKIKI_TEST_PHOTOS to the NEU surface defect database")
    files = sorted((FOLDER / kind).glob("*.jpg"))[:count]
    assert len(files) == count, f"{FOLDER / kind} holds only {len(files)} photographs"
    return files
