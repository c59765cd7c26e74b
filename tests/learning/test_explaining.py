"""The parts of a score add up to the logits of the head, for every kind of head and any prompts."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mekiki.learning.explaining import LinearParts, MalformedHeadError, explain_score, read_parts
from mekiki.learning.models import Head
from tests.factories import EncoderFactory, HeadFactory
from tests.labelled_vectors import labelled_vectors
from tests.review_setup import Station
from workers.heads.serial import dump_head
from workers.heads.train import train_head
from workers.heads.zero_shot import ZeroShotHead, make_class_embeddings


@given(st.integers(0, 2**32), st.integers(1, 12), st.floats(0, 4), st.floats(0.1, 100))
def test_parts_add_up_for_any_prompts(seed: int, count: int, text_scale: float, logit_scale: float) -> None:
    dice = np.random.default_rng(seed)
    prompts = [(number, dice.standard_normal(6)) for number in range(count)]
    x = dice.standard_normal(6)
    parts = LinearParts(
        dice.standard_normal((2, 6)), dice.standard_normal(2), np.zeros(6), logit_scale, text_scale
    )
    made = explain_score(parts, 1, x, prompts)
    score = logit_scale * float(x @ parts.weights[1]) + float(parts.bias[1])
    text = make_class_embeddings([vector for _n, vector in prompts], np.zeros(count, int), 1)[0]
    tolerance = 1e-4 * logit_scale * (1 + text_scale)
    assert made.score == pytest.approx(score)
    assert made.prompts == pytest.approx(text_scale * logit_scale * float(x @ text), abs=tolerance)
    assert made.prompts + made.trained == pytest.approx(score)
    assert sum(share.points for share in made.shares) == pytest.approx(made.prompts, abs=1e-6)
    assert sorted(share.prompt for share in made.shares) == list(range(count))


def test_the_detail_of_an_image_counts_as_training() -> None:
    dice = np.random.default_rng(0)
    x, detail, prompt = dice.standard_normal(6), dice.standard_normal(3), dice.standard_normal(6)
    parts = LinearParts(dice.standard_normal((1, 9)), np.zeros(1), np.zeros(9), 2.0, 1.0, (0.5, 1.0, 2.0))
    made = explain_score(parts, 0, x, [(1, prompt)], detail)
    assert made.score == pytest.approx(2.0 * float(np.concatenate([x, detail]) @ parts.weights[0]))
    assert made.prompts == pytest.approx(2.0 * float(x @ prompt) / np.linalg.norm(prompt))
    unknown = explain_score(parts, 0, x, [(1, prompt)])
    difference = 2.0 * float((detail - np.array(parts.detail_centre)) @ parts.weights[0, 6:])
    assert made.score - unknown.score == pytest.approx(difference)
    assert made.prompts + made.trained == pytest.approx(made.score)


@pytest.mark.parametrize(
    ("prompts", "error"), [([], "no prompt"), ([np.ones(6), -np.ones(6)], "cancel"), ([np.ones(5)], "")]
)
def test_prompts_without_a_class_embedding_are_refused(prompts: list[Any], error: str) -> None:
    parts = LinearParts(np.ones((1, 6)), np.zeros(1), np.zeros(6), 1.0, 1.0)
    with pytest.raises(ValueError, match=error):
        explain_score(parts, 0, np.ones(6), list(enumerate(prompts)))


@pytest.mark.django_db
def test_rows_of_every_kind_of_head_are_read() -> None:
    X, y, T = labelled_vectors(n=60, d=6, labels=3)
    station, encoder = Station(labels=3), EncoderFactory(dim=6)
    ids = [label.pk for label in station.labels]
    trained = train_head(X, y, class_embeddings=T, logit_scale=50.0, seed=0).head
    for made, kind, text_scale in (
        (ZeroShotHead(T, 50.0), Head.Kind.ZERO_SHOT, 1.0),
        (trained, Head.Kind(trained.kind), trained.details.get("text_scale", 0.0)),
    ):
        head = HeadFactory(
            dataset=station.dataset, encoder=encoder, kind=kind, label_ids=ids, weights=dump_head(made)
        )
        parts = read_parts(head, [ids[2], ids[0]])
        assert np.allclose(parts.weights, made.weights[[2, 0]]) and np.allclose(parts.bias, made.bias[[2, 0]])
        assert np.allclose(parts.rest, made.weights[1])
        assert (parts.logit_scale, parts.text_scale) == (50.0, text_scale)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "data", [b"", b"weights", b"\xff" * 50, b"\x02\0\0\0\0\0\0\0{}", b"\x04\0\0\0\0\0\0\0null"]
)
def test_bytes_that_are_no_head_are_refused(data: bytes) -> None:
    station = Station()
    head = HeadFactory(dataset=station.dataset, weights=data)
    with pytest.raises(MalformedHeadError):
        read_parts(head, [station.labels[0].pk])
    with pytest.raises(MalformedHeadError, match="does not have"):
        read_parts(head, [10**9])
