"""Effects of a change of prompts, compared with a plain computation on the same vectors."""

import numpy as np
import pytest

from tests.vectors import unit
from workers.heads.prompt_trial import PromptTrial, TrialPrompts, flip_rows, run_trial
from workers.heads.zero_shot import make_class_embeddings

OWNER = np.array([0, 0, 1, 2, 2, 2])
SCALE = 20.0


@pytest.fixture(scope="module")
def parts() -> tuple[np.ndarray, TrialPrompts, np.ndarray]:
    dice = np.random.default_rng(3)
    images = unit(dice.standard_normal((500, 16))).astype(np.float16)
    prompts = TrialPrompts(unit(dice.standard_normal((6, 16))).astype(np.float32), OWNER, 3)
    before = unit(dice.standard_normal((3, 16))).astype(np.float32)
    before[1] = np.nan  # a new label
    return images, prompts, before


def scores(images: np.ndarray, prompts: TrialPrompts) -> np.ndarray:
    return images.astype(np.float32) @ prompts.class_embeddings.T


def test_labels_flips_and_best_images_are_those_of_the_class_embeddings(parts: tuple) -> None:
    images, prompts, before = parts
    shown = np.arange(500) % 5 != 0
    trial = run_trial(images, prompts, before, logit_scale=SCALE, shown=shown, n_best=9, block=64)
    by_label = scores(images, prompts)
    assert (trial.label == by_label.argmax(1)).all()
    old = images.astype(np.float32) @ before[[0, 2]].T
    assert (trial.before == np.array([0, 2])[old.argmax(1)]).all()
    flips = trial.flips()
    assert flips[0, 1] == ((trial.before == 0) & (trial.label == 1)).sum() and flips[1].sum() == 0
    others = np.sort(by_label, axis=1)
    assert np.allclose(trial.lead, SCALE * (others[:, -1] - others[:, -2]), atol=1e-3)
    margin = np.where(trial.label == 1, by_label[:, 1] - others[:, -2], by_label[:, 1] - others[:, -1])
    margin[~shown] = -np.inf
    assert trial.best_rows[1].tolist() == np.argsort(-margin, kind="stable")[:9].tolist()
    examples = flip_rows(trial, shown, count=4, pairs=2)
    assert len(examples) == 2
    for (a, b), rows in examples.items():
        assert len(rows) == 4 and shown[rows].all() and (np.diff(trial.lead[rows]) <= 0).all()
        assert (trial.before[rows] == a).all() and (trial.label[rows] == b).all()


def test_effect_of_a_prompt_is_the_change_without_it(parts: tuple) -> None:
    images, prompts, _before = parts
    trial: PromptTrial = run_trial(images, prompts, None, logit_scale=SCALE)
    assert (trial.before == -1).all() and not trial.flips().any()
    assert [effect.brought is None for effect in trial.effects] == [False, False, True, False, False, False]
    for j in (0, 4):
        rest = np.delete(np.arange(6), j)
        without = images.astype(np.float32) @ make_class_embeddings(prompts.vectors[rest], OWNER[rest], 3).T
        c = OWNER[j]
        has, had = trial.label == c, without.argmax(1) == c
        assert trial.effects[j].brought == (has & ~had).sum()
        assert trial.effects[j].driven == (~has & had).sum()
    truth = np.where(np.arange(500) % 3 == 0, np.arange(500) % 7 % 3, -1)
    judged = run_trial(images, prompts, None, logit_scale=SCALE, truth=truth, block=64).effects[4]
    rest = np.delete(np.arange(6), 4)
    without = images.astype(np.float32) @ make_class_embeddings(prompts.vectors[rest], OWNER[rest], 3).T
    right, was_right = trial.label == truth, without.argmax(1) == truth
    assert (judged.helped, judged.hurt) == ((right & ~was_right).sum(), (~right & was_right).sum())
    assert judged.hurt_folds is not None and 0 <= judged.hurt_folds <= 5
    nearest = (images.astype(np.float32) @ prompts.vectors.T).argmax(1)
    assert [effect.best for effect in trial.effects] == np.bincount(nearest, minlength=6).tolist()


def test_similar_labels_are_measured_by_their_words_and_by_the_images(parts: tuple) -> None:
    images, prompts, _before = parts
    twin = TrialPrompts(prompts.vectors[[0, 2, 0]], np.array([0, 1, 2]), 3)
    trial = run_trial(images, twin, None, logit_scale=SCALE)
    logits = SCALE * scores(images, twin)
    assert trial.similar[0, 2] == pytest.approx(1, abs=1e-5) and trial.spread[0, 2] == pytest.approx(
        0, abs=1e-3
    )
    assert trial.spread[0, 1] == pytest.approx((logits[:, 0] - logits[:, 1]).std(), rel=1e-3)
    assert trial.between.sum() == 2 * len(images) and (trial.between == trial.between.T).all()
    single = run_trial(
        images[:3], TrialPrompts(prompts.vectors[:1], np.array([0]), 1), None, logit_scale=SCALE
    )
    assert single.label.tolist() == [0, 0, 0] and len(single.best_rows[0]) == 3
