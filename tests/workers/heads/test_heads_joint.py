"""Heads on embedding and detail are near the better of the two, and remain one linear map."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from workers.heads import averaging
from workers.heads.choice import choose_head
from workers.heads.head import NonFiniteVectors
from workers.heads.scoring import score
from workers.heads.serial import dump_head, load_head
from workers.heads.train import train_head

Rows = NDArray[np.float64]


def create_data(
    *, embedding: float, detail: float, n: int = 900, seed: int = 0
) -> tuple[Rows, Rows, Any, Rows]:
    """Return embeddings, detail, labels and class embeddings.

    `embedding` and `detail` are the distances of the classes in each.
    """
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    T = np.eye(3, 24)
    X = embedding * T[y] + rng.normal(size=(n, 24)) + 3 * np.ones(24)
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    D = rng.normal(size=(n, 40)) * np.linspace(0.2, 4, 40) + 5
    D[:, :3] += detail * np.eye(3)[y] * D[:, :3].std(axis=0)
    return X.astype(np.float16).astype(np.float32), D.astype(np.float16).astype(np.float32), y, T


def accuracy(X: Rows, D: Rows | None, y: Any, T: Rows, n: int) -> float:
    head = train_head(
        X[:n], y[:n], class_embeddings=T, logit_scale=20.0, detail=None if D is None else D[:n]
    ).head
    joined = X if head.dim == X.shape[1] or D is None else np.concatenate([X, D], axis=1)
    return float((head.predict(joined[n:]) == y[n:]).mean())


@pytest.mark.parametrize("n", [12, 60, 300])
def test_the_joint_head_is_near_the_better_block(n: int) -> None:
    for embedding, detail in ((0.0, 5.0), (4.0, 0.0)):
        X, D, y, T = create_data(embedding=embedding, detail=detail)
        alone = accuracy(X, None, y, T, n)
        of_detail = accuracy(np.zeros_like(X) + X.mean(axis=0), D, y, T, n)
        assert accuracy(X, D, y, T, n) > max(alone, of_detail) - 0.06, (embedding, detail, alone, of_detail)


@pytest.mark.parametrize("n", [8, 24, 40, 300])
def test_useless_detail_does_no_harm(n: int) -> None:
    """Classes that the embedding separates with ease, and a detail that is noise."""
    X, D, y, T = create_data(embedding=12.0, detail=0.0)
    assert accuracy(X, D, y, T, n) >= accuracy(X, None, y, T, n) - 0.005
    X, D, y, T = create_data(embedding=4.0, detail=0.0)
    assert accuracy(X, D, y, T, n) >= accuracy(X, None, y, T, n) - 0.03


def test_head_that_weighs_no_detail_is_that_of_the_embedding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(averaging, "model_weights", lambda losses, v, seed: np.array([0.99, 0.01, 0.0]))
    X, D, y, T = create_data(embedding=3.0, detail=0.0, n=90)
    with_detail = train_head(X, y, class_embeddings=T, logit_scale=20.0, detail=D)
    without = train_head(X, y, class_embeddings=T, logit_scale=20.0)
    assert with_detail.metrics["detail_strengths"] == [{"gamma": 0.0, "weight": 1.0}]
    assert without.metrics["detail_strengths"] == []
    assert dump_head(with_detail.head) == dump_head(without.head)


def test_weights_follow_the_losses() -> None:
    losses = np.array([[0.1] * 40, [0.4] * 40, [0.1] * 20 + [0.12] * 20])
    weights = averaging.model_weights(losses, np.ones(40), 0)
    assert weights.sum() == pytest.approx(1) and weights[0] > weights[2] > weights[1]
    assert weights[1] < 1e-4
    # Labels without weight say nothing; the same labels and seed give the same weights.
    v = np.r_[np.ones(20), np.zeros(20)]
    assert averaging.model_weights(losses, v, 0)[[0, 2]] == pytest.approx(weights[0] * 0 + 0.5, abs=0.01)
    assert (averaging.model_weights(losses, v, 3) == averaging.model_weights(losses, v, 3)).all()


def test_the_head_is_linear_in_the_raw_detail_and_its_form_is_kept() -> None:
    X, D, y, T = create_data(embedding=1.0, detail=2.0)
    n = 200
    choice = choose_head(X[:n], y[:n], class_embeddings=T, logit_scale=20.0, detail=D[:n])
    block = choice.block
    assert block is not None and choice.calibration is not None
    head = train_head(X[:n], y[:n], class_embeddings=T, logit_scale=20.0, detail=D[:n]).head
    assert head.dim == 24 + 40
    data = dump_head(head)
    again = train_head(X[:n], y[:n], class_embeddings=T, logit_scale=20.0, detail=D[:n]).head
    assert data == dump_head(again), "same inputs, same bytes"
    loaded = load_head(data)
    joined = np.concatenate([X, D], axis=1)
    assert np.array_equal(score(loaded, joined).label, head.predict(joined))
    # An image with the mean detail has the logits of its embedding alone.
    centre = np.asarray(loaded.details["detail"]["centre"])
    assert np.array_equal(centre, centre.astype(np.float16)), "half precision holds the centre"
    at_centre = np.concatenate([X, np.repeat(centre[None], len(X), axis=0)], axis=1)
    z = (D - centre) @ (head.weights[:, 24:] * head.logit_scale).T
    assert np.allclose(head.decision_function(joined), head.decision_function(at_centre) + z, atol=1e-2)
    # Standardising makes units irrelevant.
    other = train_head(X[:n], y[:n], class_embeddings=T, logit_scale=20.0, detail=D[:n] * 8).head
    scaled = np.concatenate([X, D * 8], axis=1)
    assert np.allclose(other.predict_proba(scaled), head.predict_proba(joined), atol=1e-2)


def test_detail_that_does_not_fit_is_refused() -> None:
    X, D, y, T = create_data(embedding=1.0, detail=2.0, n=60)
    with pytest.raises(ValueError, match="detail must be"):
        train_head(X, y, class_embeddings=T, logit_scale=20.0, detail=D[:-1])
    D[3, 4] = np.nan
    with pytest.raises(NonFiniteVectors):
        train_head(X, y, class_embeddings=T, logit_scale=20.0, detail=D)


def test_no_labels_and_constant_detail_work() -> None:
    X, D, y, T = create_data(embedding=1.0, detail=2.0, n=60)
    empty = train_head(X[:0], y[:0], class_embeddings=T, logit_scale=20.0, detail=D[:0]).head
    assert empty.dim == 24 and np.allclose(empty.weights, T)
    for n in (1, 60):
        head = train_head(
            X[:n], y[:n], class_embeddings=T, logit_scale=20.0, detail=np.full_like(D[:n], 2)
        ).head
        assert np.isfinite(head.weights).all()
