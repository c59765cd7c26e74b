"""What a change of prompts does to a pool of images, computed in one pass over their embeddings.

All labels here are zero-shot labels: the label whose class embedding is nearest. Arrays in, arrays out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workers.heads.zero_shot import make_class_embeddings

BLOCK = 8192  # images whose scores are in memory at one time
FOLDS = 5

F4 = NDArray[np.float32]
I8 = NDArray[np.int64]


@dataclass(frozen=True)
class TrialPrompts:
    """Prompts of L labels: unit vectors (p, d), and the label (p,) of each prompt in [0, L)."""

    vectors: F4
    owner: I8
    n_labels: int

    @property
    def class_embeddings(self) -> F4:
        """Return (L, d); raises LabelWithoutPrompts, or ValueError if prompts cancel each other out."""
        return make_class_embeddings(self.vectors, self.owner, self.n_labels)


@dataclass(frozen=True)
class PromptEffect:
    """The effect of one prompt. `best` counts the images to which it is nearer than all other prompts.

    `brought`: images that get the prompt's label only because of this prompt. `driven`: images that lose the
    label because of it. They are None for the only prompt of a label, which cannot be left out.

    Of the images with a known label: `helped` are labelled right only because of the prompt, `hurt` are
    labelled wrong because of it. `hurt_folds` counts the parts of these images (FOLDS, at random) in which
    more are hurt than helped: an effect in all parts is likely an effect on other images too.
    """

    best: int
    brought: int | None
    driven: int | None
    helped: int | None = None
    hurt: int | None = None
    hurt_folds: int | None = None


@dataclass(frozen=True)
class PromptTrial:
    """The result of a trial for n images and L labels.

    label: (n,) the label of each image by the prompts. before: (n,) its label by the present prompts, −1
    without present prompts. lead: (n,) logits by which the label leads over the next label.
    similar: (L, L) cosine of the class embeddings. between: (L, L) images whose two best labels are these.
    spread: (L, L) standard deviation over the images of the difference between the logits of two labels: 0
    means that the encoder cannot tell the labels apart.
    best_rows: for each label the rows of the images that show it best.
    """

    label: I8
    before: I8
    lead: F4
    effects: list[PromptEffect]
    similar: F4
    between: I8
    spread: NDArray[np.float64]
    best_rows: list[I8]

    def flips(self) -> I8:
        """Return the counts (L, L) of images by label before (rows) and label now (columns)."""
        n_labels = len(self.similar)
        counts = np.zeros((n_labels, n_labels), np.int64)
        known = self.before >= 0
        np.add.at(counts, (self.before[known], self.label[known]), 1)
        np.fill_diagonal(counts, 0)
        return counts


def run_trial(
    images: NDArray[np.floating],
    prompts: TrialPrompts,
    before: ArrayLike | None,
    *,
    logit_scale: float,
    shown: NDArray[np.bool_] | None = None,
    truth: I8 | None = None,
    n_best: int = 9,
    block: int = BLOCK,
) -> PromptTrial:
    """Return the effects of prompts on images.

    Args:
        images: (n, d) unit vectors; a memory-mapped array is read block by block.
        prompts: the prompts that are tried.
        before: (L, d) class embeddings of the present prompts; a label without them has a row of NaN. None
            without present prompts.
        logit_scale: factor from cosines to logits.
        shown: (n,) images that may be among the best; all by default.
        truth: (n,) the known label of an image, or −1. It changes only the effects of the prompts.
        n_best: the number of best images of each label.

    Raises:
        LabelWithoutPrompts, ValueError: see make_class_embeddings.
    """
    n, n_labels = len(images), prompts.n_labels
    classes = prompts.class_embeddings  # (L, d)
    units = prompts.vectors / np.linalg.norm(prompts.vectors, axis=1, keepdims=True)
    sums = np.zeros((n_labels, units.shape[1]))
    np.add.at(sums, prompts.owner, units)
    lengths = np.linalg.norm(sums, axis=1)  # (L,)
    counts = np.bincount(prompts.owner, minlength=n_labels)
    rest = np.linalg.norm(
        sums[prompts.owner] - units, axis=1
    )  # (p,) length of a label's sum without a prompt
    removable = (counts[prompts.owner] > 1) & (rest > 1e-6 * counts[prompts.owner])
    old, present = _present(before, units.shape[1])

    label, earlier = np.zeros(n, np.int64), np.full(n, -1, np.int64)
    lead = np.zeros(n, np.float32)
    between = np.zeros((n_labels, n_labels), np.int64)
    moment, total = np.zeros((n_labels, n_labels)), np.zeros(n_labels)
    best = np.zeros(len(units), np.int64)
    brought, driven = np.zeros(len(units), np.int64), np.zeros(len(units), np.int64)
    helped, hurt = np.zeros((2, len(units), FOLDS), np.int64)
    fold = _folds(truth) if truth is not None else np.zeros(n, np.int64)
    candidates = _Best(n_labels, n_best)
    columns = np.concatenate([units, classes, old]).astype(np.float32).T  # (d, p + L + k)
    for start in range(0, n, block):
        stop = min(n, start + block)
        scores = np.asarray(images[start:stop], np.float32) @ columns
        by_prompt, by_label = scores[:, : len(units)], scores[:, len(units) : len(units) + n_labels]
        rows = np.arange(stop - start)
        first = by_label.argmax(axis=1)
        top = by_label[rows, first]
        if n_labels > 1:
            others = by_label.copy()
            others[rows, first] = -np.inf
            second = others.argmax(axis=1)
            runner = others[rows, second]
            np.add.at(between, (first, second), 1)
        else:
            second, runner = first, np.zeros_like(top)
        label[start:stop] = first
        lead[start:stop] = (top - runner) * logit_scale
        if len(present):
            earlier[start:stop] = present[scores[:, len(units) + n_labels :].argmax(axis=1)]
        logits = by_label.astype(np.float64) * logit_scale
        moment += logits.T @ logits
        total += logits.sum(axis=0)
        best += np.bincount(by_prompt.argmax(axis=1), minlength=len(units))
        for j in np.flatnonzero(removable):
            c = prompts.owner[j]
            rival = np.where(first == c, runner, top)
            without = (by_label[:, c] * lengths[c] - by_prompt[:, j]) / rest[j]
            has, had = first == c, without > rival
            brought[j] += np.count_nonzero(has & ~had)
            driven[j] += np.count_nonzero(~has & had)
            if truth is not None:
                known = truth[start:stop]
                right = (known >= 0) & (first == known)
                alone = np.where(had, c, np.where(has, second, first))  # the label without this prompt
                was_right = (known >= 0) & (alone == known)
                part = fold[start:stop]
                helped[j] += np.bincount(part[right & ~was_right], minlength=FOLDS)
                hurt[j] += np.bincount(part[was_right & ~right], minlength=FOLDS)
        margins = by_label - np.where(first[:, None] == np.arange(n_labels), runner[:, None], top[:, None])
        if shown is not None:
            margins[~shown[start:stop]] = -np.inf
        candidates.add(margins, start)
    effects = [PromptEffect(int(count), None, None) for count in best]
    for j in np.flatnonzero(removable):
        effects[j] = PromptEffect(int(best[j]), int(brought[j]), int(driven[j]))
        if truth is not None:
            effects[j] = replace(
                effects[j],
                helped=int(helped[j].sum()),
                hurt=int(hurt[j].sum()),
                hurt_folds=int(np.count_nonzero(hurt[j] > helped[j])),
            )
    return PromptTrial(
        label, earlier, lead, effects, (classes @ classes.T).astype(np.float32), between + between.T,
        _spread(moment, total, n), candidates.rows,
    )  # fmt: skip


def _folds(truth: I8) -> I8:
    """Return the part (n,) in [0, FOLDS) of each image. Images with a known label are split at random."""
    fold = np.zeros(len(truth), np.int64)
    known = np.flatnonzero(truth >= 0)
    fold[np.random.default_rng(0).permutation(known)] = np.arange(len(known)) % FOLDS
    return fold


def _present(before: ArrayLike | None, dim: int) -> tuple[F4, I8]:
    """Return the class embeddings (k, d) of the labels that have present prompts, and their places (k,)."""
    if before is None:
        return np.empty((0, dim), np.float32), np.empty(0, np.int64)
    old = np.asarray(before, np.float32)
    places = np.flatnonzero(np.isfinite(old).all(axis=1))
    return old[places], places


def _spread(moment: NDArray[np.float64], total: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Return the standard deviation (L, L) of the differences of columns, from their moments."""
    if not n:
        return np.zeros_like(moment)
    mean = total / n
    covariance = moment / n - np.outer(mean, mean)
    own = np.diag(covariance)
    return np.sqrt(np.maximum(own[:, None] + own[None, :] - 2 * covariance, 0))


class _Best:
    """The rows with the highest values of each column, over several blocks."""

    def __init__(self, columns: int, count: int) -> None:
        self.count = count
        self.values = [np.empty(0, np.float32) for _ in range(columns)]
        self.rows: list[I8] = [np.empty(0, np.int64) for _ in range(columns)]

    def add(self, values: F4, start: int) -> None:
        """Take the values (m, columns) of the rows from `start`. Rows with −inf are left out."""
        for c in range(values.shape[1]):
            column = values[:, c]
            keep = np.argpartition(-column, min(self.count, len(column) - 1))[: self.count]
            keep = keep[np.isfinite(column[keep])]
            merged = np.concatenate([self.values[c], column[keep]])
            rows = np.concatenate([self.rows[c], keep + start])
            order = np.lexsort((rows, -merged))[: self.count]
            self.values[c], self.rows[c] = merged[order], rows[order]


def flip_rows(
    trial: PromptTrial, shown: NDArray[np.bool_], count: int, pairs: int
) -> dict[tuple[int, int], I8]:
    """Return (label before, label now) → rows of images that changed, for the most frequent pairs.

    The images with the highest lead come first: the change is clearest there.
    """
    changed = np.flatnonzero((trial.before >= 0) & (trial.before != trial.label) & shown)
    n_labels = len(trial.similar)
    code = trial.before[changed] * n_labels + trial.label[changed]
    order = np.lexsort((changed, -trial.lead[changed], code))
    changed, code = changed[order], code[order]
    kinds, starts, counts = np.unique(code, return_index=True, return_counts=True)
    frequent = np.argsort(-counts, kind="stable")[:pairs]
    return {
        (int(kinds[i]) // n_labels, int(kinds[i]) % n_labels): changed[
            starts[i] : starts[i] + min(count, counts[i])
        ]
        for i in frequent
    }
