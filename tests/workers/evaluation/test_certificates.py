"""Certificates over arrays: simulation, plan, stream and the accuracy of a whole pool."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from verification.certificates.decision import Audits, LabelGroups, decide
from verification.certificates.protocol import PLANNED, WATCHED, Protocol
from verification.certificates.spending import Numbers, next_audits
from workers.evaluation.certificates import StreamMonitor, make_plan, pool_accuracy, run_planned, run_watched
from workers.evaluation.certificates.label_tests import OwnAlphas


def run_stepwise(
    order: list[int], wrong: np.ndarray, numbers: Numbers, groups: LabelGroups | None = None
) -> tuple[int, int, int, int]:
    """Ask one image after another as the product does; return size, audits, left and wrong labels left."""
    state: list[int | None] = [None] * len(order)
    while True:
        audits = Audits(order, state)
        result = decide(numbers.protocol, len(wrong), audits, groups)
        chosen = next_audits(numbers, result, audits, 1)
        if not chosen:
            break
        state[chosen[0]] = int(wrong[order[chosen[0]]])
    region = result.certified
    size = region.size if region else 0
    asked = {order[t] for t, s in enumerate(state) if s is not None}
    wrong_left = sum(bool(wrong[rank]) for rank in range(size) if rank not in asked)
    if region:
        assert region.left == size - len([rank for rank in asked if rank < size])
    return size, sum(s is not None for s in state), region.left if region else 0, wrong_left


@settings(max_examples=12)
@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.02, 0.1]), st.sampled_from([40, 80]))
def test_the_simulation_follows_the_rules_of_the_product(seed: int, rate: float, limit: int) -> None:
    rng = np.random.default_rng(seed)
    wrong = rng.random(250) < rate * np.linspace(0, 2, 250)
    order = rng.permutation(250)
    numbers = Numbers(Protocol(0.1, 0.1, limit, (0.4, 0.6, 0.8, 1.0)), 250)
    run = run_watched(order, wrong, numbers)
    assert (run.size, run.audits, run.left, run.wrong_left) == run_stepwise(order.tolist(), wrong, numbers)


@settings(max_examples=12)
@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.02, 0.1]))
def test_the_planned_simulation_follows_the_rules_of_the_product(seed: int, rate: float) -> None:
    rng = np.random.default_rng(seed)
    wrong = rng.random(250) < rate * np.linspace(0, 2, 250)
    order = rng.permutation(250)
    numbers = Numbers(Protocol(0.1, 0.1, 70, (0.4, 0.6, 0.8), PLANNED), 250)
    run = run_planned(order, wrong, numbers)
    assert (run.size, run.audits, run.left, run.wrong_left) == run_stepwise(order.tolist(), wrong, numbers)


# The region holds after 37 audits, and not after 41: the machine may then set one wrong label less.
@example(782, 0.1, 60, WATCHED)
@settings(max_examples=16)
@given(
    st.integers(0, 10**6),
    st.sampled_from([0.0, 0.03, 0.1]),
    st.sampled_from([60, 120]),
    st.sampled_from([WATCHED, PLANNED]),
)
def test_the_simulation_follows_the_rules_for_single_labels(
    seed: int, rate: float, limit: int, test: str
) -> None:
    rng = np.random.default_rng(seed)
    wrong = rng.random(250) < rate * np.linspace(0, 2, 250)
    order = rng.permutation(250)
    predicted = rng.choice(["a", "b", "c"], 250, p=[0.5, 0.3, 0.2])
    predicted[:100] = np.where(predicted[:100] == "c", "a", predicted[:100])  # c is in no small region
    own = {"b": 0.2, "c": 0.3}
    protocol = Protocol(0.1, 0.1, limit, (0.4, 0.6, 0.8, 1.0), test, alpha_by_label=own)
    masks = {label: predicted == label for label in own}
    run_test = run_planned if test == PLANNED else run_watched
    run = run_test(order, wrong, Numbers(protocol, 250), OwnAlphas.of(masks))
    groups = LabelGroups.of(protocol, predicted.tolist())
    stepwise = run_stepwise(order.tolist(), wrong, Numbers(protocol, 250), groups)
    assert (run.size, run.audits, run.left, run.wrong_left) == stepwise


@pytest.mark.parametrize("kind", ["watched", PLANNED])
@pytest.mark.parametrize("errors", [0.1, 0.13, 0.2])
def test_pools_on_the_edge_are_wrongly_certified_in_delta_at_most(kind: str, errors: float) -> None:
    """Half of the regions hold the statement just before the audits and half of them just do not."""
    delta, runs = 0.2, 500
    rng = np.random.default_rng(7)
    numbers = Numbers(Protocol(0.1, delta, 60, (0.4, 0.5, 0.6, 0.8, 1.0), kind), 200)
    run = run_watched if kind == "watched" else run_planned
    wrong = np.zeros(200, bool)
    wrong[:: round(1 / errors)] = True
    bad = 0
    for _ in range(runs):
        end = run(rng.permutation(200), wrong, numbers)
        bad += end.wrong_left > 0.1 * end.left
    assert bad / runs <= delta + 3 * math.sqrt(delta * (1 - delta) / runs)


def test_a_plan_knows_its_price() -> None:
    rng = np.random.default_rng(0)
    confidence = 1 - rng.beta(0.2, 8, 3000) * 0.3
    audited = rng.choice(confidence, 60)
    plan = make_plan(confidence, audited, np.ones(60, bool), alphas=(0.02, 0.05), limits=(200, 400), runs=15)
    assert {(c.protocol.alpha, c.protocol.limit) for c in plan.curve} == {
        (0.02, 200), (0.02, 400), (0.05, 200), (0.05, 400),
    }  # fmt: skip
    for choice in plan.curve:
        assert choice.images[0] <= choice.images[1] <= choice.images[2] <= 3000
        assert choice.audits[2] <= choice.protocol.limit
        assert choice.minutes == pytest.approx(choice.audits[1] * 4 / 60)
    assert plan.best(0.05).answers <= plan.best(0.02).answers
    bad = make_plan(confidence, audited, np.arange(60) % 4 > 0, alphas=(0.02,), limits=(200,), runs=15)
    assert bad.expected_errors > 5 * plan.expected_errors
    assert bad.best(0.02).answers > plan.best(0.02).answers


def test_a_plan_counts_the_alphas_of_single_labels() -> None:
    confidence = np.linspace(0.9, 1, 1500)
    third = np.arange(1500) % 3 == 0
    audited = [0.5] * 40, [True] * 40  # the head is right more often than it says
    given = {"alphas": (0.2,), "limits": (50, 200), "runs": 15, "grid": (1.0,)}
    for test in (WATCHED, PLANNED):
        plain = make_plan(confidence, *audited, **given, test=test)
        strict = make_plan(
            confidence, *audited, **given, test=test, alpha_by_label={"b": 0.1}, predicted_as={"b": third}
        )
        # 50 audits hold 17 images of the label, which show too little at 10 %.
        granted = [(one.protocol.limit, one.granted > 0.5) for plan in (plain, strict) for one in plan.curve]
        assert granted == [(50, True), (200, True), (50, False), (200, True)]
        assert strict.best(0.2).answers > plain.best(0.2).answers
        assert strict.best(0.2).protocol.alpha_by_label == {"b": 0.1}


def test_a_plan_without_candidates_or_audits() -> None:
    assert make_plan([], [], [], limits=(100,)).best(0.02).images == (0, 0, 0)
    assert make_plan([0.99] * 50, [], [], alphas=(0.05,), limits=(10,), runs=20).best(0.05).granted == 0
    with pytest.raises(ValueError, match="two"):
        make_plan([0.9], [0.9], [True, False])


@given(st.lists(st.booleans(), max_size=12), st.sampled_from([0.02, 0.3]))
def test_the_evidence_of_a_stream_is_a_supermartingale_at_alpha(errors: list[bool], alpha: float) -> None:
    state = StreamMonitor(alpha, 0.05).extend(errors)
    after = alpha * state.update(True).evidence + (1 - alpha) * state.update(False).evidence
    assert after == pytest.approx(state.evidence, rel=1e-9)
    assert state.update(True).evidence >= state.update(False).evidence


def test_a_good_stream_seldom_raises_an_alarm_and_a_bad_one_soon_does() -> None:
    rng = np.random.default_rng(3)
    alarms = [StreamMonitor(0.05, 0.1).extend(rng.random(200) < 0.05).alarm for _ in range(200)]
    assert np.mean(alarms) <= 0.1 + 3 * math.sqrt(0.09 / 200)
    state = StreamMonitor(0.02, 0.05).extend([False] * 300)
    assert not state.alarm and state.since == 0
    state = state.extend(rng.random(150) < 0.25)
    assert state.alarm
    assert 280 < state.since < 330


@pytest.mark.parametrize("alpha, delta", [(0, 0.05), (0.02, 0), (1, 0.05), (0.02, 1)])
def test_streams_without_a_promise_are_refused(alpha: float, delta: float) -> None:
    with pytest.raises(ValueError):
        StreamMonitor(alpha, delta)


def test_the_accuracy_of_a_pool_weights_audits_by_confidence() -> None:
    """Reviewers took the hard images: what is left is easier than the audit sample."""
    confidence = np.repeat([0.6, 0.99], [20, 80])
    right = np.r_[np.tile([True, False], 10), np.ones(80, bool)]
    figure = pool_accuracy(confidence, right, np.repeat([0.6, 0.99], [100, 900]), by_people=1000)
    assert figure.machine == pytest.approx(0.95, abs=0.005)
    assert figure.value == pytest.approx(0.975, abs=0.003)
    assert figure.low < figure.value < figure.high <= 1
    assert figure.low >= 0.5  # people's labels count as right


@given(
    st.lists(st.tuples(st.sampled_from([0.5, 0.8, 1.0]), st.booleans()), max_size=80),
    st.lists(st.sampled_from([0.1, 0.5, 0.8, 1.0]), max_size=60),
    st.integers(0, 50),
)
def test_the_accuracy_of_any_pool_lies_in_its_interval(
    audits: list[tuple[float, bool]], waiting: list[float], by_people: int
) -> None:
    figure = pool_accuracy([c for c, _ in audits], [r for _, r in audits], waiting, by_people)
    assert 0 <= figure.low <= figure.high <= 1
    if figure.value is not None:
        assert figure.low - 1e-12 <= figure.value <= figure.high + 1e-12
    assert figure.by_machine == len(waiting)


def test_bad_arrays_of_a_pool_are_refused() -> None:
    with pytest.raises(ValueError):
        pool_accuracy([0.5], [], [], 0)
    with pytest.raises(ValueError):
        pool_accuracy([], [], [], -1)


def test_the_pool_interval_ends_where_people_cannot_have_removed_the_errors() -> None:
    """80 of 100 audits are right: at least 13 % of the fresh images are wrong, 20 of them were labelled."""
    figure = pool_accuracy(np.full(100, 0.5), np.arange(100) < 80, np.full(9900, 0.5), by_people=100)
    assert figure.high == pytest.approx(1 - (0.1333 * 10_000 - 20) / 10_000, abs=0.001)
    # With 2,000 labels people can have removed every error that the audits prove.
    many = pool_accuracy(np.full(100, 0.99), np.arange(100) < 80, np.full(8000, 0.99), by_people=2000)
    assert many.high == 1.0 and many.low < many.value < 1.0


def test_imports_of_a_pool_are_weighted_by_their_images_without_a_decision() -> None:
    """The first import is right in 100 of 100 audits, the second, ten times as large, in 50 of 100."""
    right = np.r_[np.ones(100, bool), np.arange(100) < 50]
    group = np.repeat([0, 1], 100)
    waiting = np.repeat([0, 1], [1000, 10_000])
    figure = pool_accuracy(
        np.full(200, 0.9),
        right,
        np.full(11_000, 0.9),
        200,
        audited_import=group,
        open_import=waiting,
        import_sizes=[1100, 10_100],
    )
    assert figure.machine == pytest.approx((1000 + 5000) / 11_000)
    # Images of an import without an audited image are left out, and counted.
    other = pool_accuracy(
        np.full(100, 0.9),
        right[:100],
        np.full(11_000, 0.9),
        100,
        audited_import=group[:100],
        open_import=waiting,
        import_sizes=[1100, 10_000],
    )
    assert (other.by_machine, other.left_out, other.value) == (1000, 10_000, 1.0)


def test_certified_labels_that_the_head_does_not_predict_widen_the_interval() -> None:
    right = np.arange(100) < 95
    plain = pool_accuracy(np.full(100, 0.9), right, np.full(1000, 0.9), 100)
    differing = pool_accuracy(np.full(100, 0.9), right, np.full(900, 0.9), 100, differing=100)
    assert differing.by_machine == 1000
    assert differing.low < plain.low and differing.high > plain.high
    assert plain.value == pytest.approx(differing.value)
