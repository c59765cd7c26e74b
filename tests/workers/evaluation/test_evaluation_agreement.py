"""Agreement of reviewers: published examples, other implementations, and properties."""

from __future__ import annotations

import warnings
from collections import Counter

import krippendorff
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import binomtest
from sklearn.metrics import cohen_kappa_score

from workers.evaluation import agreement as ag

# Fleiss (1971), table 1: the diagnoses of six psychiatrists for 30 patients, each row sorted.
FLEISS = [
    "444444", "222555", "233335", "555555", "222444", "113333", "333355", "113334", "114444", "555555",
    "144444", "124444", "222333", "144444", "224445", "333335", "111455", "111112", "224444", "133555",
    "555555", "244444", "224555", "114444", "144445", "222224", "111155", "224444", "133333", "555555",
]  # fmt: skip
# Krippendorff (2011), section C: four observers, twelve units, some answers missing.
KRIPPENDORFF = ["123321412...", "1233224125.3", ".3332342251.", "1233244125 1.".replace(" ", "")]


def ratings_of(rows: list[str]) -> np.ndarray:
    return np.array([[int(c) - 1 if c.isdigit() else -1 for c in row] for row in rows])


def test_fleiss_example() -> None:
    made = ag.fleiss_kappa(ratings_of(FLEISS), 5)
    # Published: 0.430. statsmodels 0.15.0, inter_rater.fleiss_kappa: 0.43024452006014.
    assert made.value == pytest.approx(0.43024452006014)
    assert (made.images, made.ratings) == (30, 180)
    assert made.low is not None and made.high is not None
    assert 0.25 < made.low < 0.43 < made.high < 0.6


def test_krippendorff_example() -> None:
    made = ag.krippendorff_alpha(ratings_of(KRIPPENDORFF).T, 5)
    assert made.value == pytest.approx(0.743, abs=5e-4)
    # The last unit has one answer, which cannot be paired: 40 of 41 answers are used.
    assert (made.images, made.ratings) == (11, 40)


def test_aiag_example() -> None:
    """AIAG, "Measurement systems analysis", 4th edition: 50 parts, 3 appraisers, 3 runs."""
    table = {(0, 0): 44, (0, 1): 6, (1, 0): 3, (1, 1): 97}  # cross-tabulation of A and B
    pairs = np.array([pair for pair, n in table.items() for _ in range(n)])
    made = ag.cohen_kappa(pairs[:, :1], pairs[:, 1:], 2)
    assert made.value == pytest.approx(0.86, abs=0.005)
    for right, low, high in [(42, 71, 93), (45, 78, 97), (40, 66, 90)]:
        share = ag.exact_proportion(right, 50)
        assert (round(share.low * 100), round(share.high * 100)) == (low, high)


@given(st.integers(1, 300), st.data(), st.sampled_from([0.8, 0.95, 0.99]))
def test_exact_interval_equals_scipy(n: int, data: st.DataObject, confidence: float) -> None:
    k = data.draw(st.integers(0, n))
    truth = binomtest(k, n).proportion_ci(confidence, method="exact")
    share = ag.exact_proportion(k, n, confidence)
    assert (share.low, share.high) == pytest.approx((truth.low, truth.high), abs=1e-9)
    assert share.low <= k / n <= share.high


def test_proportions_refuse_impossible_numbers() -> None:
    for bad in [(3, 2, 0.95), (-1, 2, 0.95), (1, 2, 1.0), (1, 2, 0.0)]:
        with pytest.raises(ValueError):
            ag.exact_proportion(*bad)
    assert ag.exact_proportion(0, 0).value is None


def answers_of(
    reviewers: int = 3, images: int = 12, runs: int = 2, labels: int = 3, missing: bool = True
) -> st.SearchStrategy:
    lowest = -1 if missing else 0
    return arrays(np.int64, (reviewers, images, runs), elements=st.integers(lowest, labels - 1))


@given(answers_of(missing=False))
def test_cohen_equals_scikit_learn(answers: np.ndarray) -> None:
    made = ag.cohen_kappa(answers[0], answers[1], 3, resamples=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = cohen_kappa_score(answers[0].ravel(), answers[1].ravel(), labels=[0, 1, 2])
    if made.value is None:  # both gave one label only
        assert not np.isfinite(other) or len(np.unique(answers[:2])) == 1
    else:
        assert made.value == pytest.approx(other)


@given(answers_of())
def test_alpha_equals_krippendorff(answers: np.ndarray) -> None:
    ratings = answers.transpose(1, 0, 2).reshape(12, -1)
    made = ag.krippendorff_alpha(ratings, 3, resamples=0)
    if made.value is None:
        return
    data = np.where(ratings == -1, np.nan, ratings.astype(float)).T
    other = krippendorff.alpha(reliability_data=data, level_of_measurement="nominal", value_domain=[0, 1, 2])
    assert made.value == pytest.approx(other)


@given(answers_of(missing=False))
def test_alpha_is_fleiss_with_the_correction_for_small_samples(answers: np.ndarray) -> None:
    """With n answers and none missing, alpha = 1 − (1 − kappa)(n − 1) / n (Krippendorff 2011)."""
    ratings = answers.transpose(1, 0, 2).reshape(12, -1)
    kappa, alpha = (f(ratings, 3, resamples=0).value for f in (ag.fleiss_kappa, ag.krippendorff_alpha))
    if kappa is not None and alpha is not None:
        assert alpha == pytest.approx(1 - (1 - kappa) * (ratings.size - 1) / ratings.size)


@settings(max_examples=25)
@given(answers_of(), st.integers(0, 5))
def test_coefficients_are_at_most_one_and_inside_their_interval(answers: np.ndarray, seed: int) -> None:
    ratings = answers.transpose(1, 0, 2).reshape(12, -1)
    for made in (
        ag.fleiss_kappa(ratings, 3, resamples=200, seed=seed),
        ag.krippendorff_alpha(ratings, 3, resamples=200, seed=seed),
        ag.cohen_kappa(answers[0], answers[1], 3, resamples=200, seed=seed),
    ):
        if made.value is not None:
            assert made.value <= 1 + 1e-12
        if made.low is not None and made.high is not None:
            assert made.low <= made.high <= 1 + 1e-12


def test_the_bootstrap_repeats_with_its_seed() -> None:
    ratings = ratings_of(FLEISS)
    first, again = (ag.fleiss_kappa(ratings, 5, seed=7) for _ in range(2))
    assert first == again != ag.fleiss_kappa(ratings, 5, seed=8)


def test_the_bootstrap_in_blocks_equals_one_block(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ag.krippendorff_alpha(ratings_of(FLEISS), 5, resamples=300)
    monkeypatch.setattr(ag, "_BLOCK", 1000)
    parts = ag.krippendorff_alpha(ratings_of(FLEISS), 5, resamples=300)
    assert (whole.low, whole.high) == pytest.approx((parts.low, parts.high))


def test_bootstrap_interval_covers_the_truth() -> None:
    """In 95 % of samples of 40 images the interval should hold the alpha of the population.

    The bootstrap is known to cover a little less in samples of this size; below 85 % it would be wrong.
    """
    rng = np.random.default_rng(1)

    def sample(n: int) -> np.ndarray:
        truth = rng.integers(0, 3, n)
        return np.where(rng.random((n, 4)) < 0.8, truth[:, None], rng.integers(0, 3, (n, 4)))

    value = ag.krippendorff_alpha(sample(200_000), 3, resamples=0).value
    assert value is not None
    inside = 0
    for seed in range(200):
        made = ag.krippendorff_alpha(sample(40), 3, resamples=400, seed=seed)
        assert made.low is not None and made.high is not None
        inside += made.low <= value <= made.high
    assert inside >= 170


def test_perfect_agreement_has_no_bootstrap_interval() -> None:
    made = ag.fleiss_kappa(np.tile([[0], [1]], (5, 3)), 2)
    assert (made.value, made.low, made.high) == (1.0, None, None)


def test_one_label_only_leaves_kappas_undefined() -> None:
    same = np.zeros((6, 4), int)
    for made in (
        ag.fleiss_kappa(same, 2),
        ag.krippendorff_alpha(same, 2),
        ag.cohen_kappa(same[:, :2], same[:, 2:], 2),
    ):
        assert made.value is None and made.low is None


def test_no_answers_at_all() -> None:
    none = np.full((2, 5, 2), -1)
    assert ag.joint_reviewers(none) == []
    assert ag.between_reviewers(none).n == 0
    assert [share.n for share in ag.within_reviewers(none)] == [0, 0]
    assert ag.all_with_reference(none, np.zeros(5, int)).n == 0
    assert ag.fleiss_kappa(none.reshape(5, 4), 2).value is None
    assert np.isnan(ag.image_disagreement(none, 2)).all()
    assert ag.krippendorff_alpha(np.zeros((0, 4), int), 2).value is None


# Two reviewers and four images in two runs; a third reviewer has no answer. 0: good, 1: scratch, 2: dent.
SMALL = np.array(
    [
        [[0, 0], [1, 1], [1, 2], [0, 0]],
        [[0, 0], [1, 1], [1, 1], [0, -1]],
        [[-1, -1], [-1, -1], [-1, -1], [-1, -1]],
    ]
)
TRUTH = np.array([0, 1, 1, 1])


def test_proportions_of_images() -> None:
    assert [(p.k, p.n) for p in ag.within_reviewers(SMALL)] == [(3, 4), (3, 3), (0, 0)]
    assert [(p.k, p.n) for p in ag.with_reference(SMALL, TRUTH)] == [(2, 4), (3, 3), (0, 0)]
    # The third reviewer is left out. The fourth image has no second answer of the second reviewer.
    assert ag.joint_reviewers(SMALL) == [0, 1]
    between, right = ag.between_reviewers(SMALL), ag.all_with_reference(SMALL, TRUTH)
    assert [(between.k, between.n), (right.k, right.n)] == [(2, 3), (2, 3)]


def test_an_image_without_a_reference_label_does_not_count_against_the_reference() -> None:
    truth = np.array([0, 1, -1, 1])
    assert [(p.k, p.n) for p in ag.with_reference(SMALL, truth)][:2] == [(2, 3), (2, 2)]


def test_misses_and_false_alarms() -> None:
    critical = np.array([False, True, False])
    first, second, third = ag.critical_errors(SMALL, TRUTH, critical)
    assert (first.misses.k, first.misses.n) == (3, 6)  # a dent and two times good, for a scratch
    assert (second.misses.k, second.misses.n) == (1, 5)
    assert (first.false_alarms.k, first.false_alarms.n) == (0, 2)
    assert (third.misses.n, third.false_alarms.n) == (0, 0)


def test_confusion_and_disagreement() -> None:
    first, second, third = ag.confusion_matrices(SMALL, TRUTH, 3)
    assert first.tolist() == [[2, 0, 0], [2, 3, 1], [0, 0, 0]]
    assert third.sum() == 0 and second.sum() == 7
    assert ag.image_disagreement(SMALL, 3) == pytest.approx([0, 0, 0.5, 0])


@given(answers_of())
def test_the_order_of_images_and_reviewers_does_not_matter(answers: np.ndarray) -> None:
    turned = answers[::-1, ::-1]
    assert ag.between_reviewers(answers) == ag.between_reviewers(turned)
    assert Counter(ag.within_reviewers(answers)) == Counter(ag.within_reviewers(turned))
    assert ag.image_disagreement(answers, 3)[::-1] == pytest.approx(
        ag.image_disagreement(turned, 3), nan_ok=True
    )


@given(answers_of())
def test_agreement_of_all_is_at_most_the_agreement_of_one(answers: np.ndarray) -> None:
    """On the images that all answered, all agree at most as often as one reviewer agrees with themselves."""
    complete = answers[:, ag.complete_images(answers).all(axis=0)]
    if complete.shape[1]:
        between = ag.between_reviewers(complete)
        assert all(between.k <= share.k for share in ag.within_reviewers(complete))
        truth = complete[0, :, 0]
        assert ag.all_with_reference(complete, truth).k == between.k


def test_bad_arrays_are_refused() -> None:
    with pytest.raises(ValueError):
        ag.within_reviewers(np.zeros((2, 3)))
    with pytest.raises(ValueError):
        ag.within_reviewers(np.full((1, 1, 1), -2))
    with pytest.raises(ValueError):
        ag.with_reference(SMALL, np.zeros(3, int))
