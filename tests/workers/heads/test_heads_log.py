"""The training log: each code that a training logs has a sentence in both languages."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest
from django.utils import translation

from mekiki.learning import training_log
from tests.labelled_vectors import labelled_vectors
from workers.heads.train import train_head

Step = tuple[str, dict[str, Any]]


def logged_steps(X: np.ndarray, y: np.ndarray, T: np.ndarray) -> list[Step]:
    """Return the steps of one training, converted to JSON and back."""
    steps: list[Step] = []

    def log(code: str, /, **values: Any) -> None:
        steps.append((code, json.loads(json.dumps(values, allow_nan=False))))

    train_head(X, y, class_embeddings=T, logit_scale=20.0, seed=1, log=log)
    return steps


@pytest.fixture(scope="module")
def steps() -> list[Step]:
    """Return steps of trainings on no, few and many labels, and with an unlabelled class."""
    steps: list[Step] = []
    X, y, T = labelled_vectors(n=240, noise=0.5)
    for n in (0, 1, 5, 240):
        steps += logged_steps(X[:n], y[:n], T)
    labelled = y < y.max()
    steps += logged_steps(X[labelled], y[labelled], T)
    if "usual_stays" not in dict(steps):  # needs a challenger that leads by chance
        for seed in range(20):
            order = np.random.default_rng(seed).permutation(240)[:60]
            steps += logged_steps(X[order], y[order], T)
            if "usual_stays" in dict(steps):
                break
    return steps


def test_every_step_has_a_sentence_with_its_figures_in_both_languages(steps: list[Step]) -> None:
    codes = {code for code, _values in steps}
    assert len(codes) == 8, "each code of workers.heads is logged by a training"
    for code, values in steps:
        texts = {}
        for language in ("en", "ja"):
            with translation.override(language):
                texts[language] = training_log.sentence(code, values)
            assert not texts[language].startswith(code), f"there is no sentence for {code} {values}"
            assert bool(re.search(r"[ぁ-ん]", texts[language])) == (language == "ja"), texts[language]
        # The same figures, in any order.
        assert figures(texts["ja"]) == figures(texts["en"]), texts


def figures(text: str) -> list[str]:
    numbers = re.findall(r"\d+(?:[.,]\d+)*", re.sub(r"標準誤差 2 つ分|約 2 枚", "", text))
    return sorted(number.replace(",", "") for number in numbers)
