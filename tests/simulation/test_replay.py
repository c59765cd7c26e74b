"""`mekiki replay` as a command, on a new folder. It starts the complete platform."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from mekiki.embedded import places
from tests import prepared_homes
from tests.config.test_command_line import run_commands

pytestmark = pytest.mark.slow


def draw(kind: str, rng: np.random.Generator, size: int) -> Image.Image:
    """Draw grey pictures of three kinds that anybody can distinguish: stripes, dots, plain."""
    y, x = np.mgrid[0:size, 0:size] / size
    picture = 128 + rng.normal(0, 12, (size, size))
    if kind == "stripes":
        picture += 60 * np.sin(2 * np.pi * (8 * x + rng.uniform(-1, 1) * y) + rng.uniform(0, 6))
    elif kind == "dots":
        for _ in range(25):
            cx, cy = rng.uniform(0.1, 0.9, 2)
            picture -= 90 * (((x - cx) ** 2 + (y - cy) ** 2) < 0.0016)
    return Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8), "L")


@pytest.fixture
def folder(tmp_path):
    """Create the folders of a split with Japanese names, spaces in names, mixed sizes and a rare class.

    They also hold a file that is no image, a pipe, and one picture under two labels.
    """
    rng = np.random.default_rng(5)
    root = tmp_path / "検査 画像"
    for name, kind, count in (
        ("しま 模様", "stripes", 60),
        ("dots on it", "dots", 60),
        ("plain", "plain", 12),
    ):
        for split in ("train", "test"):
            (root / split / name).mkdir(parents=True)
        for i in range(count):
            split = "test" if i % 4 == 0 else "train"
            draw(kind, rng, int(rng.integers(64, 220))).save(root / split / name / f"{i:03}.png")
    (root / "test" / "plain" / "notes.jpg").write_text("not an image")
    os.mkfifo(root / "test" / "plain" / "pipe.png")
    twice = (root / "train" / "plain" / "001.png").read_bytes()
    (root / "train" / "dots on it" / "001.png").write_bytes(twice)
    return root


def replay(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "mekiki", "replay", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=240,
    )


@pytest.fixture
def home(tmp_path, django_db_setup):
    yield prepared_homes.prepare(tmp_path / "home")
    places.delete_database(tmp_path / "home" / "postgres")


def test_replay_improves_the_accuracy_and_its_label_set_verifies(folder, tmp_path, home):
    out = tmp_path / "figures" / "replay.json"
    options = ("--budget", 36, "--batch", 18, "--certify", "0.3,0.1", "--home", home, "--json", out)
    process = replay(folder, *options)
    assert process.returncode == 0, process.stdout + process.stderr
    for message in (
        "Read as the parts of a split, not as labels: test, train.",
        "Labels and their files: dots on it (60), plain (13), しま 模様 (60).",
        "2 files refused",
        "plain/notes.jpg",
        "This file is not an image",
        "test/plain/pipe.png: This is not a file but a named pipe",
        "train/dots on it/001.png = train/plain/001.png",
    ):
        assert message in process.stdout, process.stdout
    figures = json.loads(out.read_text())
    assert set(figures) == {
        *("encoder", "images", "labels", "zero_shot_accuracy", "zero_shot_macro_recall", "final_accuracy"),
        *("final_macro_recall", "answers", "seconds", "verified", "rounds", "certificate", "detail"),
    }
    assert figures["detail"] is True, "a new dataset uses the local detail"
    assert (figures["images"], figures["labels"], figures["answers"]) == (131, 3, 36)
    assert figures["verified"] is True
    assert [r["answers"] for r in figures["rounds"]] == [0, 18, 36]
    assert figures["final_accuracy"] > max(0.8, figures["zero_shot_accuracy"])
    audit = figures["rounds"][-1]["audit"]
    assert audit["n"] > 0
    assert audit["low"] <= audit["estimate"] <= audit["high"]

    certified = figures["certificate"]
    # The seed is random, and with it whether the certificate is granted.
    assert certified["state"] in ("accepted", "failed"), certified
    assert (certified["by_machine"] > 0) is (certified["state"] == "accepted")
    assert certified["wrong"] <= certified["by_machine"]
    assert certified["answers"] == 36 + certified["audits"] + certified["remainder"]
    # Every image has a label of a person or a machine, or is one of the remainder. The audited images of the
    # certificate are not among the answers before.
    assert certified["by_machine"] + certified["answers"] == 131
    assert "Answers to a finished pool" in process.stdout


def test_wrong_arguments_are_refused_before_anything_starts(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    certify = [[str(folder), "--certify", bounds] for bounds in ("0.02", "0.02,x", "2,5", "0.02,0")]
    commands = [["replay", *arguments] for arguments in [*certify, [str(tmp_path / "empty")]]]
    *without_two_shares, without_labels = run_commands(commands, tmp_path)
    assert [status for status, _output in without_two_shares] == [1] * 4
    assert all("needs two shares" in output for _status, output in without_two_shares)
    assert without_labels[0] != 0 and "at least two folders" in without_labels[1]
