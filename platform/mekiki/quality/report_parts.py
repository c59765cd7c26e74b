"""The parts of a report in words: sections, tables, bars, and its numbers as text."""

from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _

from mekiki.accounts.site import zone_name
from mekiki.learning.figures import count, decimal, percent
from mekiki.quality.figures import Coefficient, Share


@dataclass(frozen=True)
class Table:
    """A table. The first column names the row, the others hold figures."""

    title: str
    headings: list[str]
    rows: list[list[str]]


@dataclass(frozen=True)
class Bar:
    """A row of the chart: a share from 0 to 1 with its interval. `value` is None if there is no image."""

    label: str
    value: float | None
    low: float
    high: float
    text: str


@dataclass(frozen=True)
class Section:
    """A part of the report: sentences, then bars of a chart, then tables."""

    key: str
    title: str
    sentences: list[str] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)


@dataclass(frozen=True)
class Document:
    """A report. `verdict` is the first sentence, and `good` says whether it is one (None: unclear)."""

    title: str
    verdict: str
    good: bool | None
    basis: str
    facts: list[tuple[str, str]]
    sections: list[Section]


def moment(at: datetime | None) -> str:
    """Return a time in the site's time zone with the name of the zone."""
    return at.astimezone(ZoneInfo(zone_name())).strftime("%Y-%m-%d %H:%M %Z") if at is not None else "–"


def share_text(share: Share | None) -> str:
    """Return a share as a percentage, "–" without images."""
    return "–" if share is None else percent(share.value)


def range_text(share: Share | None) -> str:
    """Return the interval of a share."""
    if share is None or not share.n:
        return "–"
    return _("%(low)s to %(high)s") % {"low": percent(share.low), "high": percent(share.high)}


def part_text(share: Share | None) -> str:
    """Return "k of n"."""
    if share is None:
        return "–"
    return _("%(k)s of %(n)s") % {"k": count(share.k), "n": count(share.n)}


def value_text(coefficient: Coefficient | None) -> str:
    """Return a kappa or alpha with two digits."""
    if coefficient is None or coefficient.value is None:
        return _("undefined")
    return decimal(coefficient.value, 2)


def interval_text(coefficient: Coefficient | None) -> str:
    """Return the interval of a kappa or alpha, "–" if there is none."""
    if coefficient is None or coefficient.low is None or coefficient.high is None:
        return "–"
    low, high = decimal(coefficient.low, 2), decimal(coefficient.high, 2)
    return _("%(low)s to %(high)s") % {"low": low, "high": high}


def landis_koch_word(kappa: float | None) -> str:
    """Return the word of Landis & Koch (1977) for a kappa, "–" for none. Their bounds are a convention."""
    if kappa is None:
        return "–"
    # A kappa of 0 can be computed as −1e-17.
    words = [
        (0.8, _("almost perfect")),
        (0.6, _("substantial")),
        (0.4, _("moderate")),
        (0.2, _("fair")),
        (-1e-12, _("slight")),
    ]
    return next((word for bound, word in words if kappa > bound), _("poor"))
