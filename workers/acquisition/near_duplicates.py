"""Groups of near-duplicates: images whose vectors have a cosine of at least a threshold.

A group has a first image, and every other image of the group reaches the threshold with this first image
(leader clustering: Hartigan, "Clustering algorithms", 1975, chapter 3). Chains, where neighbours are similar
but the ends are not, therefore never form one group. Images are visited in the order of import. An image
joins the group of the most similar first image, or becomes the first image of a new group. So images that
are imported later change no group that exists.

Two images of different groups can still reach the threshold with each other. A group is no clique either:
two images of it have an angle of at most twice the angle of the threshold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

# Up to this number of images every new image is compared with every first image. Above it, with those of its
# nearest cells.
EXACT_UP_TO = 100_000
CELLS_PER_IMAGE = 6
_BLOCK = 2048  # images that are compared at once
_CHUNK = 8192  # first images per matrix product: 64 MB of cosines
_CELL_BLOCK = 32_768  # images that are compared with the cells at once

F4 = NDArray[np.float32]
I8 = NDArray[np.int64]
Progress = Callable[[int], object]
Nearest = tuple[I8, F4]  # (b,) row of the most similar first image, and the cosine; −1 where there is none


@dataclass(frozen=True)
class Groups:
    """The groups of n images. Rows are those of X.

    first: (n,) the first image of each image's group; the image itself if it is a first image or alone.
    nearest: (n,) the most similar first image that was there before; −1 if there was none, or for known rows.
    cosine: (n,) cosine with `nearest`; −1 if there is none.
    """

    first: I8
    nearest: I8
    cosine: F4

    @property
    def sizes(self) -> I8:
        """Return (n,) the number of images in the group of each row."""
        return np.bincount(self.first, minlength=len(self.first))[self.first]


class _FirstImages(Protocol):
    """The first images of all groups so far."""

    def add(self, rows: I8) -> None:
        """Add first images, rows of X."""

    def nearest(self, rows: I8, V: F4) -> Nearest:
        """Return the most similar first image of each of the rows, with vectors V (b, d)."""


def group_near_duplicates(
    X: NDArray[Any],
    threshold: float,
    *,
    known: I8 | None = None,
    progress: Progress = lambda done: None,
    exact_up_to: int = EXACT_UP_TO,
    seed: int = 0,
) -> Groups:
    """Return the groups of n images.

    Memory does not depend on the number of similar pairs. With at most `exact_up_to` images the cost is n
    times the number of groups; above it each image is compared with the first images of its nearest cells
    only, and a few groups are missed.

    Args:
        X: (n, d) vectors of any length above zero, possibly a memory map, in the order of import.
        threshold: in (0, 1].
        known: (n,) row of the first image of each row's group from an earlier run; −1 for new images.
        progress: is called with the number of images done.
        seed: of the cells.
    """
    n = len(X)
    first = np.full(n, -1, np.int64) if known is None else np.asarray(known, np.int64).copy()
    nearest, cosine = np.full(n, -1, np.int64), np.full(n, -1, np.float32)
    new = np.flatnonzero(first < 0)
    exact = n <= exact_up_to
    firsts: _FirstImages = _AllFirstImages(X) if exact else _CellsOfFirstImages(X, seed)
    firsts.add(np.flatnonzero(first == np.arange(n)))
    step = _BLOCK if exact else _CELL_BLOCK
    for start in range(0, len(new), step):
        part = new[start : start + step]
        before = firsts.nearest(part, _unit(X, part))
        recent = _AllFirstImages(X)  # first images of this part
        for begin in range(0, len(part), _BLOCK):
            rows = part[begin : begin + _BLOCK]
            V = _unit(X, rows)
            slot = slice(begin, begin + _BLOCK)
            at, value = _better((before[0][slot], before[1][slot]), recent.nearest(rows, V))
            leads = _first_images_within(V, value, threshold)
            at, value = _better((at, value), _nearest_within(rows, V, leads))
            nearest[rows], cosine[rows] = at, value
            first[rows] = np.where(leads, rows, at)
            recent.add(rows[leads])
            progress(start + begin + len(rows))
        firsts.add(part[first[part] == part])
    return Groups(first, nearest, cosine)


def _unit(X: NDArray[Any], rows: I8) -> F4:
    V = np.asarray(X[rows], np.float32)
    V /= np.linalg.norm(V, axis=1, keepdims=True)
    return V


def _better(one: Nearest, other: Nearest) -> Nearest:
    """Return the more similar first images of two choices; those of the first choice where they are equal."""
    later = other[1] > one[1]
    return np.where(later, other[0], one[0]), np.where(later, other[1], one[1])


def _none(n: int) -> Nearest:
    return np.full(n, -1, np.int64), np.full(n, -1, np.float32)


def _first_images_within(V: F4, value: F4, threshold: float) -> NDArray[np.bool_]:
    """Return (b,) which rows of a block V (b, d) become first images.

    value (b,): cosine with the first images before the block.
    """
    leads = value < threshold
    candidates = np.flatnonzero(leads)
    similar = np.tril(V[candidates] @ V[candidates].T >= threshold, -1)
    lead = np.ones(len(candidates), bool)
    for i in np.flatnonzero(similar.any(axis=1)):
        lead[i] = not (similar[i, :i] & lead[:i]).any()
    leads[candidates] = lead
    return leads


def _nearest_within(rows: I8, V: F4, leads: NDArray[np.bool_]) -> Nearest:
    """Return the most similar first image before each row of a block. leads (b,): the first images."""
    b, at = len(rows), np.flatnonzero(leads)
    if not len(at):
        return _none(b)
    S = V @ V[at].T
    S[at[None, :] >= np.arange(b)[:, None]] = -2
    best = S.argmax(axis=1)
    value = S[np.arange(b), best]
    return np.where(value > -2, rows[at[best]], -1), np.maximum(value, -1)


class _AllFirstImages:
    """All first images."""

    def __init__(self, X: NDArray[Any]) -> None:
        self._X = X
        self._parts: list[I8] = []

    def add(self, rows: I8) -> None:
        self._parts.append(rows)

    def nearest(self, rows: I8, V: F4) -> Nearest:
        return _nearest_of(self._X, np.concatenate([np.empty(0, np.int64), *self._parts]), V)


class _CellsOfFirstImages:
    """First images by cells. A cell is the neighbourhood of one of √n images, which are drawn at random."""

    def __init__(self, X: NDArray[Any], seed: int) -> None:
        self._X = X
        n = len(X)
        drawn = np.random.default_rng(seed).choice(n, size=max(1, int(np.sqrt(n))), replace=False)
        self._centres = _unit(X, np.sort(drawn))
        self._members: list[list[I8]] = [[] for _centre in drawn]

    def add(self, rows: I8) -> None:
        for start in range(0, len(rows), _CELL_BLOCK):
            part = rows[start : start + _CELL_BLOCK]
            for cell, places in self._by_cell(_unit(self._X, part)):
                self._members[cell].append(part[places])

    def nearest(self, rows: I8, V: F4) -> Nearest:
        at, value = _none(len(rows))
        for cell, places in self._by_cell(V):
            members = np.concatenate([np.empty(0, np.int64), *self._members[cell]])
            self._members[cell] = [members]
            closest = _nearest_of(self._X, members, V[places])
            at[places], value[places] = _better((at[places], value[places]), closest)
        return at, value

    def _by_cell(self, V: F4) -> list[tuple[int, I8]]:
        """Return (cell, places in V) for the nearest cells of vectors V (b, d)."""
        k = min(CELLS_PER_IMAGE, len(self._centres))
        nearest = np.argpartition(-(V @ self._centres.T), k - 1, axis=1)[:, :k].ravel()
        order = np.argsort(nearest, kind="stable")
        cells, starts = np.unique(nearest[order], return_index=True)
        return list(zip(cells.tolist(), np.split(order // k, starts[1:]), strict=True))


def _nearest_of(X: NDArray[Any], firsts: I8, V: F4) -> Nearest:
    """Return the most similar of the rows `firsts` of X for vectors V (b, d)."""
    best, places = _none(len(V)), np.arange(len(V))
    for start in range(0, len(firsts), _CHUNK):
        part = firsts[start : start + _CHUNK]
        for begin in range(0, len(V), _BLOCK):
            S = V[begin : begin + _BLOCK] @ _unit(X, part).T
            at = S.argmax(axis=1)
            closest = part[at], S[places[: len(S)], at]
            slot = slice(begin, begin + _BLOCK)
            best[0][slot], best[1][slot] = _better((best[0][slot], best[1][slot]), closest)
    return best
