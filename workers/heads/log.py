"""What training tells on its way: each step a code with JSON values, and the codes in plain English.

The platform keeps codes and values and tells them in the reader's language (mekiki.learning.training_log, which has a
sentence for every code here; a test compares the two). Whoever uses this package alone reads them so:

    train_head(X, y, text=text, logit_scale=100.0, log=in_english(print))
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

Values = dict[str, Any]


class Log(Protocol):
    """Called once a step: ``log("calibrated", temperature=1.2, slips=0.01)``. The values are JSON values."""

    def __call__(self, code: str, /, **values: Any) -> None: ...


def silent(code: str, /, **values: Any) -> None:
    """The log of whoever does not want one."""


def in_english(write: Callable[[str], object]) -> Log:
    """A log that hands each step to `write` (`print`, `lines.append`) as an English sentence."""

    def log(code: str, /, **values: Any) -> None:
        write(sentence(code, values))

    return log


def sentence(code: str, values: Values) -> str:
    """A step in English. KeyError: a code, or a value of it, that is not known."""
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
        return "1 class has no label yet: it rests on its prompts."
    return f"{v['classes']} classes have no label yet: they rest on their prompts."


def _candidate(v: Values) -> str:
    behind = f", {v['gap']:.3f} ± {v['gap_error']:.3f} behind the best" if v["gap"] > 0 else ""
    taken = "; taken" if v["taken"] else ""
    return f"{v['kind']}: cross-validated log-loss {v['log_loss']:.3f}{behind}{taken}."


def _cross_validated(v: Values) -> str:
    return (
        f"On the reviewed labels, cross-validated: agreement {v['agreement']:.1%} (prompts alone "
        f"{v['zero_shot_agreement']:.1%}), log-loss {v['log_loss']:.3f}, calibration error "
        f"{v['calibration_error']:.3f} (a sample of hard images: no estimate of accuracy)."
    )


SENTENCES: dict[str, Callable[[Values], str]] = {
    "labels": _labels,
    "unlabelled": _unlabelled,
    "few_labels": lambda v: (
        "Fewer than about two labels a class: logistic with the text prior, its strength by rule, uncalibrated."
    ),
    "candidate": _candidate,
    "usual_stays": lambda v: (
        "The usual head stays: the best is ahead of it by no more than two standard errors."
    ),
    "text_scale": lambda v: (
        f"Trust in the prompts' own scale: {v['scale']:.2f} (1 is the encoder's, 0 ignores the prompts)."
    ),
    "cross_validated": _cross_validated,
    "calibrated": lambda v: (
        f"Temperature {v['temperature']:.3f} and a share of slips among the answers of {v['slips']:.1%}, fitted on "
        "out-of-fold scores."
    ),
}
