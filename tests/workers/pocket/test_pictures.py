"""The picture maker draws the requested object, always the same one, and reports it truthfully."""

import unicodedata
from dataclasses import replace
from unittest import mock

import numpy as np
import pytest

from workers.pocket.pictures import (
    FINISH_NAMES,
    HELD_OUT,
    STATES,
    SUBJECTS,
    TONE_NAMES,
    TRAINING,
    UNSEEN,
    Spec,
    choose,
    draw,
    draw_with_masks,
    finishes_of,
    possible,
    states_of,
    tones_of,
)
from workers.pocket.pictures.captions import ANY_DEFECT, UNSTATED, caption, claims_hold, facts


def spec_of(state: str, seed: int = 3) -> Spec:
    return choose(np.random.default_rng(seed), state=state)


def test_picture_depends_on_the_seed() -> None:
    spec = spec_of("scratch")
    first, again = draw(spec, 96, TRAINING), draw(spec, 96, TRAINING)
    assert np.array_equal(first, again)
    other = Spec(spec.subject, spec.finish, spec.tone, spec.state, spec.severity, spec.seed + 1)
    assert not np.array_equal(first, draw(other, 96, TRAINING))


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("side", [64, 144, 208])
def test_every_state_is_drawable_at_three_sizes(state: str, side: int) -> None:
    picture = draw(spec_of(state), side, UNSEEN)
    assert picture.shape == (side, side, 3)
    assert picture.dtype == np.uint8
    assert picture.std() > 1  # not one flat colour


@pytest.mark.parametrize("subject", SUBJECTS)
def test_every_subject_is_drawable_in_all_its_states(subject: str) -> None:
    for state in states_of(subject):
        spec = choose(np.random.default_rng(5), subject=subject, state=state)
        assert spec.subject == subject
        assert draw(spec, 64, TRAINING).shape == (64, 64, 3)


def test_a_severe_defect_changes_the_picture_of_the_same_object() -> None:
    """A chip removes material: object pixels become background, and only near the edge."""
    good = Spec("washer", "polished", "bright", "good", 1.0, 42)
    bad = Spec("washer", "polished", "bright", "crack", 1.0, 42)
    calm = TRAINING.__class__(**{**TRAINING.__dict__, "noise": (0.0, 0.0), "jpeg": (95, 96)})
    difference = np.abs(draw(good, 128, calm).astype(int) - draw(bad, 128, calm).astype(int)).mean()
    assert difference > 0.3


PLACED = sorted(set(STATES) - {"good", "missing", "wrong", "misprint"})


@pytest.mark.parametrize("state", PLACED)
def test_damage_mask_marks_the_damage(state: str) -> None:
    """Pixels of the sound and the damaged object differ mostly where the maker reports the damage."""
    calm = TRAINING.__class__(
        **{**TRAINING.__dict__, "noise": (0.0, 0.0), "jpeg": (97, 98), "blur": (0.0, 0.1), "grey": 0.0}
    )
    spec = choose(np.random.default_rng(9), state=state)
    drawing = draw_with_masks(spec, 128, calm)
    assert drawing.damage.shape == drawing.thing.shape == (128, 128)
    assert 0 <= drawing.damage.min() <= drawing.damage.max() <= 1
    assert drawing.damage.max() > 0.5
    assert np.array_equal(drawing.picture, draw(spec, 128, calm))


def test_hole_is_dark_inside_the_damage_mask() -> None:
    spec = Spec("surface", "polished", "bright", "hole", 1.0, 5)
    drawing = draw_with_masks(spec, 128, TRAINING)
    shade = drawing.picture.mean(2)
    assert shade[drawing.damage > 0.9].mean() < 0.7 * shade[drawing.damage < 0.05].mean()
    assert 0.001 < (drawing.damage > 0.5).mean() < 0.2


def test_chip_is_marked_as_damage_and_not_as_object() -> None:
    spec = Spec("washer", "polished", "bright", "chip", 1.0, 11)
    drawing, whole = (
        draw_with_masks(variant, 128, TRAINING) for variant in (spec, replace(spec, state="good"))
    )
    removed = (whole.thing > 0.9) & (drawing.thing < 0.1)
    assert removed.sum() > 30
    assert drawing.damage[removed].min() > 0.9


def test_states_without_a_place_have_an_empty_damage_mask() -> None:
    for state in ("good", "missing", "wrong", "misprint"):
        assert draw_with_masks(spec_of(state), 96, TRAINING).damage.max() == 0


def test_impossible_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match="surface"):
        draw(Spec("surface", "rolled", "steel", "burr", 0.5, 1), 64, TRAINING)


def test_training_never_chooses_a_held_out_pair() -> None:
    rng = np.random.default_rng(0)
    chosen = {(spec.subject, spec.state) for spec in (choose(rng) for _ in range(4000))}
    assert not chosen & HELD_OUT
    assert {state for _, state in chosen} == set(STATES)
    assert {subject for subject, _ in chosen} == set(SUBJECTS)


def test_every_state_has_subjects_for_training_and_evaluation() -> None:
    assert all(possible(subject, state) for subject, state in HELD_OUT)
    for state in STATES:
        subjects = [subject for subject in SUBJECTS if possible(subject, state)]
        trained = [subject for subject in subjects if (subject, state) not in HELD_OUT]
        assert len(trained) >= min(2, len(subjects)), state
    for state in ("scratch", "crack", "dent", "chip", "hole", "stain", "rust", "pits"):
        assert sum(held_out_state == state for _, held_out_state in HELD_OUT) >= 2


def test_chosen_specs_are_possible_and_have_a_tone_of_their_finish() -> None:
    rng = np.random.default_rng(6)
    chosen = [choose(rng) for _ in range(3000)]
    for spec in chosen:
        assert possible(spec.subject, spec.state, spec.finish)
        assert spec.tone in tones_of(spec.finish)
    assert {spec.finish for spec in chosen} == set(FINISH_NAMES)
    assert {spec.tone for spec in chosen} == set(TONE_NAMES)
    assert 0.34 < np.mean([spec.subject == "surface" for spec in chosen]) < 0.42


@pytest.mark.parametrize(
    ("subject", "state", "finish"),
    [
        ("surface", "rust", "wood"),
        ("surface", "fray", "glass"),
        ("surface", "crack", "fabric"),
        ("surface", "misprint", "rolled"),
        ("tile", "dent", "ceramic"),
        ("washer", "missing", "polished"),
        ("board", "good", "rolled"),  # a board never has this damage
    ],
)
def test_states_impossible_for_a_material_are_refused(subject: str, state: str, finish: str) -> None:
    assert not possible(subject, state, finish)
    with pytest.raises(ValueError, match=subject):
        draw(Spec(subject, finish, "steel", state, 0.5, 1), 64, TRAINING)


@pytest.mark.parametrize("subject", ["gear", "bearing", "bracket", "connector", "board", "tile"])
def test_missing_piece_changes_the_picture(subject: str) -> None:
    """The complete object and the object with a missing piece differ but are the same kind of picture."""
    finish = next(iter(finishes_of(subject)))
    tone = tones_of(finish)[0]
    differences = []
    for seed in range(4):
        good, bad = (
            draw(Spec(subject, finish, tone, state, 1.0, seed), 128, TRAINING).astype(int)
            for state in ("good", "missing")
        )
        differences.append(np.abs(good - bad).mean())
    assert min(differences) > 0.3


def test_good_objects_can_have_a_correct_print() -> None:
    has_print = []
    for seed in range(60):
        canvas_spec = Spec("cap", "plastic", "white", "good", 0.5, seed)
        with mock.patch("workers.pocket.pictures.scene.print_on") as printed:
            draw(canvas_spec, 64, TRAINING)
        has_print.append(printed.called)
    assert 0.4 <= np.mean(has_print) <= 0.75


def test_unseen_conditions_share_no_background_with_training() -> None:
    assert not set(UNSEEN.backgrounds) & set(TRAINING.backgrounds)


def test_captions_vary_and_come_in_both_languages() -> None:
    rng = np.random.default_rng(1)
    spec = spec_of("crack")
    english = {caption(rng, spec, "en").text for _ in range(200)}
    japanese = {caption(rng, spec, "ja").text for _ in range(200)}
    assert len(english) > 80
    assert len(japanese) > 80
    assert all(text.isascii() for text in english)

    def is_japanese(text: str) -> bool:
        return any(
            unicodedata.name(letter, "").startswith(("CJK", "HIRAGANA", "KATAKANA")) for letter in text
        )

    assert sum(is_japanese(text) for text in japanese) > 0.95 * len(japanese)  # «NG» is used in Japanese, too


def test_claim_of_a_caption_holds_for_its_picture() -> None:
    rng = np.random.default_rng(2)
    for _ in range(500):
        spec = choose(rng)
        written = caption(rng, spec)
        assert claims_hold(np.asarray([written.claim]), np.asarray([facts(spec)]))[0, 0]


def test_truth_of_claims() -> None:
    scratched, clean = STATES.index("scratch"), STATES.index("good")
    shown = np.asarray([(1, 0, 0, scratched), (1, 0, 0, clean), (0, 2, 0, scratched)])
    claims = np.asarray(
        [
            (UNSTATED, UNSTATED, UNSTATED, scratched),
            (1, UNSTATED, UNSTATED, scratched),
            (UNSTATED, UNSTATED, UNSTATED, ANY_DEFECT),
            (UNSTATED, UNSTATED, UNSTATED, UNSTATED),
        ]
    )
    expected = [[True, True, True, True], [False, False, False, True], [True, False, True, True]]
    assert claims_hold(claims, shown).tolist() == expected
