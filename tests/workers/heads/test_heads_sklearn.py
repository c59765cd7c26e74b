"""scikit-learn's own checks of an estimator, for every kind of head."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pytest
from numpy.typing import ArrayLike
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data

from workers.heads.estimator import HeadEstimator
from workers.heads.gaussian import GaussianDiscriminant
from workers.heads.logistic import LogisticTextPriorHead
from workers.heads.plain import PlainLogistic


class OfData(HeadEstimator):
    """A head without text that takes labels and dimensions from its data.

    A head has as many labels and dimensions as its class embeddings, and its labels are indices.
    scikit-learn's checks fit data of many shapes and labels of any type.
    """

    def _embeddings(self) -> Any:
        return np.zeros(self._shape)

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:  # type: ignore[override]
        X, y = validate_data(self, X, y)
        check_classification_targets(y)
        classes, index = np.unique(y, return_inverse=True)
        self._shape = len(classes), X.shape[1]
        super().fit(X, index, sample_weight=sample_weight)
        self.classes_ = classes
        return self

    def decision_function(self, X: ArrayLike) -> Any:
        if not hasattr(self, "coef_"):
            return super().decision_function(X)  # raises NotFittedError
        return super().decision_function(validate_data(self, X, reset=False))

    def predict(self, X: ArrayLike) -> Any:
        return self.classes_[super().predict(X)] if hasattr(self, "classes_") else super().predict(X)


class LogisticOfData(OfData, LogisticTextPriorHead):
    pass


class GaussianOfData(OfData, GaussianDiscriminant):
    pass


class PlainOfData(OfData, PlainLogistic):
    pass


TWO_COLUMNS = "decision_function returns (n, 2) for two labels, as for more labels"
UNWEIGHTED = "folds and the unit of the prior's strength follow the rows, not their weights"
EXPECTED_FAILURES = {
    "check_all_zero_sample_weights_error": "without labels a head predicts by its text, and raises nothing",
    "check_classifiers_classes": TWO_COLUMNS,
    "check_classifiers_train": TWO_COLUMNS,
    "check_decision_proba_consistency": TWO_COLUMNS,
}
EXPECTED_FAILURES_OF = {
    GaussianOfData: EXPECTED_FAILURES,
    LogisticOfData: {**EXPECTED_FAILURES, "check_sample_weight_equivalence_on_dense_data": UNWEIGHTED},
    PlainOfData: {**EXPECTED_FAILURES, "check_sample_weight_equivalence_on_dense_data": UNWEIGHTED},
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", EXPECTED_FAILURES_OF)
def test_scikit_learn_checks_the_estimator(kind: type[HeadEstimator]) -> None:
    expected = EXPECTED_FAILURES_OF[kind]
    results = check_estimator(
        kind(None, logit_scale=1.0, folds=3), expected_failed_checks=expected, on_fail=None, on_skip=None
    )
    failed = {result["check_name"]: result["exception"] for result in results if result["status"] == "failed"}
    assert failed == {}
    assert {result["check_name"] for result in results if result["status"] == "xfail"} == set(expected)
    assert sum(result["status"] == "passed" for result in results) > 45
