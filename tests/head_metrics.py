"""Head.metrics as training stores them: candidates, cross-validation, reliability and confusion."""

from typing import Any

CANDIDATES = [
    {
        "kind": "logistic",
        "log_loss": 0.431,
        "gap": 0.031,
        "gap_error": 0.01,
        "cv_accuracy": 0.86,
        "chosen": False,
    },
    {"kind": "gaussian", "log_loss": 0.4, "gap": 0.0, "gap_error": 0.0, "cv_accuracy": 0.88, "chosen": True},
    {"kind": "plain", "log_loss": 0.52, "gap": 0.12, "gap_error": 0.02, "cv_accuracy": 0.8, "chosen": False},
]
CROSS: dict[str, Any] = {
    "n": 70,
    "cv_accuracy": 0.86,
    "log_loss": 0.4,
    "expected_calibration_error": 0.04,
    "zero_shot_reviewed_accuracy": 0.5,
    "reliability": {
        "lower": [0.0, 0.5, 0.9],
        "upper": [0.5, 0.9, 1.0],
        "count": [0, 30, 40],
        "confidence": [None, 0.71, 0.96],
        "frequency": [None, 0.6, 0.95],
    },
    "confusion": [[30, 2], [8, 30]],
}
METRICS: dict[str, Any] = {
    "candidates": CANDIDATES,
    "choice": {"code": "best"},
    "lambda0": 0.1,
    "label_noise": 0.083,
    "cross_validation": [
        {"lambda0": 10.0, "log_loss": 0.62, "standard_error": 0.05},
        {"lambda0": 0.1, "log_loss": 0.43, "standard_error": 0.03},
        {"lambda0": 0.001, "log_loss": 0.42, "standard_error": 0.04},
    ],
    "cross_validated_on_reviewed_labels": CROSS,
}
