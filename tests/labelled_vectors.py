"""Labelled vectors with known classes, for tests of heads."""

import numpy as np


def labelled_vectors(n: int = 200, d: int = 24, labels: int = 4, noise: float = 0.7, seed: int = 0):
    """Return unit vectors around one direction for each class.

    The result is (X (n, d), y (n,), T (labels, d)). The rows of T are those directions, used as class
    embeddings.
    """
    rng = np.random.default_rng(seed)
    T = rng.normal(size=(labels, d))
    T /= np.linalg.norm(T, axis=1, keepdims=True)
    y = rng.integers(0, labels, n)
    X = T[y] + noise * rng.normal(size=(n, d))
    return X / np.linalg.norm(X, axis=1, keepdims=True), y, T
