"""Calibration of the confidences on the reviewed labels, out of fold."""

from dataclasses import dataclass
from typing import Any

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from mekiki.learning.reports import CrossValidation
from mekiki.web import charts


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram, its bins as rows (including empty bins), and the number of labels behind it."""

    svg: SafeString
    rows: list[dict[str, Any]]
    labels: int


def reliability_of(cross: CrossValidation | None) -> Reliability | None:
    """Return the diagram of a cross-validation; None for a head without one."""
    if cross is None:
        return None
    names = ("lower", "upper", "count", "confidence", "frequency")
    rows = [
        dict(zip(names, values, strict=True))
        for values in zip(*(getattr(cross.reliability, name) for name in names), strict=False)
    ]
    filled = [row for row in rows if row["count"] and None not in row.values()]
    if not filled:
        return None
    labels = sum(row["count"] for row in filled)
    svg = charts.reliability(
        [charts.Bin(**row) for row in filled],
        title=_("Confidence, and share of images on which reviewers agree"),
        description=ngettext("From %(n)d reviewed label.", "From %(n)d reviewed labels.", labels)
        % {"n": labels},
        x_label=_("confidence; below, labels by confidence"),
        y_label=_("share of images on which the reviewers agree"),
    )
    return Reliability(svg, rows, labels)
