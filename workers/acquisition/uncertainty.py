"""How unsure a head is of each image: larger means ask sooner.

Source: Settles, "Active learning literature survey" (2009), section 3.1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Scored(Protocol):
    """What `workers.heads.scoring.score` returns, as far as acquisition looks at it."""

    @property
    def label(self) -> NDArray[np.int32]: ...

    @property
    def confidence(self) -> NDArray[np.float32]: ...

    @property
    def margin(self) -> NDArray[np.float32]: ...

    @property
    def entropy(self) -> NDArray[np.float32]: ...


def margin(scores: Scored) -> NDArray[Any]:
    """1 − (p₁ − p₂): near one where two labels compete."""
    return 1.0 - scores.margin


def entropy(scores: Scored) -> NDArray[Any]:
    """Entropy in nats: large where many labels compete."""
    return scores.entropy


def least_confidence(scores: Scored) -> NDArray[Any]:
    """1 − p₁."""
    return 1.0 - scores.confidence


UNCERTAINTY: dict[str, Callable[[Scored], NDArray[Any]]] = {
    "margin": margin,
    "entropy": entropy,
    "least_confidence": least_confidence,
}
