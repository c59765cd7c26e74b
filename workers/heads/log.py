"""The training log: each step is a code with JSON values; `sentence` writes a step in English.

The platform stores codes and values and translates them (mekiki.learning.training_log; a test compares its
codes with those here). Without the platform, print the steps by:

    train_head(X, y, class_embeddings=T, logit_scale=100.0, log=in_english(print))
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

Values = dict[str, Any]


class Log(Protocol):
    """A function called once a step with JSON values: ``log("calibrated", temperature=1.2)``."""

    def __call__(self, code: str, /, **values: Any) -> None: ...


def silent(code: str, /, **values: Any) -> None:
    """Ignore the step."""


def in_english(write: Callable[[str], object]) -> Log:
    """Return a log that passes each step to `write` (`print`, `lines.append`) as an English sentence."""

    def log(code: str, /, **values: Any) -> None:
        write(sentence(code, values))

    return log


def sentence(code: str, values: Values) -> str:
    """Return a step in English. KeyError: the code is unknown, or a value is missing."""
    return SENTENCES[code](values)


def _many(n: int, one: str, many: str) -> str:
    return f"{n} {one if n == 1 else many}"


def _labels(v: Values) -> str:
    return (
        f"{_many(v['n'], 'label', 'labels')} over {v['seen']} of {_many(v['classes'], 'class', 'classes')}; "
        f"{_many(v['dimensions'], 'dimension', 'dimensions')}."
    )


def _unlabelled(v: Values) -> str:
    if v["classes"] == 1:
        return "1 class has no label yet: its prompts alone decide."
    return f"{v['classes']} classes have no label yet: their prompts alone decide."


def _candidate(v: Values) -> str:
    behind = f", {v['gap']:.3f} ± {v['gap_error']:.3f} behind the best" if v["gap"] > 0 else ""
    chosen = "; chosen" if v["taken"] else ""
    return f"{v['kind']}: cross-validated log-loss {v['log_loss']:.3f}{behind}{chosen}."


def _cross_validated(v: Values) -> str:
    return (
        f"On the reviewed labels, cross-validated: accuracy {v['cv_accuracy']:.1%} (prompts alone "
        f"{v['zero_shot_reviewed_accuracy']:.1%}), log-loss {v['log_loss']:.3f}, calibration error "
        f"{v['calibration_error']:.3f} (a sample of hard images: no estimate of accuracy on the dataset)."
    )


SENTENCES: dict[str, Callable[[Values], str]] = {
    "labels": _labels,
    "unlabelled": _unlabelled,
    "few_labels": lambda v: (
        "Fewer than about two labels a class: logistic with the text prior, strength by rule, uncalibrated."
    ),
    "candidate": _candidate,
    "usual_stays": lambda v: "The default kind is kept: the best leads by no more than two standard errors.",
    "text_scale": lambda v: (
        f"Scale of the prompts: {v['scale']:.2f} (1 is the encoder's, 0 ignores the prompts)."
    ),
    "cross_validated": _cross_validated,
    "calibrated": lambda v: (
        f"Temperature {v['temperature']:.3f} and label noise {v['label_noise']:.1%}, fitted on out-of-fold "
        "scores."
    ),
}
