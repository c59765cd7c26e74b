"""Where the score of a label comes from: its prompts, and the trained part.

The score of a label c is its logit z_c = s · x·w_c + b_c (docs/explanation/heads.md). The prior of the head
is α t_c, with t_c the class embedding, so

    z_c = α s x·t_c  +  (s x·(w_c − α t_c) + b_c)

The first term comes from the prompts, the second from the training. The class embedding is the normalised sum
of the prompts' unit vectors, t_c = Σ_k e_k / ‖Σ_k e_k‖. So the first term is a sum over the prompts:
α s x·e_k / ‖Σ_j e_j‖ for prompt k.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mekiki.learning.explaining.weights import LinearParts


@dataclass(frozen=True)
class PromptShare:
    """What one prompt adds to a score. `similarity` is the cosine of image and prompt."""

    prompt: int  # id
    similarity: float
    points: float


@dataclass(frozen=True)
class ScoreParts:
    """The score of one label in logits.

    `prompts` and `trained` add up to `score`, and the points of the shares to `prompts`.
    """

    score: float
    prompts: float
    trained: float
    shares: list[PromptShare]  # the largest first


def explain_score(
    parts: LinearParts,
    place: int,
    image: NDArray[np.floating],
    prompts: Sequence[tuple[int, NDArray[np.floating]]],
    detail: NDArray[np.floating] | None = None,
) -> ScoreParts:
    """Return the parts of the score of one label.

    parts, place: the head, and the row of the label in it.
    image: (d,) the image's embedding.
    prompts: (id, (d,) unit vector) of all prompts of the label in the prompt set of the head.
    detail: (k,) the image's detail descriptor. Without it, that of the mean training image counts, as in a
    prediction. What it adds is part of `trained`.
    Raises ValueError if the shapes differ, or if there is no prompt or the prompts cancel out.
    """
    embedding = x = np.asarray(image, np.float64)
    if parts.detail_centre:
        x = np.concatenate([x, np.asarray(parts.detail_centre if detail is None else detail, np.float64)])
    if x.shape != parts.weights[place].shape:
        raise ValueError(f"the image has {x.shape} numbers, the head {parts.weights[place].shape}")
    score = parts.logit_scale * float(x @ parts.weights[place]) + float(parts.bias[place])
    if not prompts:
        raise ValueError("the label has no prompt")
    vectors = np.stack([np.asarray(vector, np.float64) for _id, vector in prompts])  # (k, d)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    length = float(np.linalg.norm(vectors.sum(axis=0)))
    if length < 1e-6 * len(vectors):
        raise ValueError("the prompts of the label cancel each other out")
    similarities = vectors @ embedding
    points = parts.text_scale * parts.logit_scale * similarities / length
    shares = [
        PromptShare(prompt, float(similarity), float(share))
        for (prompt, _vector), similarity, share in zip(prompts, similarities, points, strict=True)
    ]
    shares.sort(key=lambda share: (-share.points, -share.similarity, share.prompt))
    from_prompts = float(points.sum())
    return ScoreParts(score, from_prompts, score - from_prompts, shares)
