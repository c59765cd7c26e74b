"""The sample dataset: imbalanced, described, the same for one seed."""

import csv
import hashlib
import json
from pathlib import Path

import pytest
from PIL import Image

from workers.pocket.pictures import TRAINING
from workers.pocket.sample import CAMERAS, LABELS, _plan, counts, make_sample


def digests(folder: Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_file()
    }


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("標本 sample")
    progress_calls: list[tuple[int, int]] = []
    make_sample(folder, count=60, progress=lambda done, total: progress_calls.append((done, total)))
    assert progress_calls[-1] == (60, 60)
    return folder


def test_labels_are_imbalanced() -> None:
    label_counts = counts(2400)
    assert sum(label_counts.values()) == 2400
    assert len(label_counts) == 8
    assert label_counts["good"] > 0.5 * 2400
    assert min(label_counts.values()) < 0.03 * 2400
    assert min(counts(8).values()) == 1


def test_sample_has_files_metadata_and_labels(sample: Path) -> None:
    files = sorted(file.name for file in (sample / "pictures").glob("*.jpg"))
    assert len(files) == 60 and len(list(sample.rglob("*.jpg"))) == 60
    with (sample / "pictures" / "metadata.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert sorted(row["file"] for row in rows) == files
    assert {row["camera"] for row in rows} <= set(CAMERAS)
    assert all(row["line"] and row["shift"] for row in rows)
    with (sample / "truth.csv").open(encoding="utf-8") as stream:
        truth = {row["sha256"]: row["label"] for row in csv.DictReader(stream)}
    hashes = {hashlib.sha256((sample / "pictures" / file).read_bytes()).hexdigest() for file in files}
    assert set(truth) == hashes
    described = json.loads((sample / "labels.json").read_text(encoding="utf-8"))
    assert set(described) == set(truth.values())
    assert described["crack"]["critical"]
    for label in described.values():
        assert any(prompt.isascii() for prompt in label["prompts"])
        assert any(not prompt.isascii() for prompt in label["prompts"])
        assert label["guideline"]
    # Nothing in the import says which label a picture has.
    imported = " ".join([*files, (sample / "pictures" / "metadata.csv").read_text(encoding="utf-8")]).lower()
    assert not [name for name in described if name in imported]
    with Image.open(sample / "pictures" / files[0]) as image:
        assert image.format == "JPEG"
        assert min(image.size) >= 200


def test_line_and_camera_are_correlated() -> None:
    shots = _plan(2400, 7)
    press = [shot.camera for shot in shots if shot.line == "press-1"]
    assert press.count("C1") > 0.7 * len(press)
    assert len(set(press)) > 1


def test_files_depend_on_the_seed(tmp_path: Path) -> None:
    for name in ("one", "two", "other"):
        make_sample(tmp_path / name, count=12, seed=1 if name == "other" else 5)
    first = digests(tmp_path / "one")
    assert first == digests(tmp_path / "two")
    assert first != digests(tmp_path / "other")


def test_too_few_pictures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least"):
        make_sample(tmp_path, count=len(LABELS) - 1)


def test_cameras_have_other_backgrounds_than_training() -> None:
    for camera in CAMERAS.values():
        assert not set(camera.backgrounds) & set(TRAINING.backgrounds)
