"""The tests of a certificate: exact tails, the supermartingale, and the decision over nested regions."""

import itertools
import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verification.certificates.decision import (
    OPEN,
    RIGHT,
    WRONG,
    Audits,
    LabelGroups,
    decide,
    decide_whole_pool,
)
from verification.certificates.protocol import PLANNED, Protocol
from verification.certificates.regions import allowed_errors
from verification.certificates.spending import Numbers, target_size
from verification.certificates.tails import lower_tail, p_value, planned_audits, upper_bound
from verification.certificates.watched import (
    boundary,
    boundary_of_labels_left,
    last_counts,
    log_evidence,
    watched_upper_bound,
)

POOLS = st.integers(1, 7).flatmap(
    lambda size: st.tuples(st.just(size), st.integers(0, size), st.integers(0, size))
)


def exact_tail(wrong: int, audited: int, errors: int, size: int) -> Fraction:
    """Return P(K ≤ wrong) by drawing every sample."""
    samples = list(itertools.combinations(range(size), audited))
    return Fraction(sum(sum(i < errors for i in sample) <= wrong for sample in samples), len(samples))


@settings(max_examples=40)
@given(POOLS, st.integers(0, 7))
def test_tail_equals_enumeration(pool: tuple[int, int, int], wrong: int) -> None:
    size, audited, errors = pool
    wrong = min(wrong, audited)
    assert lower_tail(wrong, audited, errors, size) == pytest.approx(
        float(exact_tail(wrong, audited, errors, size)), abs=1e-12
    )


@settings(max_examples=40)
@given(POOLS, st.integers(0, 6))
def test_p_value_is_the_largest_tail_under_the_null_hypothesis(
    pool: tuple[int, int, int], allowed: int
) -> None:
    size, audited, wrong = pool
    wrong = min(wrong, audited)
    worst = max(
        (exact_tail(wrong, audited, e, size) for e in range(allowed + 1, size + 1)), default=Fraction(0)
    )
    if wrong <= allowed:
        assert p_value(size, audited, wrong, allowed) == pytest.approx(float(worst), abs=1e-12)


@settings(max_examples=40)
@given(st.integers(1, 300), st.data(), st.sampled_from([0.01, 0.05, 0.3]))
def test_upper_bound_is_the_largest_number_that_is_not_refuted(
    size: int, data: st.DataObject, delta: float
) -> None:
    audited = data.draw(st.integers(0, size))
    wrong = data.draw(st.integers(0, audited))
    bound = upper_bound(size, audited, wrong, delta)
    kept = [
        e for e in range(wrong, size - audited + wrong + 1) if lower_tail(wrong, audited, e, size) > delta
    ]
    assert bound == max(kept)


def test_numbers_of_the_textbook() -> None:
    # 2 % of 5,000, no error: log 0.05 / log 0.98 = 148, and 145 without replacement.
    assert planned_audits(5000, 100, 0.05) == 145
    assert p_value(5000, 145, 0, 100) <= 0.05 < p_value(5000, 144, 0, 100)


def test_the_boundary_of_the_null_hypothesis_is_an_integer() -> None:
    """At 2 % of 150 images 3 errors are allowed and 4 are not; 2.9 of 149 allow 2."""
    assert [allowed_errors(size, 0.02) for size in (149, 150, 151)] == [2, 3, 3]
    assert allowed_errors(100, 0.29) == 29  # 0.29 * 100 is 28.999… in binary
    assert allowed_errors(50, 0.02, 60) == 0


@st.composite
def nulls(draw: st.DrawFn) -> tuple[int, int, int, int]:
    size = draw(st.integers(1, 8))
    allowed = draw(st.integers(0, size - 1))
    errors = draw(st.integers(allowed + 1, size))
    return size, allowed, errors, draw(st.integers(1, size))


@settings(max_examples=40)
@given(nulls())
def test_evidence_is_a_supermartingale_under_every_null(null: tuple[int, int, int, int]) -> None:
    """By every count that a random order of the region can pass."""
    size, allowed, errors, reference = null

    def evidence(n: int, k: int) -> float:
        return math.exp(log_evidence(size, n, k, allowed, reference))

    assert evidence(0, 0) <= 1 + 1e-9
    for n in range(size):
        for k in range(max(0, errors - (size - n)), min(n, errors) + 1):
            now, wrong = evidence(n, k), Fraction(errors - k, size - n)
            after = 0.0 if wrong == 1 else float(1 - wrong) * evidence(n + 1, k)
            if wrong:
                after += float(wrong) * evidence(n + 1, k + 1)
            assert after <= now * (1 + 1e-9) + 1e-12
            if errors == allowed + 1 and wrong < 1:  # no probability is lost
                assert after == pytest.approx(now, abs=1e-9)


@settings(max_examples=40)
@given(nulls(), st.sampled_from([0.05, 0.2, 0.5]))
def test_some_order_in_delta_refutes_a_true_null_at_most(
    null: tuple[int, int, int, int], delta: float
) -> None:
    """Of all orders of the region, at most δ ever reach 1/δ: the test may stop at any time."""
    size, allowed, errors, reference = null
    orders = list(itertools.combinations(range(size), errors))
    crossed = 0
    for places in orders:
        k, path = 0, []
        for n in range(size + 1):
            path.append(log_evidence(size, n, k, allowed, reference))
            k += n in places
        crossed += max(path) >= -math.log(delta)
    assert crossed / len(orders) <= delta


@given(st.integers(2, 400), st.data())
def test_evidence_grows_with_right_answers_and_with_the_number_of_errors(
    size: int, data: st.DataObject
) -> None:
    allowed = data.draw(st.integers(0, size - 1))
    reference = data.draw(st.integers(1, size))
    n = data.draw(st.integers(0, size - 1))
    k = data.draw(st.integers(0, min(n, allowed)))
    now = log_evidence(size, n, k, allowed, reference)
    assert log_evidence(size, n + 1, k, allowed, reference) >= now - 1e-9
    if k < n:
        assert log_evidence(size, n, k + 1, allowed, reference) <= now + 1e-9
    if now > 0:
        assert log_evidence(size, n, k, allowed + 1, reference) >= now - 1e-9


@settings(max_examples=40)
@given(st.integers(1, 200), st.data(), st.sampled_from([0.02, 0.05, 0.3]))
def test_boundary_and_bound_agree_with_the_evidence(size: int, data: st.DataObject, delta: float) -> None:
    allowed = data.draw(st.integers(0, size))
    limit = data.draw(st.integers(1, size))
    reference = data.draw(st.integers(1, size))
    numbers = boundary(size, allowed, delta, limit, reference)
    for k in range(min(limit, 6)):
        first = next(
            (
                n
                for n in range(k, limit + 1)
                if log_evidence(size, n, k, allowed, reference) >= -math.log(delta)
            ),
            None,
        )
        assert (numbers[k] if k < len(numbers) else None) == first
    errors = data.draw(st.lists(st.booleans(), max_size=size))
    counts = last_counts(errors)
    bound = watched_upper_bound(size, counts, delta, reference)
    refuted = [
        any(log_evidence(size, n, k, e, reference) >= -math.log(delta) for n, k in counts)
        for e in range(size + 1)
    ]
    assert bound == refuted.index(True)
    assert all(refuted[bound:])


@settings(max_examples=40)
@given(st.integers(20, 400), st.sampled_from([0.02, 0.05, 0.2]), st.integers(1, 200))
def test_boundary_of_the_labels_left(size: int, alpha: float, limit: int) -> None:
    reference = allowed_errors(size, alpha) + 1
    numbers = boundary_of_labels_left(size, alpha, 0.05, limit, reference)
    for k, n in enumerate(numbers):
        bounds = [
            watched_upper_bound(size, [(audits, k)], 0.05, reference) - k for audits in (max(k, n - 1), n)
        ]
        assert bounds[1] <= allowed_errors(size - n, alpha)
        if n > k and n > (numbers[k - 1] if k else 0):
            assert bounds[0] > allowed_errors(size - n + 1, alpha)


def answers(rng: np.random.Generator, wrong: np.ndarray, count: int) -> Audits:
    order = rng.permutation(len(wrong)).tolist()
    return Audits(order, [int(wrong[r]) if t < count else None for t, r in enumerate(order)])


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.sampled_from(["watched", PLANNED]))
def test_open_answers_never_help(seed: int, test: str) -> None:
    """An open answer that is resolved, whichever way, certifies at least as large a region."""
    rng = np.random.default_rng(seed)
    wrong = rng.random(400) < np.linspace(0, 0.15, 400)
    protocol = Protocol(0.1, 0.2, 90, (0.4, 0.6, 0.8, 1.0), test)
    settled = answers(rng, wrong, 90)
    opened = Audits(
        settled.rank, [OPEN if s is not None and rng.random() < 0.1 else s for s in settled.state]
    )
    before, after = decide(protocol, 400, opened), decide(protocol, 400, settled)
    size = before.certified.size if before.certified else 0
    # Wrong answers that were open are taken off the machine's labels once they are settled.
    assert size <= (after.certified.size if after.certified else 0)


def test_a_gap_in_the_order_ends_the_sample() -> None:
    protocol = Protocol(0.1, 0.05, 100, (0.5, 1.0))
    states: list[int | None] = [RIGHT] * 60
    full = decide(protocol, 400, Audits(list(range(60)), states))
    states[10] = None
    broken = decide(protocol, 400, Audits(list(range(60)), states))
    assert full.regions[0].step.audited == 60
    assert broken.regions[0].step.audited == 10
    assert full.certified is not None and broken.certified is None


def test_the_sequence_ends_at_the_first_region_that_is_not_refuted() -> None:
    """All errors are in the first region: the whole pool would pass, that region does not."""
    wrong = np.zeros(2000, bool)
    wrong[:15] = True
    protocol = Protocol(0.02, 0.05, 1500, (0.1, 1.0), PLANNED)
    rng = np.random.default_rng(1)
    result = decide(protocol, 2000, answers(rng, wrong, 1500))
    alone = decide(replace(protocol, levels=(1.0,)), 2000, answers(rng, wrong, 1500))
    assert result.certified is None and alone.certified is not None


def test_the_whole_pool_is_a_weaker_statement() -> None:
    """People's labels count: a region with too many errors can be a small part of the pool."""
    wrong = np.arange(1000) % 25 == 0  # 4 %
    protocol = Protocol(0.02, 0.05, 400, (0.5, 1.0))
    audits = answers(np.random.default_rng(2), wrong, 400)
    assert decide(protocol, 1000, audits).certified is None
    whole = decide_whole_pool(protocol, 1000, 10_000, audits).certified
    assert whole is not None and whole.size == 1000


def test_a_planned_test_certifies_nothing_before_its_end() -> None:
    protocol = Protocol(0.05, 0.05, 100, (1.0,), PLANNED)
    wrong = np.zeros(1000, bool)
    assert decide(protocol, 1000, answers(np.random.default_rng(0), wrong, 99)).certified is None
    assert decide(protocol, 1000, answers(np.random.default_rng(0), wrong, 100)).certified is not None


def test_a_label_with_an_alpha_of_its_own_holds_the_region_back() -> None:
    predicted = ["good"] * 700 + ["scratch"] * 300
    order = np.random.default_rng(3).permutation(1000).tolist()
    audits = Audits(order, [RIGHT if t < 120 else None for t in range(1000)])
    assert decide(Protocol(0.05, 0.05, 120, (1.0,)), 1000, audits).certified
    strict = Protocol(0.05, 0.05, 120, (1.0,), alpha_by_label={"scratch": 0.05})
    result = decide(strict, 1000, audits, LabelGroups.of(strict, predicted))
    assert result.certified is None
    assert result.regions[0].by_label["scratch"].size == 300
    with pytest.raises(ValueError, match="predicted"):
        decide(strict, 1000, audits)


def label_groups(protocol: Protocol) -> LabelGroups:
    return LabelGroups.of(protocol, ["good", "scratch"] * 200)


@pytest.mark.parametrize("alpha_by_label", [{}, {"scratch": 0.05}])
def test_an_audit_ends_at_its_limit(alpha_by_label: dict[str, float]) -> None:
    """Whatever is certified: without a further answer nothing can change."""
    protocol = Protocol(0.05, 0.05, 150, (0.5, 1.0), alpha_by_label=alpha_by_label)
    numbers = Numbers(protocol, 400)
    order = np.random.default_rng(1).permutation(400).tolist()
    for wrong in range(0, 20):
        states = [(WRONG if t % 7 == 0 and t < 7 * wrong else RIGHT) if t < 150 else None for t in range(400)]
        result = decide(protocol, 400, Audits(order, states), label_groups(protocol))
        assert result.decided == 150 and target_size(numbers, result) == 0


def test_an_audit_that_a_label_cannot_pass_ends_early() -> None:
    protocol = Protocol(0.2, 0.05, 120, (1.0,), alpha_by_label={"scratch": 0.2})
    numbers, groups = Numbers(protocol, 400), label_groups(protocol)
    order = np.random.default_rng(1).permutation(400).tolist()

    def after(wrong: int) -> int:
        scratched = [t for t in range(40) if order[t] % 2]
        states = [(WRONG if t in scratched[:wrong] else RIGHT) if t < 40 else None for t in range(400)]
        return target_size(numbers, decide(protocol, 400, Audits(order, states), groups))

    assert [after(0), after(10)] == [400, 0]


def test_missed_critical_images_are_bounded() -> None:
    order = np.random.default_rng(3).permutation(1000).tolist()
    state = [(WRONG if t in (3, 7, 50, 51) else RIGHT) if t < 300 else None for t in range(1000)]
    critical = [False] * 1000
    plain = decide(Protocol(0.05, 0.05, 300, (1.0,)), 1000, Audits(order, state, critical))
    split = decide(
        Protocol(0.05, 0.05, 300, (1.0,), delta_critical=0.01), 1000, Audits(order, state, critical)
    )
    assert plain.regions[0].missed_critical == plain.regions[0].promised == 35
    assert split.regions[0].missed_critical < split.regions[0].promised
    assert split.regions[0].most_wrong >= plain.regions[0].most_wrong  # its share of δ is smaller


@pytest.mark.parametrize("test", ["watched", PLANNED])
@pytest.mark.parametrize("alpha", [0.0, 0.02])
def test_edges(test: str, alpha: float) -> None:
    protocol = Protocol(alpha, 0.05, 50, (0.5, 1.0), test)
    assert decide(protocol, 0, Audits([], [])).certified is None
    one = decide(protocol, 1, Audits([0], [RIGHT]))
    assert one.certified is not None and one.certified.left == 0  # all is known
    everything = decide(protocol, 40, Audits(list(range(40)), [RIGHT] * 39 + [WRONG]))
    assert everything.certified is not None and everything.certified.most_wrong == 0
    with pytest.raises(ValueError, match="twice"):
        decide(protocol, 5, Audits([1, 1], [RIGHT, RIGHT]))
    with pytest.raises(ValueError, match="no candidate"):
        decide(protocol, 5, Audits([5], [RIGHT]))


def test_too_many_decisions_end_the_certificate() -> None:
    protocol = Protocol(0.05, 0.05, 100, (1.0,))
    order = list(range(100))
    assert decide(protocol, 1000, Audits(order, [RIGHT] * 100)).certified
    result = decide(protocol, 1000, Audits(order, [RIGHT] * 100, others=[500]))
    assert result.over_limit and result.certified is None


@pytest.mark.parametrize(
    "wrong",
    [{"alpha": 1.0}, {"alpha": -0.1}, {"delta": 0.0}, {"delta": 1.0}, {"limit": 0}, {"levels": ()},
     {"levels": (0.5, 0.4)}, {"levels": (0.0, 1.0)}, {"test": "peeked"}, {"delta_critical": 0.05}],
)  # fmt: skip
def test_protocols_that_promise_nothing_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        Protocol(**{"alpha": 0.02, "delta": 0.05, "limit": 100, **wrong})  # type: ignore[arg-type]
    protocol = Protocol(0.02, 0.05, 100, alpha_by_label={"a": 0.01})
    assert Protocol.from_json(protocol.as_json()) == protocol


@pytest.mark.parametrize("test", ["watched", PLANNED])
def test_the_step_has_a_threshold_that_no_answer_changes(test: str) -> None:
    """The step counts open answers as wrong, and its threshold is that of the largest number of decisions."""
    protocol = Protocol(0.05, 0.05, 60, (0.5, 1.0), test)
    steps = []
    for kind in (RIGHT, WRONG, OPEN):
        states = [kind if t < 5 else RIGHT for t in range(60)]
        steps.append(decide(protocol, 1000, Audits(list(range(440, 500)), states)).regions[0].step)
    assert {step.allowed for step in steps} == {allowed_errors(500 - 60, 0.05)}
    assert [step.wrong for step in steps] == [0, 5, 5] and [step.open for step in steps] == [0, 0, 5]
    assert steps[1].statistic == steps[2].statistic != steps[0].statistic
