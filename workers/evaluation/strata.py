"""Weights of audited images by stratum: how many images each audited image represents.

Within a stratum all images had the same probability of being audited. Between strata it differs: images
imported later took part in fewer draws. Source: Cochran (1977), "Sampling techniques", chapter 5.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Weighting:
    """Weights of audited images, and the numbers of images that they represent or do not.

    weights: (n,) of the audited images, mean 1. covered: images in strata with an audited image; an estimate
    describes them. left_out: images in strata without one; no estimate includes them.
    """

    weights: NDArray[np.float64]
    covered: int
    left_out: int


def weigh(stratum: ArrayLike, sizes: ArrayLike) -> Weighting:
    """Return the weights of audited images from their strata.

    An image of stratum h has the weight (N_h / N) · (n / n_h): N_h images and n_h audited images in the
    stratum, N and n in all strata with audited images. Equal proportions of audited images give weights of 1.

    Args:
        stratum: (n,) in [0, H). sizes: (H,) images of each stratum, audited or not.

    Raises:
        ValueError: a stratum outside [0, H), or one with more audited images than images.
    """
    stratum_of, size = np.asarray(stratum, np.int64), np.asarray(sizes, np.int64)
    if len(stratum_of) and (stratum_of.min() < 0 or stratum_of.max() >= len(size)):
        raise ValueError(f"strata must lie in [0, {len(size)})")
    audited = np.bincount(stratum_of, minlength=len(size))
    if (audited > size).any():
        raise ValueError("a stratum has more audited images than images")
    sampled = audited > 0
    covered = int(size[sampled].sum())
    images_per_audit = np.zeros(len(size))
    images_per_audit[sampled] = size[sampled] / audited[sampled]
    left_out = int(size.sum()) - covered
    if len(np.unique(images_per_audit[sampled])) <= 1:  # exactly 1, without rounding
        return Weighting(np.ones(len(stratum_of)), covered, left_out)
    return Weighting(images_per_audit[stratum_of] * len(stratum_of) / covered, covered, left_out)
