"""Class embeddings and the zero-shot head."""

from __future__ import annotations

import numpy as np
import pytest

from workers.heads.head import LinearHead, NonFiniteVectors, check_vectors
from workers.heads.zero_shot import LabelWithoutPrompts, ZeroShotHead, make_class_embeddings


def test_prompts_are_normalised_before_and_after_the_mean() -> None:
    prompts = np.array([[10.0, 0.0], [0.0, 0.1], [-3.0, 0.0]])
    T = make_class_embeddings(prompts, [0, 0, 1], 2)
    np.testing.assert_allclose(T, [[2**-0.5, 2**-0.5], [-1.0, 0.0]], atol=1e-7)
    assert T.dtype == np.float32


def test_a_label_without_prompts_is_named() -> None:
    with pytest.raises(LabelWithoutPrompts, match="label 1 has no prompt") as caught:
        make_class_embeddings(np.ones((2, 3)), [0, 2], 3)
    assert caught.value.index == 1
    with pytest.raises(LabelWithoutPrompts, match="label 0"):
        make_class_embeddings(np.empty((0, 3), np.float32), np.empty(0, int), 2)


@pytest.mark.parametrize(
    ("vectors", "label_of", "n_labels", "message"),
    [
        ([[0.0, 0.0]], [0], 1, "prompt 0 has a zero vector"),
        ([[1.0, 0.0], [-1.0, 0.0]], [0, 0], 1, "label 0 cancel"),
        ([[1.0, 0.0]], [1], 1, "must lie in"),
        ([[1.0, 0.0]], [0, 0], 1, "label_index"),
        ([[1.0, 0.0]], [0], 0, "at least one label"),
        ([[np.nan, 0.0]], [0], 1, "not finite"),
    ],
)
def test_invalid_prompts_are_refused(vectors: list, label_of: list, n_labels: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_class_embeddings(np.array(vectors), label_of, n_labels)


def test_probabilities_are_the_softmax_of_scaled_cosines() -> None:
    T = np.eye(3, dtype=np.float32)
    head = ZeroShotHead(T, 2.0)
    p = head.predict_proba(np.array([[1.0, 0.0, 0.0]]))
    e = np.exp([2.0, 0.0, 0.0])
    np.testing.assert_allclose(p[0], e / e.sum(), rtol=1e-6)
    assert not head.calibrated
    assert head.predict(np.eye(3)).tolist() == [0, 1, 2]


def test_a_head_is_immutable() -> None:
    head = ZeroShotHead(np.eye(2), 1.0)
    with pytest.raises(ValueError, match="read-only"):
        head.weights[0, 0] = 5


@pytest.mark.parametrize(
    "bad", [{"logit_scale": 0.0}, {"logit_scale": np.nan}, {"logit_scale": 1.0, "temperature": -1.0}]
)
def test_invalid_scales_are_refused(bad: dict) -> None:
    with pytest.raises(ValueError, match="positive finite"):
        LinearHead(np.eye(2), **bad)


def test_vectors_are_checked() -> None:
    with pytest.raises(ValueError, match="2 dimensions, the head expects 3"):
        ZeroShotHead(np.eye(3), 1.0).predict(np.ones((1, 2)))
    X = np.ones((20, 3), np.float16)
    X[12] = np.nan
    with pytest.raises(NonFiniteVectors, match="rows 12"):
        check_vectors(X)
    # A sum that cancels or overflows float16 is valid.
    assert len(check_vectors(np.full((5000, 300), 6e4, np.float16))) == 5000
    X[12] = 1.0
    X[3, 0], X[4, 0] = np.inf, -np.inf
    with pytest.raises(NonFiniteVectors, match="rows 3, 4"):
        check_vectors(X)
