"""The benchmark of label efficiency measures what it reports, and it runs."""

import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

from benchmarks.efficiency import curves, data, methods, page, plots, summary

ROOT = Path(__file__).resolve().parents[2]


def create_data(n: int = 360, labels: int = 4, seed: int = 0) -> data.Data:
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(labels), n // labels)
    X = np.eye(labels, 8)[y] + 0.6 * rng.normal(size=(n, 8))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    return data.Data("made up", X.astype(np.float32), y, np.eye(labels, 8, dtype=np.float32), 10.0, labels)


def test_learning_benchmark_writes_the_figures_of_the_design(tmp_path: Path) -> None:
    out = tmp_path / "learning.json"
    process = subprocess.run(
        [sys.executable, "benchmarks/learning.py", "--quick", "--json", out, "--cache", tmp_path / "cache"],
        cwd=ROOT, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    assert "photographs: skipped, no --photos FOLDER was given" in process.stdout
    rows = json.loads(out.read_text())
    expected_names = {"data", "condition", "head", "acquisition", "area", "labels_to_95", "nll", "ece"}
    assert all(expected_names <= set(row) for row in rows)
    assert {(row["head"], row["acquisition"]) for row in rows if row["head"] != "zero_shot"} == set(
        methods.METHODS
    )
    assert {row["data"] for row in rows} == {"digits", "pictures"}
    assert all(0 <= value <= 1 for row in rows for value in row.get("curve", []))
    text = page.section(rows)
    for file in plots.write(rows, tmp_path):
        ElementTree.fromstring(file.read_text())
        assert f"images/{file.name}" in text


@pytest.mark.parametrize("imbalanced", [False, True])
def test_split_separates_test_and_pool_with_the_same_class_mixture(imbalanced: bool) -> None:
    source = create_data()
    parts = data.split(source, 3, imbalanced=imbalanced, wrong=0.1)
    assert not set(parts.pool) & set(parts.test)
    assert len(set(parts.pool)) == len(parts.pool)
    mixture = np.bincount(source.y[parts.pool], minlength=4) / len(parts.pool)
    np.testing.assert_allclose(np.bincount(source.y[parts.test], parts.weight, minlength=4), mixture)
    wrong = (parts.answers != source.y[parts.pool]).mean()
    assert 0.03 < wrong < 0.2
    repeated = data.split(source, 3, imbalanced=imbalanced, wrong=0.1)
    assert (
        repeated.pool.tolist() == parts.pool.tolist() and repeated.answers.tolist() == parts.answers.tolist()
    )


def test_imbalanced_pool_has_a_ratio_of_fifty_to_one() -> None:
    counts = data.picture_counts(240)
    y = np.repeat(np.arange(8), counts)
    source = data.Data("x", np.zeros((len(y), 1), np.float32), y, None, 1.0, 8)
    pool = np.bincount(y[data.split(source, 0, imbalanced=True).pool])
    assert pool[0] == 600 and pool[-1] == 12
    balanced = data.balanced(source, 240)
    assert np.bincount(balanced.y).tolist() == [240] * 8


def test_acquisition_never_selects_test_images_or_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    source = create_data()
    job = curves.Job(source, "balanced", 1, (8, 20))
    parts = job.split()
    moments = []

    def select_at_random(now: methods.Moment, k: int) -> np.ndarray:
        moments.append(now)
        return now.at_random(k)

    monkeypatch.setitem(methods.QUESTIONS, "random", select_at_random)
    points = curves.curve(job, parts, "plain", "random")
    assert [point["labels"] for point in points] == [8, 20]
    test = {row.tobytes() for row in source.X[parts.test]}
    assert all(row.tobytes() not in test for row in moments[0].X)
    assert len(moments[1].known) == 8 and not np.isin(moments[1].known, moments[1].free).any()
    monkeypatch.setitem(methods.QUESTIONS, "random", lambda now, k: np.zeros(k, int))
    with pytest.raises(RuntimeError, match="twice"):
        curves.curve(job, parts, "plain", "random")


@pytest.mark.parametrize("question", sorted(methods.QUESTIONS))
def test_acquisition_selects_distinct_unlabelled_images(question: str) -> None:
    source = create_data()
    known = np.arange(0, 40, 2)
    head = methods.fit_ours(source, known, source.y[known], 0)
    for fitted in (None, head):
        now = methods.Moment(
            source.X, np.setdiff1d(np.arange(360), known), known, source.y[known], fitted, 4,
            np.random.default_rng(0).permutation(360), 0,
        )  # fmt: skip
        if fitted is None and question == "ours":
            continue  # chosen before any answer, because `choose` needs scores afterwards
        selected = methods.QUESTIONS[question](now, 15)
        assert len(set(selected)) == 15 and np.isin(selected, now.free).all()
        assert selected.tolist() == methods.QUESTIONS[question](now, 15).tolist()


def test_badge_equals_k_means_plus_plus_on_explicit_gradients() -> None:
    rng = np.random.default_rng(2)
    X, p = rng.normal(size=(30, 4)), rng.dirichlet(np.ones(3), 30)

    class Head:
        def predict_proba(self, X: np.ndarray) -> np.ndarray:
            return p.copy()

    now = methods.Moment(X, np.arange(30), np.empty(0, int), np.empty(0, int), Head(), 3, np.arange(30), 4)
    gradient = ((p - np.eye(3)[p.argmax(axis=1)])[:, :, None] * X[:, None, :]).reshape(30, -1)
    draw = np.random.default_rng([4, 5])
    chosen = [int((gradient**2).sum(axis=1).argmax())]
    while len(chosen) < 8:
        gap = ((gradient[:, None] - gradient[chosen][None]) ** 2).sum(axis=2).min(axis=1)
        chosen.append(int(draw.choice(30, p=gap / gap.sum())))
    assert methods.ask_badge(now, 8).tolist() == chosen
    assert sorted(methods.ask_badge(now, 40)) == list(range(30))


def test_badge_selects_images_if_all_gradients_are_zero() -> None:
    class ConfidentHead:
        def predict_proba(self, X: np.ndarray) -> np.ndarray:
            return np.tile([1.0, 0.0], (len(X), 1))

    now = methods.Moment(
        np.ones((9, 2)), np.arange(9), np.empty(0, int), np.empty(0, int), ConfidentHead(), 2, np.arange(9), 0
    )
    assert len(set(methods.ask_badge(now, 6))) == 6


def test_random_draws_are_the_same_for_both_heads() -> None:
    job = curves.Job(create_data(), "balanced", 5, (12, 24))
    result = curves.run(job, [("plain", "random"), ("plain", "margin"), ("ours", "random")])
    assert set(result["curves"]) == {"plain/random", "plain/margin", "ours/random"}
    first = {name: points[0] for name, points in result["curves"].items()}
    # margin has no head before the first answers, so it starts with the same random draw
    assert first["plain/random"]["nll"] == first["plain/margin"]["nll"]


def test_area_and_labels_to_target_match_computed_examples() -> None:
    assert curves.area(np.array([10, 20, 40]), np.array([0.5, 0.7, 0.9])) == pytest.approx(0.7)
    assert curves.area(np.array([10, 20, 80]), np.array([0.0, 1.0, 1.0])) == pytest.approx(2.5 / 3)
    labels = np.array([10, 20, 40])
    assert curves.labels_to(0.8, labels, np.array([0.5, 0.7, 0.9])) == pytest.approx(20 * 2**0.5)
    assert curves.labels_to(0.4, labels, np.array([0.5, 0.7, 0.9])) == 10
    assert curves.labels_to(0.95, labels, np.array([0.5, 0.7, 0.9])) == float("inf")


def run_of(seed: int, ours: list[float], other: list[float], prompts: float) -> dict:
    def points(curve: list[float]) -> list[dict]:
        return [
            {"labels": n, "accuracy": a, "macro_recall": a, "nll": 1.0, "ece": 0.01, "seconds": 0.1}
            for n, a in zip((50, 100, 200), curve, strict=True)
        ]

    flat = {"accuracy": prompts, "macro_recall": prompts, "nll": 1.0, "ece": 0.2}
    return {
        "data": "d", "condition": "balanced", "seed": seed, "full_accuracy": 1.0, "zero_shot": flat,
        "curves": {"ours/ours": points(ours), "plain/random": points(other)},
    }  # fmt: skip


def test_differences_are_paired_and_targets_can_be_missed() -> None:
    # Seeds differ far more than methods. The difference is always 0.1.
    better = [run_of(s, [0.5 + s / 10] * 3, [0.4 + s / 10] * 3, 0.45 + s / 10) for s in range(3)]
    rows = summary.rows(better)
    other = next(row for row in rows if row["acquisition"] == "random")
    assert other["behind_ours"] == pytest.approx(0.1)
    assert other["behind_ours_low"] == pytest.approx(0.1) == other["behind_ours_high"]
    assert other["below_zero_shot"] == pytest.approx(0.05)
    verdict = {target.split(": ")[-1].split(",")[0]: met for target, met, _ in summary.verdicts(rows)}
    assert verdict["area best"] and verdict["never more than 1 point below zero-shot"]
    assert not verdict["labels to 95 % of full accuracy ≤ 0.6 × (random + plain)"]  # never reaches it
    worse = summary.rows([run_of(s, [0.4 + s / 10] * 3, [0.5 + s / 10] * 3, 0.45 + s / 10) for s in range(3)])
    missed = [target for target, met, _ in summary.verdicts(worse) if not met]
    assert any("area best" in target for target in missed)
    assert any("below zero-shot" in target for target in missed)


def test_ratio_of_labels_is_computed_from_the_medians() -> None:
    runs = [run_of(s, [0.9, 1.0, 1.0], [0.5, 0.9, 1.0], 0.5) for s in range(3)]
    rows = summary.rows(runs)
    need = {row["acquisition"]: row["labels_to_95"] for row in rows if row["head"] != "zero_shot"}
    assert need["ours"] == pytest.approx(50 * 2**0.5, abs=1e-3)
    assert need["random"] == pytest.approx(100 * 2**0.5, abs=1e-3)
    met = [met for target, met, _ in summary.verdicts(rows) if "median" in target]
    assert met == [True]
