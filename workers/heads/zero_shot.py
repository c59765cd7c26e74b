"""The zero-shot head: one class embedding a label, from its prompts.

Source: Radford et al., "Learning transferable visual models from natural language supervision"
(arXiv 2103.00020), section 3.1.4, prompt ensembling in embedding space.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workers.heads.head import LinearHead, check_vectors


class LabelWithoutPrompts(ValueError):
    """A label has no prompt; ``index`` is that of the first such label."""

    def __init__(self, index: int) -> None:
        self.index = index
        super().__init__(f"label {index} has no prompt")


def make_class_embeddings(
    prompt_embeddings: ArrayLike, label_index: ArrayLike, n_labels: int
) -> NDArray[np.float32]:
    """Return one unit vector a label: the normalised mean of its normalised prompt embeddings.

    Args:
        prompt_embeddings: (p, d), of any length but zero.
        label_index: (p,) the label in [0, n_labels) of each prompt.
        n_labels: L.

    Returns:
        (L, d) float32, unit rows.

    Raises:
        LabelWithoutPrompts: with the index of the label.
        ValueError: invalid shapes or indices, a zero vector, or prompts of one label that cancel out.
    """
    vectors = check_vectors(prompt_embeddings).astype(np.float64)
    label_of = np.asarray(label_index)
    if label_of.shape != (len(vectors),) or (len(label_of) and label_of.dtype.kind not in "iu"):
        raise ValueError(
            f"label_index must be ({len(vectors)},) integers, got {label_of.dtype} {label_of.shape}"
        )
    if n_labels < 1:
        raise ValueError("at least one label is needed")
    if len(label_of) and (label_of.min() < 0 or label_of.max() >= n_labels):
        raise ValueError(f"label_index must lie in [0, {n_labels})")
    lengths = np.linalg.norm(vectors, axis=1)
    if (lengths == 0).any():
        raise ValueError(f"prompt {int(np.flatnonzero(lengths == 0)[0])} has a zero vector")
    counts = np.bincount(label_of.astype(np.int64), minlength=n_labels)
    if (counts == 0).any():
        raise LabelWithoutPrompts(int(np.flatnonzero(counts == 0)[0]))
    sums = np.zeros((n_labels, vectors.shape[1]))
    np.add.at(sums, label_of, vectors / lengths[:, None])
    norms = np.linalg.norm(sums, axis=1)
    if (norms < 1e-6 * counts).any():
        label = int(np.flatnonzero(norms < 1e-6 * counts)[0])
        raise ValueError(f"the prompts of label {label} cancel each other out")
    return (sums / norms[:, None]).astype(np.float32)


class ZeroShotHead(LinearHead):
    """Softmax of logit_scale · x·t. It is never calibrated: CLIP's raw softmax is not a confidence."""

    kind = "zero_shot"

    def __init__(
        self, weights: ArrayLike, logit_scale: float, *, details: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(weights, logit_scale=logit_scale, details=details)
