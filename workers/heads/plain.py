"""Logistic regression that knows nothing of the prompts: the control every other head has to beat."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from workers.heads.estimator import HeadEstimator, Labelled
from workers.heads.head import PlainHead
from workers.heads.logistic import LogisticTextPriorHead
from workers.heads.objective import F8


class PlainLogistic(HeadEstimator):
    """An estimator with scikit-learn's conventions: weights are drawn to zero, not to the text.

    Args:
        text: (L, d); only its shape counts, so that all heads are made in one way. logit_scale: the encoder's s.
        evenness: the metric of the pull, as in `LogisticTextPriorHead`; None cross-validates it.
        folds, seed: of the cross-validation that chooses the strength of the pull.
        beside: a head with the prompts that has been cross-validated on the same labels: where its strength is much
            the same, cross-validation begins from it. Beyond rounding, only speed depends on it.

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
        beside: LogisticTextPriorHead | None = None,
    ) -> None:
        self.text = text
        self.logit_scale = logit_scale
        self.evenness = evenness
        self.folds = folds
        self.seed = seed
        self.beside = beside

    def _choose(self, text: F8, data: Labelled) -> None:
        self._model = LogisticTextPriorHead(
            np.zeros(text.shape),
            logit_scale=self.logit_scale,
            text_scale=0.0,
            evenness=self.evenness,
            folds=self.folds,
            seed=self.seed,
        ).choose(data)
        self.oof_logits_ = self._model.oof_logits_
        self.lambda0_, self.evenness_ = self._model.lambda0_, self._model.evenness_

    def _cross_validate(self, text: F8, data: Labelled) -> None:
        if self.beside is not None and self.beside.begun_ is not None:
            self._model.begun_ = self.beside.begun_
        self.oof_logits_ = self._model.cross_validate(data).oof_logits_
        self.lambda0_, self.evenness_ = self._model.lambda0_, self._model.evenness_

    def _complete(self, text: F8, data: Labelled) -> None:
        model = self._model.complete(data)
        self.coef_, self.intercept_ = model.coef_, model.intercept_
