"""Labelled vectors whose truth is known, for tests of heads."""

import numpy as np


def world(n: int = 200, d: int = 24, labels: int = 4, noise: float = 0.7, seed: int = 0):
    """(X (n, d), y (n,), T (labels, d)): unit vectors around one direction a class, and those directions as the text."""
    rng = np.random.default_rng(seed)
    T = rng.normal(size=(labels, d))
    T /= np.linalg.norm(T, axis=1, keepdims=True)
    y = rng.integers(0, labels, n)
    X = T[y] + noise * rng.normal(size=(n, d))
    return X / np.linalg.norm(X, axis=1, keepdims=True), y, T
