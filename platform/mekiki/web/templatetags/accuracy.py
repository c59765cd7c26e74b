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
from mekiki.quality.outdated_figures import remark_on_age, revocation_sentence
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


def _notes(evaluation: Evaluation | None, now: AuditCounts | None) -> list[str]:
    """Return the sentences on what left the audit sample, and on what the estimate does not cover."""
    if evaluation is None:
        return []
    counts = now if now is not None else audit_counts(evaluation.head.dataset)
    return accuracy.all_notes(evaluation, counts)


@register.inclusion_tag("components/accuracy_figures.html")
def accuracy_figures(
    evaluation: Evaluation | None,
    now: AuditCounts | None = None,
    *,
    small: bool = False,
    outdated: bool | None = None,
) -> dict[str, object]:
    """Return the audit estimate and the share of right labels of all images, with what they leave out.

    `now`: the dataset's counts. `outdated`: whether the share counts revoked labels. Both are read here if
    they are not given.
    """
    notes = _notes(evaluation, now)
    pool = PoolFigure.of(evaluation)
    pool_notes = list(pool.notes) if pool is not None else []
    if pool is not None and notes:
        pool_notes.append(_("The images that the audit estimate does not count are missing here too."))
    if pool is not None and evaluation is not None:
        if outdated is None:
            age = remark_on_age(evaluation)
        else:
            age = revocation_sentence() if outdated else ""
        pool_notes = [age, *pool_notes] if age else pool_notes
    return {
        "notes": notes,
        "pool_notes": pool_notes,
        "evaluation": evaluation,
        "headline": headline(evaluation),
        "support": accuracy.support_sentence(evaluation) if evaluation is not None else "",
        "sentence": audit_estimate_sentence(),
        "pool": pool,
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
