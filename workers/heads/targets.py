"""Training targets from the decisions about each image."""

from collections.abc import Sequence

import numpy as np


def make_targets(votes: Sequence[Sequence[int]], label_ids: Sequence[int]) -> np.ndarray:
    """Return label indices (n,); or soft labels (n, L) where the decisions about an image differ.

    votes: for each image the label ids of its decisions, the decision that stands first. Soft labels are the
    share of the votes; votes for labels outside `label_ids` do not count.

    Raises KeyError when the first vote of an image is not in `label_ids`.
    """
    index = {label_id: i for i, label_id in enumerate(label_ids)}
    hard = np.array([index[image[0]] for image in votes], np.int64)
    if all(len(set(image)) == 1 for image in votes):
        return hard
    soft = np.zeros((len(votes), len(label_ids)))
    for row, image in enumerate(votes):
        counted = [index[label] for label in image if label in index]
        for label in counted:
            soft[row, label] += 1
        soft[row] /= len(counted)
    return soft


def hard_labels(y: np.ndarray) -> np.ndarray:
    """Return the label (n,) with most votes, of targets of either form; the first label where votes tie."""
    return y.argmax(axis=1) if y.ndim == 2 else y
