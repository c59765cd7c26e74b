"""k-means compared with scikit-learn's, shortlists, and medoids of large pools."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from workers.acquisition import diverse
from workers.acquisition import kmeans as kmeans_module
from workers.acquisition import medoids as medoids_module
from workers.acquisition.kmeans import kmeans
from workers.acquisition.medoids import _principal_components, medoids
from workers.acquisition.mix import choose_batch
from workers.heads.scoring import score
from workers.heads.zero_shot import ZeroShotHead


def cost(V: np.ndarray, w: np.ndarray, centres: np.ndarray) -> float:
    distance = ((V[:, None].astype(float) - centres[None]) ** 2).sum(axis=2)
    return float(w @ distance.min(axis=1))


@given(
    n=st.integers(1, 50),
    kinds=st.integers(1, 50),
    k=st.integers(1, 12),
    seed=st.integers(0, 999),
    zero=st.booleans(),
)
@settings(max_examples=80, deadline=None)
def test_labels_are_those_of_the_nearest_centre(n: int, kinds: int, k: int, seed: int, zero: bool) -> None:
    rng = np.random.default_rng(seed)
    V = rng.normal(size=(kinds, 3))[np.arange(n) % kinds].astype(np.float32)
    w = rng.random(n) + 0.01
    if zero and n > 1:
        w[: n // 2] = 0.0
    centres, label = kmeans(V, w, min(k, n), seed)
    assert centres.shape == (min(k, n), 3) and np.isfinite(centres).all()
    distance = ((V[:, None] - centres[None]) ** 2).sum(axis=2)
    assert (distance[np.arange(n), label] <= distance.min(axis=1) + 1e-4).all()
    again, same = kmeans(V, w, min(k, n), seed)
    assert again.tobytes() == centres.tobytes() and same.tolist() == label.tolist()


@pytest.mark.parametrize(("n", "k"), [(600, 25), (6000, 40)])
def test_cost_is_no_higher_than_scikit_learns(n: int, k: int) -> None:
    ours, theirs = [], []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        V = (rng.normal(size=(60, 10))[rng.integers(0, 60, n)] + 0.4 * rng.normal(size=(n, 10))).astype(
            np.float32
        )
        w = rng.random(n) ** 2
        ours.append(cost(V, w, kmeans(V, w, k, seed)[0]))
        model = KMeans(k, n_init=1, max_iter=30, random_state=seed).fit(V, sample_weight=w)
        theirs.append(cost(V, w, model.cluster_centers_))
    assert np.mean(ours) < 1.03 * np.mean(theirs)


def test_weights_move_the_centre() -> None:
    V = np.array([[0.0], [1.0]], np.float32)
    centres, _ = kmeans(V, np.array([1.0, 3.0]), 1, 0)
    assert centres[0, 0] == pytest.approx(0.75)


def test_a_large_common_component_keeps_the_clusters() -> None:
    V = np.full((40, 6), 100.0, np.float32)
    V[20:, 0] += 0.01
    _, label = kmeans(V, np.ones(40), 2, 0)
    assert len(set(label[:20])) == len(set(label[20:])) == 1 and label[0] != label[-1]


def test_centres_of_large_inputs_start_from_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kmeans_module, "_SAMPLE", 50)
    rng = np.random.default_rng(0)
    V = (np.eye(6)[rng.integers(0, 6, 900)] * 9 + 0.1 * rng.normal(size=(900, 6))).astype(np.float32)
    _, label = kmeans(V, np.ones(900), 6, 0)
    assert len(np.unique(label)) == 6
    w = np.zeros(900)
    w[3] = 1.0  # the sample has no row of weight
    centres, _ = kmeans(V, w, 2, 0)
    assert np.isfinite(centres).all()


@given(
    values=st.lists(st.integers(0, 6), min_size=1, max_size=60), count=st.integers(1, 70), data=st.data()
)  # fmt: skip
def test_most_uncertain_equals_a_stable_sort(values: list[int], count: int, data: st.DataObject) -> None:
    uncertainty = np.array(values, np.float32) / 7
    rows = np.array(data.draw(st.permutations(range(len(values)))), np.int64)
    rows = rows[: data.draw(st.integers(1, len(rows)))]
    expected = rows[np.argsort(-uncertainty[rows], kind="stable")][:count]
    assert diverse._most_uncertain(uncertainty, rows, count).tolist() == expected.tolist()


def test_principal_axes_keep_distances() -> None:
    rng = np.random.default_rng(0)
    V = (rng.normal(size=(500, 300)) / np.sqrt(1 + np.arange(300))).astype(np.float32)
    N = _principal_components(V)
    assert N.shape == (500, 128)
    at = rng.integers(0, 500, (2, 400))
    whole = ((V[at[0]] - V[at[1]]) ** 2).sum(axis=1)
    part = ((N[at[0]] - N[at[1]]) ** 2).sum(axis=1)
    assert np.corrcoef(whole, part)[0, 1] > 0.95
    assert _principal_components(V[:, :20]).shape == (500, 20)


def test_medoids_along_fewer_axes_cover_as_well(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Mean squared distance to the nearest medoid, with axes and without, on vectors like an encoder's."""
    rng = np.random.default_rng(2)
    spectrum = 1.0 / np.sqrt(1.0 + np.arange(300))
    V = (
        rng.normal(size=(40, 300))[rng.integers(0, 40, 4000)] * spectrum
        + rng.normal(size=(4000, 300)) * spectrum
    )
    V = V.astype(np.float32)
    results = []
    for many in (8, 10_000):
        monkeypatch.setattr(medoids_module, "_LARGE_K", many)
        rows = [medoids(V, 60, seed=seed) for seed in range(3)]
        distances = [
            ((V**2).sum(1)[:, None] - 2 * V @ V[at].T + (V[at] ** 2).sum(1)).min(axis=1).mean() for at in rows
        ]
        results.append((np.mean(distances), rows[0].tolist()))
    assert results[0][1] != results[1][1]  # both code paths were used
    assert results[0][0] < 1.02 * results[1][0]


def test_many_medoids_are_central_in_all_dimensions() -> None:
    """Clusters use 128 axes, distances all of them: few medoids are outliers of their blob."""
    rng = np.random.default_rng(1)
    blob_of = np.repeat(np.arange(210), 12)
    V = rng.normal(size=(210, 200))[blob_of] + 0.1 * rng.normal(size=(2520, 200))
    V[::12] += 1.0 * rng.normal(size=(210, 200))  # one outlier in each blob
    chosen = medoids(V.astype(np.float32), 210, seed=0)
    assert len(np.unique(chosen)) == 210
    assert len(np.unique(blob_of[chosen])) > 180
    assert (chosen % 12 == 0).mean() < 0.1


def test_the_batch_is_the_same_on_any_number_of_threads() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30_000, 160)).astype(np.float16)
    scores = score(ZeroShotHead(rng.normal(size=(5, 160)), 3.0), X)
    batches = []
    for threads in (1, 2):
        with threadpool_limits(limits=threads, user_api="blas"):
            batches.append(
                choose_batch(
                    X=X, scores=scores, candidate=np.ones(30_000, bool), reserve=rng.random(30_000) < 0.0,
                    batch=600, labelled_counts=np.zeros(5, int), seed=3, cold=False,
                ).index.tolist()
            )  # fmt: skip
    assert batches[0] == batches[1]
