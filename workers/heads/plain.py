"""Logistic regression that knows nothing of the prompts: the control every other head has to beat."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from workers.heads.estimator import HeadEstimator
from workers.heads.head import PlainHead
from workers.heads.logistic import LogisticTextPriorHead
from workers.heads.objective import F8


class PlainLogistic(HeadEstimator):
    """An estimator with scikit-learn's conventions: weights are drawn to zero, not to the text.

    Args:
        text: (L, d); only its shape counts, so that all heads are made in one way. logit_scale: the encoder's s.
        evenness: the metric of the pull, as in `LogisticTextPriorHead`; None cross-validates it.
        folds, seed: of the cross-validation that chooses the strength of the pull.

    The text prior's scale α can reach zero too, but then for all labels at once and only where the labels say so;
    this one asks what they say without any prompt.

    Fitted attributes, beside those of `HeadEstimator`: lambda0_, evenness_ as in `LogisticTextPriorHead`.
    """

    frozen = PlainHead

    def __init__(
        self,
        text: ArrayLike,
        *,
        logit_scale: float = 100.0,
        evenness: float | None = None,
        folds: int = 5,
        seed: int = 0,
    ) -> None:
        self.text = text
        self.logit_scale = logit_scale
        self.evenness = evenness
        self.folds = folds
        self.seed = seed

    def _fit(self, text: F8, vectors: F8, Y: F8, v: F8) -> None:
        model = LogisticTextPriorHead(
            np.zeros(text.shape),
            logit_scale=self.logit_scale,
            text_scale=0.0,
            evenness=self.evenness,
            folds=self.folds,
            seed=self.seed,
        ).fit(vectors, Y, sample_weight=v)
        self.coef_, self.intercept_, self.oof_logits_ = model.coef_, model.intercept_, model.oof_logits_
        self.lambda0_, self.evenness_ = model.lambda0_, model.evenness_
