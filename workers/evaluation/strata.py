"""How many images each audited one stands for, where some images could be drawn longer than others.

Within a stratum every image had the same chance of being audited; between strata it differs, because images that came
later were there for fewer draws. Source: Cochran (1977), "Sampling techniques", chapter 5.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Weighting:
    """weights: (n,) of the audited images, mean 1. covered: images in strata with at least one audited image; what
    an estimate speaks of. left_out: images in strata without any, of which nothing can be said yet."""

    weights: NDArray[np.float64]
    covered: int
    left_out: int


def weigh(stratum: ArrayLike, sizes: ArrayLike) -> Weighting:
    """Weights of audited images by the stratum each lies in.

    An image of stratum h weighs (N_h / N) · (n / n_h): N_h images and n_h audited ones in the stratum, N and n in all
    strata that have audited ones. Where all were audited in the same proportion the weights are 1.

    Args:
        stratum: (n,) in [0, H). sizes: (H,) images of each stratum, audited or not.

    Raises:
        ValueError: a stratum outside [0, H), or one with more audited images than images.
    """
    of, size = np.asarray(stratum, np.int64), np.asarray(sizes, np.int64)
    if len(of) and (of.min() < 0 or of.max() >= len(size)):
        raise ValueError(f"strata must lie in [0, {len(size)})")
    audited = np.bincount(of, minlength=len(size))
    if (audited > size).any():
        raise ValueError("a stratum has more audited images than images")
    there = audited > 0
    covered = int(size[there].sum())
    share = np.zeros(len(size))
    share[there] = size[there] / audited[there]
    left_out = int(size.sum()) - covered
    if len(np.unique(share[there])) <= 1:  # 1 exactly, without rounding
        return Weighting(np.ones(len(of)), covered, left_out)
    return Weighting(share[of] * len(of) / covered, covered, left_out)
