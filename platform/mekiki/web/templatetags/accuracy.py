"""Filters and tags for an accuracy on a page: `{% load accuracy %}`. The words are those of learning.accuracy."""

from types import SimpleNamespace
from typing import Any

from django import template

from mekiki.learning import accuracy
from mekiki.learning.accuracy import AuditCounts
from mekiki.review.audit_counts import audit_counts

register = template.Library()

register.filter("support", accuracy.support)
register.filter("in_a_cell", accuracy.in_a_cell)
register.filter("images_in_a_cell", accuracy.images_in_a_cell)
register.filter("leads_with_interval", accuracy.leads_with_interval)


@register.filter
def headline(estimate: Any) -> str:
    """The figure to show large. In an interval, each number and its per cent sign stay on one line."""
    text = accuracy.headline(estimate)
    return text.replace(" %", "\u00a0%") if estimate and accuracy.leads_with_interval(estimate.n) else text


@register.simple_tag
def accuracy_notes(evaluation: Any, now: AuditCounts | None = None) -> list[str]:
    """The sentences to show beside a figure; `now`: the dataset's counts, read here where they are not given."""
    if evaluation is None:
        return []
    counts = now if now is not None else audit_counts(evaluation.head.dataset)
    return accuracy.all_notes(evaluation, counts)


@register.filter
def compared_headline(side: dict[str, Any]) -> str:
    """The figure of one side of a comparison of encoders (workers.steps.comparing)."""
    return accuracy.headline(_estimate(side))


@register.filter
def compared_support(side: dict[str, Any]) -> str:
    """What that figure rests on."""
    return accuracy.support(_estimate(side))


def _estimate(side: dict[str, Any]) -> Any:
    """Comparisons of before images were weighted have no `value`: there it is the plain share."""
    share = side.get("value")
    share = side["correct"] / side["n"] if share is None else share
    return SimpleNamespace(**{name: side[name] for name in ("n", "correct", "low", "high")}, accuracy=share)


@register.filter
def compared_notes(audit: dict[str, Any]) -> list[str]:
    """The sentences on drawn images that a comparison of encoders does not count, or counts as wrong.

    A comparison of before all counts were kept has only the number of images whose label was archived.
    """
    counts = audit.get("counts") or {"archived_label": audit.get("archived", 0)}
    return accuracy.notes(AuditCounts(**counts))
