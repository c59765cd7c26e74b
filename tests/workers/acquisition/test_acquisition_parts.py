"""Quotas, medoids, diversity, and the audit draw."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.acquisition import medoids as medoids_module
from workers.acquisition.audit import audit_key, draw_audit
from workers.acquisition.diverse import diverse_batch
from workers.acquisition.medoids import _allocate, cold_start, interleave, medoids
from workers.acquisition.quotas import class_quotas

counts = st.lists(st.integers(0, 300), min_size=1, max_size=12)


@given(counts, st.integers(0, 500), st.data())
def test_quotas_have_the_total_and_stay_within_bounds(
    available: list[int], total: int, data: st.DataObject
) -> None:
    n = len(available)
    already = data.draw(st.none() | st.lists(st.integers(0, 100), min_size=n, max_size=n))
    q = class_quotas(available, total, already)
    assert q.sum() == min(total, sum(available))
    assert (q >= 0).all()
    assert (q <= np.array(available)).all()


@given(counts, st.integers(0, 500), st.data())
def test_quotas_level_the_counts(available: list[int], total: int, data: st.DataObject) -> None:
    """A class with a quota is at most one above any class with images left."""
    n = len(available)
    already = np.array(data.draw(st.lists(st.integers(0, 100), min_size=n, max_size=n)))
    q = class_quotas(available, total, already)
    height = already + q
    open_ = q < np.array(available)
    if open_.any() and (q > 0).any():
        assert height[q > 0].max() <= height[open_].min() + 1


def test_quotas_by_hand() -> None:
    assert class_quotas([5, 0, 100], 20).tolist() == [5, 0, 15]
    assert class_quotas([9, 9, 9], 6, [4, 0, 2]).tolist() == [0, 4, 2]
    assert class_quotas([100, 100], 3).tolist() == [2, 1]
    with pytest.raises(ValueError, match="nothing negative"):
        class_quotas([1, -1], 2)


def blobs(k: int = 5, images_per_blob: int = 30, seed: int = 0):
    rng = np.random.default_rng(seed)
    centre = rng.normal(size=(k, 8)) * 10
    return np.concatenate([c + 0.1 * rng.normal(size=(images_per_blob, 8)) for c in centre]).astype(
        np.float32
    )


def test_medoids_choose_one_image_of_every_blob() -> None:
    X = blobs()
    chosen = medoids(X, 5, seed=0)
    assert sorted(chosen // 30) == [0, 1, 2, 3, 4]


@given(st.integers(0, 40), st.integers(0, 60), st.integers(1, 4), st.integers(0, 9))
@settings(max_examples=25, deadline=None)
def test_medoids_are_distinct_rows_even_among_copies(n: int, k: int, kinds: int, seed: int) -> None:
    X = np.random.default_rng(seed).normal(size=(kinds, 3))[np.arange(n) % kinds].astype(np.float16)
    chosen = medoids(X, k, seed=seed)
    assert len(chosen) == min(n, k) == len(np.unique(chosen))
    assert ((chosen >= 0) & (chosen < n)).all() if n else True


def test_medoids_of_a_large_pool_use_a_sample() -> None:
    X = np.tile(blobs(images_per_blob=1000), (5, 1))  # 25,000 rows
    chosen = medoids(X, 5, seed=1)
    assert len(np.unique(chosen)) == 5
    assert len(np.unique((chosen % 5000) // 1000)) == 5


@given(st.lists(st.tuples(st.floats(0, 9), st.integers(0, 50)), min_size=1, max_size=9), st.integers(0, 500))
def test_allocation_sums_within_the_capacity(groups: list[tuple[float, int]], k: int) -> None:
    mass, capacity = (np.array(column) for column in zip(*groups, strict=True))
    k = min(k, int(capacity.sum()))
    share = _allocate(mass, capacity, k)
    assert share.sum() == k
    assert ((share >= 0) & (share <= capacity)).all()
    # near the proportion, where no capacity limits it
    if k and mass.sum() > 1e-3 and (capacity >= k).all():
        assert np.abs(share - k * mass / mass.sum()).max() < len(mass)


def test_nested_medoids_choose_an_image_of_almost_every_blob(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(medoids_module, "_NESTED_ABOVE", 3)
    X = blobs(k=16, images_per_blob=30)
    chosen = medoids(X, 16, seed=0)
    assert len(np.unique(chosen)) == 16
    assert len(np.unique(chosen // 30)) >= 14  # a group's share may be one short of its blobs
    assert chosen.tolist() == medoids(X, 16, seed=0).tolist()
    copies = np.zeros((40, 3), np.float32)
    assert len(np.unique(medoids(copies, 30, seed=0))) == 30


def test_diverse_batch_of_some_rows_equals_that_of_their_vectors() -> None:
    rng = np.random.default_rng(3)
    X, rows = rng.normal(size=(400, 6)).astype(np.float32), rng.permutation(400)[:150]
    uncertainty, predicted = rng.random(150), rng.integers(0, 3, 150)
    a = diverse_batch(X, uncertainty, predicted, 12, n_labels=3, seed=1, rows=rows)
    b = diverse_batch(X[rows], uncertainty, predicted, 12, n_labels=3, seed=1)
    assert a.tolist() == b.tolist()


def test_weights_move_the_medoid() -> None:
    X = np.linspace(0, 1, 101, dtype=np.float32)[:, None]
    weight = np.where(np.arange(101) > 80, 1.0, 1e-6)
    assert medoids(X, 1, seed=0, weight=weight)[0] == pytest.approx(90, abs=2)


def test_cold_start_divides_questions_among_pseudo_labels() -> None:
    X = blobs()
    pseudo = np.repeat([0, 0, 0, 0, 1], 30)  # zero-shot labels: 120 and 30 images
    chosen = cold_start(X, 10, seed=0, pseudo_label=pseudo, n_labels=3)
    assert np.bincount(pseudo[chosen]).tolist() == [5, 5]
    assert pseudo[chosen[:4]].tolist() in ([0, 1, 0, 1], [1, 0, 1, 0])
    assert len(np.unique(cold_start(X, 5, seed=0) // 30)) == 5


def test_interleave_alternates_between_the_lists() -> None:
    mixed = interleave([np.array([1, 2, 3]), np.array([7]), np.array([8, 9])])
    assert mixed.tolist() == [1, 7, 8, 2, 9, 3]
    assert len(interleave([])) == 0


def test_diverse_batch_drops_near_copies() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 6)).astype(np.float32)
    X[:40] = X[0] + 1e-4 * rng.normal(size=(40, 6))  # a burst of one part
    uncertainty = np.full(300, 0.5)
    uncertainty[:40] = 0.9
    top = np.argsort(-uncertainty, kind="stable")[:10]
    chosen = diverse_batch(X, uncertainty, np.zeros(300, int), 10, n_labels=1, seed=0)
    assert (top < 40).sum() == 10
    assert (chosen < 40).sum() <= 3


def test_diverse_batch_chooses_uncertain_images() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1000, 6)).astype(np.float32)
    uncertainty = rng.random(1000)
    chosen = diverse_batch(X, uncertainty, rng.integers(0, 4, 1000), 20, n_labels=4, seed=0)
    assert len(np.unique(chosen)) == 20
    assert uncertainty[chosen].min() > 0.6


def test_audit_keys_are_uniform_stable_and_depend_on_the_seed() -> None:
    names = [hashlib.sha256(str(i).encode()).hexdigest() for i in range(20_000)]
    keys = np.array([audit_key("dataset-7", name) for name in names])
    assert ((keys >= 0) & (keys < 1)).all()
    assert np.abs(np.bincount((keys * 10).astype(int), minlength=10) / 20_000 - 0.1).max() < 0.01
    other = np.array([audit_key("dataset-8", name) for name in names])
    assert abs(np.corrcoef(keys, other)[0, 1]) < 0.03
    assert audit_key("dataset-7", names[0].upper()) == keys[0]
    # A change of this value would change every existing reserve.
    digest = hashlib.sha256(b"s\0" + b"ab" * 32).digest()
    assert audit_key("s", "ab" * 32) == (int.from_bytes(digest[:8], "big") >> 11) / 2**53


def test_audit_draw_frequencies_equal_the_propensity() -> None:
    reserve = np.arange(40) < 25
    taken = np.arange(40) % 5 == 0  # 5 of the 25 were removed
    rng = np.random.default_rng(0)
    times = np.zeros(40)
    first = np.zeros(40)
    for _ in range(20_000):
        rows, propensity = draw_audit(reserve, taken, 6, rng)
        times[rows] += 1
        first[rows[0]] += 1
    assert propensity == pytest.approx(6 / 20)
    available = reserve & ~taken
    assert times[~available].sum() == 0
    # five standard deviations of a binomial frequency
    assert np.abs(times[available] / 20_000 - 0.3).max() < 5 * np.sqrt(0.3 * 0.7 / 20_000)
    assert np.abs(first[available] / 20_000 - 0.05).max() < 5 * np.sqrt(0.05 * 0.95 / 20_000)


def test_audit_draw_handles_an_empty_and_an_exhausted_reserve() -> None:
    rng = np.random.default_rng(0)
    none, all_rows = np.zeros(4, bool), np.ones(4, bool)
    assert draw_audit(none, none, 3, rng)[1] == 0.0
    rows, propensity = draw_audit(all_rows, none, 9, rng)
    assert sorted(rows) == [0, 1, 2, 3]
    assert propensity == 1.0
    assert len(draw_audit(all_rows, none, 0, rng)[0]) == 0
