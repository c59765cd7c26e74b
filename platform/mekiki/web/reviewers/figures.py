"""The measures of a reviewer in words: each figure with its interval, its number and its source."""

from dataclasses import dataclass

from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext

from mekiki.learning.figures import count, decimal, percent
from mekiki.review.reviewer_measures import LEAST, PAUSE, Measures, Median, ModelAgreement, Share
from mekiki.web import charts


@dataclass(frozen=True)
class Figure:
    """One figure of the page.

    shown: the figure, or why there is none. support: interval and number of answers. how: how it is measured.
    share: for the chart; None if the figure is no share or has too few answers.
    """

    code: str
    label: str
    shown: str
    support: str
    how: str
    enough: bool
    share: Share | None = None


def _too_few(n: int) -> str:
    return _("Too few answers: %(n)s of the %(least)s needed") % {"n": count(n), "least": count(LEAST)}


def _interval(low: str, high: str) -> str:
    return _("95 %% interval %(low)s to %(high)s") % {"low": low, "high": high}


def share_figure(code: str, label: str, share: Share, how: str) -> Figure:
    """Return a share as a figure."""
    if not share.enough:
        return Figure(code, label, "–", _too_few(share.n), how, False)
    support = _("%(k)s of %(n)s answers; %(interval)s") % {
        "k": count(share.k),
        "n": count(share.n),
        "interval": _interval(percent(share.low), percent(share.high)),
    }
    return Figure(code, label, percent(share.value), support, how, True, share)


def _seconds(value: float) -> str:
    return pgettext("duration", "%(n)s s") % {"n": decimal(value, 1)}


def median_figure(code: str, label: str, median: Median, how: str) -> Figure:
    """Return a median time as a figure."""
    if not median.enough:
        return Figure(code, label, "–", _too_few(median.n), how, False)
    support = ngettext("%(n)s answer; %(interval)s", "%(n)s answers; %(interval)s", median.n) % {
        "n": count(median.n),
        "interval": _interval(_seconds(median.low), _seconds(median.high)),
    }
    return Figure(code, label, _seconds(median.value), support, how, True)


def _points(value: float) -> str:
    """Return a difference of shares in percentage points, with its sign."""
    number = decimal(abs(value) * 100, 1)
    if round(value * 100, 1) == 0:
        return number
    return f"{'+' if value > 0 else '−'}{number}"


def _bias_figure(model: ModelAgreement) -> Figure:
    code, label = "bias", _("Effect of the shown prediction (automation bias)")
    how = _(
        "Agreement with the prediction when it was on the screen, minus agreement when it was hidden, in "
        "percentage points. Only images with the same confidence of the model are compared, because mostly "
        "difficult images are shown with a prediction."
    )
    difference = model.difference
    if not model.enough or difference is None:
        return Figure(code, label, "–", _too_few(min(model.compared)), how, False)
    if difference.low > 0:
        meaning = _("Answers agree with a shown prediction more often than with a hidden prediction.")
    elif difference.high < 0:
        meaning = _("Answers differ from a shown prediction more often than from a hidden prediction.")
    else:
        meaning = _("This number of answers does not show an effect.")
    shown, blind = model.compared
    support = _("%(interval)s; %(shown)s answers with and %(blind)s without the prediction. %(meaning)s") % {
        "interval": _interval(_points(difference.low), _points(difference.high)),
        "shown": count(shown),
        "blind": count(blind),
        "meaning": meaning,
    }
    shown_value = _("%(n)s points") % {"n": _points(difference.value)}
    return Figure(code, label, shown_value, support, how, True)


def figures_of(measures: Measures) -> list[Figure]:
    """Return all figures of a reviewer, in the order of the page."""
    pause = count(int(PAUSE.total_seconds()))
    return [
        share_figure(
            "gold",
            _("Right answers on gold images"),
            measures.gold,
            _(
                "Gold images are mixed into the queue. Reviewers do not see that an image is a gold image. "
                "The figure is the share of answers with the known label."
            ),
        ),
        share_figure(
            "repeats",
            _("Same answer on hidden repeats"),
            measures.repeats,
            _(
                "A hidden repeat is an image that the same reviewer judged before. Reviewers do not see "
                "that an image is repeated. The figure is the share of repeats with the same label. It does "
                "not show whether the first or the second answer is right."
            ),
        ),
        share_figure(
            "others",
            _("Agreement with other reviewers"),
            measures.others,
            _(
                "From images that several people decide. The figure is the share of images with the same "
                "label from at least half of the other people. It does not show who is right."
            ),
        ),
        share_figure(
            "foreign_tiles",
            _("Gold images noticed in the grid review"),
            measures.foreign_tiles,
            _(
                "Gold images of another label are put on pages of the grid review. The figure is the share "
                "of these images that the reviewer did not confirm with the page. The figure is low if a "
                "reviewer confirms pages without looking."
            ),
        ),
        share_figure(
            "model_shown",
            _("Agreement with the model, prediction shown"),
            measures.model.shown,
            _(
                "From images with the prediction on the screen, without the grid review. Most of these "
                "images were chosen because the model was unsure, so a low share is normal."
            ),
        ),
        share_figure(
            "model_blind",
            _("Agreement with the model, prediction hidden"),
            measures.model.blind,
            _(
                "From the audit sample, which is drawn at random and answered without a prediction. The "
                "answers are compared with the predictions of the head in use."
            ),
        ),
        _bias_figure(measures.model),
        median_figure(
            "pace",
            _("Time for one answer"),
            measures.pace,
            _(
                "The median from the image on the screen to the answer: half of the answers took less time. "
                "Answers that took more than %(pause)s seconds contain a pause and are left out. A short "
                "time is no aim in itself."
            )
            % {"pause": pause},
        ),
        median_figure(
            "grid_pace",
            _("Time for one image in the grid"),
            measures.grid_pace,
            _(
                "The median time that a page was on the screen, divided by its images. Pages with more than "
                "%(pause)s seconds for each image are left out."
            )
            % {"pause": pause},
        ),
    ]


def chart_of(figures: list[Figure]) -> str:
    """Return the chart of the shares with enough answers; "" if there are none."""
    rows = [
        charts.IntervalRow(
            figure.label, figure.share.value or 0.0, figure.share.low, figure.share.high, figure.shown
        )
        for figure in figures
        if figure.share is not None
    ]
    if not rows:
        return ""
    return charts.interval_rows(
        rows, title=_("Shares with their 95 % intervals"), x_label=_("share of the answers")
    )
