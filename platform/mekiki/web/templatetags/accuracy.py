"""Filters and tags for accuracy figures: `{% load accuracy %}`. The texts come from learning.accuracy."""

from types import SimpleNamespace
from typing import Any, cast

from django import template
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from mekiki.learning import accuracy
from mekiki.learning.accuracy import AuditCounts, Estimate
from mekiki.learning.figures import count
from mekiki.learning.models import Evaluation
from mekiki.learning.pool_figure import PoolFigure, audit_estimate_sentence
from mekiki.quality.label_sources import LabelSources
from mekiki.review.audit_counts import audit_counts
from mekiki.web.charts.label_bar import LabelShare, label_bar

register = template.Library()

register.filter("support", accuracy.support_sentence)
register.filter("in_a_cell", accuracy.accuracy_cell)
register.filter("images_in_a_cell", accuracy.sample_size_cell)
register.filter("leads_with_interval", accuracy.leads_with_interval)


@register.filter
def headline(estimate: Estimate | None) -> str:
    """Return the main figure.

    In an interval, no line break separates a number from its percent sign.
    """
    text = accuracy.headline(estimate)
    return text.replace(" %", "\u00a0%") if estimate and accuracy.leads_with_interval(estimate.n) else text


@register.simple_tag
def accuracy_notes(evaluation: Evaluation | None, now: AuditCounts | None = None) -> list[str]:
    """Return the sentences beside a figure. `now`: the dataset's counts, read here if they are not given."""
    if evaluation is None:
        return []
    counts = now if now is not None else audit_counts(evaluation.head.dataset)
    pool = PoolFigure.of(evaluation)
    return accuracy.all_notes(evaluation, counts) + (pool.notes if pool is not None else [])


@register.inclusion_tag("components/accuracy_figures.html")
def accuracy_figures(evaluation: Evaluation | None, *, small: bool = False) -> dict[str, object]:
    """Return the audit estimate and the share of right labels of all images, for a `dl` of "stats".

    Show `accuracy_notes` beside them: they state what left the audit sample (design, invariant 4).
    """
    return {
        "evaluation": evaluation,
        "headline": headline(evaluation),
        "support": accuracy.support_sentence(evaluation) if evaluation is not None else "",
        "sentence": audit_estimate_sentence(),
        "pool": PoolFigure.of(evaluation),
        "small": small,
    }


@register.inclusion_tag("components/label_bar.html")
def label_sources(sources: LabelSources) -> dict[str, object]:
    """Return the bar of the images by who set the label, with the numbers."""
    parts = [
        LabelShare("people", _("by people"), sources.people, count(sources.people)),
        LabelShare("machine", _("by certified machine"), sources.machine, count(sources.machine)),
        LabelShare("open", pgettext("labels", "open"), sources.open, count(sources.open)),
    ]
    return {"svg": label_bar(parts, title=_("Who set the labels")), "parts": parts}


@register.filter
def compared_headline(side: dict[str, Any]) -> str:
    """Return the figure of one side of a comparison of encoders (workers.steps.comparing)."""
    return accuracy.headline(_estimate(side))


@register.filter
def compared_support(side: dict[str, Any]) -> str:
    """Return the sample behind that figure."""
    return accuracy.support_sentence(_estimate(side))


def _estimate(side: dict[str, Any]) -> Estimate:
    """Return one side of a comparison as an estimate.

    Comparisons made before images were weighted have no `value`: the plain share is used.
    """
    share = side.get("value")
    share = side["correct"] / side["n"] if share is None else share
    figures = {name: side[name] for name in ("n", "correct", "low", "high")}
    return cast(Estimate, SimpleNamespace(**figures, accuracy=share))


@register.filter
def compared_notes(audit: dict[str, Any]) -> list[str]:
    """Return the sentences on drawn images that a comparison does not count, or counts as wrong.

    A comparison made before all counts were stored has only the number of images with an archived label.
    """
    counts = audit.get("counts") or {"archived_label": audit.get("archived", 0)}
    return accuracy.notes_on_counts(AuditCounts(**counts))
