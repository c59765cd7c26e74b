"""Logistic regression without the prompts: the control that other heads have to beat."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from workers.heads.estimator import HeadEstimator, LabelledData
from workers.heads.head import PlainHead
from workers.heads.logistic import LogisticTextPriorHead
from workers.heads.objective import F8


class PlainLogistic(HeadEstimator):
    """An estimator with scikit-learn's conventions whose prior mean is zero, not the class embeddings.

    `LogisticTextPriorHead` can choose a text scale of 0 as well, but only on labels that favour it.

    Args:
        class_embeddings: (L, d); only the shape is used. logit_scale: the encoder's s.
        whitening_power: as in `LogisticTextPriorHead`; None cross-validates it.
        folds, seed: of the cross-validation that chooses the prior's strength.
        start_from: a head with the prompts, cross-validated on the same labels: its solutions are the starts
            where the strength is similar. It changes the speed, and the result only by rounding.

    Fitted attributes, besides those of `HeadEstimator`: lambda0_, whitening_power_ as in
    `LogisticTextPriorHead`.
    """

    head_class = PlainHead

    def __init__(
        self,
        class_embeddings: ArrayLike,
        *,
        logit_scale: float = 100.0,
        whitening_power: float | None = None,
        folds: int = 5,
        seed: int = 0,
        start_from: LogisticTextPriorHead | None = None,
    ) -> None:
        self.class_embeddings = class_embeddings
        self.logit_scale = logit_scale
        self.whitening_power = whitening_power
        self.folds = folds
        self.seed = seed
        self.start_from = start_from

    def _choose_parameters(self, T: F8, data: LabelledData) -> None:
        self._model = LogisticTextPriorHead(
            np.zeros(T.shape),
            logit_scale=self.logit_scale,
            text_scale=0.0,
            whitening_power=self.whitening_power,
            folds=self.folds,
            seed=self.seed,
        ).choose_parameters(data)
        self.oof_logits_ = self._model.oof_logits_
        self.lambda0_, self.whitening_power_ = self._model.lambda0_, self._model.whitening_power_

    def _cross_validate(self, T: F8, data: LabelledData) -> None:
        if self.start_from is not None and self.start_from.first_fits_ is not None:
            self._model.first_fits_ = self.start_from.first_fits_
        self.oof_logits_ = self._model.cross_validate(data).oof_logits_
        self.lambda0_, self.whitening_power_ = self._model.lambda0_, self._model.whitening_power_

    def _refit(self, T: F8, data: LabelledData) -> None:
        model = self._model.refit(data)
        self.coef_, self.intercept_ = model.coef_, model.intercept_
