"""What training tells: each step has an English sentence here, and the platform knows every one of them."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest
from django.utils import translation

from mekiki.learning import training_log
from tests.labelled_vectors import world
from workers.heads.log import SENTENCES, in_english, sentence
from workers.heads.train import train_head

Step = tuple[str, dict[str, Any]]


def told(X: np.ndarray, y: np.ndarray, T: np.ndarray) -> list[Step]:
    """The steps of a real training, after a way through JSON."""
    steps: list[Step] = []

    def log(code: str, /, **values: Any) -> None:
        steps.append((code, json.loads(json.dumps(values, allow_nan=False))))

    train_head(X, y, text=T, logit_scale=20.0, seed=1, log=log)
    return steps


@pytest.fixture(scope="module")
def steps() -> list[Step]:
    """Those of trainings on no, few and many labels, with classes that nobody chose, and of choices of each kind."""
    found: list[Step] = []
    X, y, T = world(n=240, noise=0.5)
    for n in (0, 1, 5, 240):
        found += told(X[:n], y[:n], T)
    some = y < y.max()
    found += told(X[some], y[some], T)
    if "usual_stays" not in dict(found):  # needs another kind that is ahead by chance
        for seed in range(20):
            order = np.random.default_rng(seed).permutation(240)[:60]
            found += told(X[order], y[order], T)
            if "usual_stays" in dict(found):
                break
    return found


def test_every_step_is_told_in_english_and_by_the_platform_in_both_languages(steps: list[Step]) -> None:
    assert {code for code, _values in steps} == set(SENTENCES), "each code is said by some training"
    for code, values in steps:
        english = sentence(code, values)
        assert english.endswith(".") and "\n" not in english
        for language in ("en", "ja"):
            with translation.override(language):
                text = training_log.sentence(code, values)
            assert not text.startswith(code), f"the platform has no sentence for {code} {values}"
            assert bool(re.search(r"[ぁ-ん]", text)) == (language == "ja"), text
            # The same figures, whichever way round the language puts them.
            assert figures(text) == figures(english), (english, text)


def figures(text: str) -> list[str]:
    numbers = re.findall(r"\d+(?:[.,]\d+)*", re.sub(r"標準誤差 2 つ分|約 2 枚", "", text))
    return sorted(number.replace(",", "") for number in numbers)


def test_the_sentences_are_for_whoever_uses_the_package_alone(capsys: pytest.CaptureFixture[str]) -> None:
    X, y, T = world(n=120, noise=0.4)
    train_head(X, y, text=T, logit_scale=20.0, seed=1, log=in_english(print))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("120 labels over ") and any("log-loss" in line for line in lines)
    train_head(X, y, text=T, logit_scale=20.0, seed=1)
    assert capsys.readouterr().out == "", "silent unless asked"
    assert sentence("unlabelled", {"classes": 1}) == "1 class has no label yet: it rests on its prompts."
    with pytest.raises(KeyError):
        sentence("unheard of", {})
