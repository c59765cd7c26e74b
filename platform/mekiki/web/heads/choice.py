"""The choice of a head's kind and of its prior strength, by cross-validation on the reviewed labels."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from mekiki.learning.models import Head
from mekiki.web import charts


@dataclass(frozen=True)
class Choice:
    """The sentence about the choice, and the compared kinds of head (empty if none were compared)."""

    sentence: str
    candidates: list[dict[str, Any]]


@dataclass(frozen=True)
class Strengths:
    """The tried strengths of the prior, as rows and as a chart."""

    rows: list[charts.Loss]
    svg: SafeString


def choice_of(head: Head) -> Choice:
    """Return why the head is of its kind. The sentence says so if kinds were not compared."""
    kinds = dict(Head.Kind.choices)
    candidates = [
        {**asdict(candidate), "label": kinds.get(candidate.kind, candidate.kind)}
        for candidate in head.metrics.candidates
    ]
    return Choice(_sentence(head, kinds), candidates)


def _sentence(head: Head, kinds: dict[str, Any]) -> str:
    if not head.is_trained:
        return _(
            "It uses the prompts alone: there was no confirmed label for training. Review some "
            "images, then retrain."
        )
    code = head.metrics.choice.code
    kind = kinds.get(head.kind, head.kind)
    if code == "best" and head.kind == Head.Kind.LOGISTIC:
        return _(
            "The default kind, a logistic head with the prompts as a prior, has the lowest log-loss in "
            "cross-validation."
        )
    sentences = {
        "few_labels": _(
            "Too few labels to compare kinds of head: the logistic head with the prompts as a prior was "
            "used. Review more images, then retrain."
        ),
        "best": _(
            "“%(kind)s” has the lowest log-loss in cross-validation, by more than two standard errors of its "
            "difference from the usual kind."
        )
        % {"kind": kind},
        "simpler": _(
            "The default kind, a logistic head with the prompts as a prior, is within two standard errors "
            "of the best in cross-validation, so it is used."
        ),
        "": _("Kinds of head were not compared: the logistic head with the prompts as a prior was used."),
    }
    return sentences.get(code, code)


def strengths_of(head: Head) -> Strengths | None:
    """Return the cross-validation of λ₀; None if it was fixed or the head has no prior."""
    tried = head.metrics.cross_validation if head.kind == Head.Kind.LOGISTIC else ()
    chosen = head.metrics.lambda0
    rows = [
        charts.Loss(
            strength.lambda0,
            strength.log_loss,
            strength.standard_error,
            chosen is not None and math.isclose(strength.lambda0, chosen, rel_tol=1e-6),
        )
        for strength in tried
        if strength.lambda0 > 0
        and math.isfinite(strength.log_loss)
        and math.isfinite(strength.standard_error)
    ]
    rows.sort(key=lambda row: row.strength)
    if not rows:
        return None
    best = min(rows, key=lambda row: row.loss)
    taken = next((row for row in rows if row.chosen), best)
    svg = charts.losses(
        rows,
        title=_("Log-loss against the strength of the prior"),
        description=_("Lowest at %(best).2g; %(taken).2g was chosen.")
        % {"best": best.strength, "taken": taken.strength},
        x_label=_("strength of the prior, λ₀; further right the prompts count more"),
    )
    return Strengths(rows, svg)
