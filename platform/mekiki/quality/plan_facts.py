"""Texts and figures of a plan: the forecast in one sentence, its curve, and what to do next."""

import math
from dataclasses import dataclass, field

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from mekiki.learning.accuracy import MIN_FOR_PERCENTAGE
from mekiki.learning.figures import count, decimal
from mekiki.learning.models import Head
from mekiki.quality.certificate_facts import between, percent
from mekiki.quality.chart_lines import ChartLine, Mark
from mekiki.quality.models import CertificateForecast, CertificatePlan
from verification.certificates.protocol import LEVELS, PLAN_LEVELS

# The limit and the first level of a certificate without a forecast.
DEFAULT_LIMIT, DEFAULT_FIRST = 300, LEVELS[0]
NEARLY = 0.01
# With fewer images of the audit sample, the page says that the forecast is rough.
FEW_AUDITED = MIN_FOR_PERCENTAGE


@dataclass(frozen=True)
class Notice:
    """A remark on a plan, and the page of the next step: the name of its URL, and the words of the link."""

    text: str
    link: str = ""
    action: str = ""


@dataclass(frozen=True)
class ForecastRow:
    """One forecast as the table shows it. `chosen`: the proposal."""

    alpha: str
    limit: int
    images: str
    share: str
    audits: str
    minutes: str
    granted: str
    chosen: bool


@dataclass(frozen=True)
class PlanFacts:
    """What the page, the command and the API show of a plan that was computed.

    proposal: the forecast of `best_forecast`, or None without one.
    """

    plan: CertificatePlan
    proposal: CertificateForecast | None
    headline: str
    basis: str
    pace: str
    left_out: str
    notices: list[Notice]
    rows: list[ForecastRow] = field(default_factory=list)
    lines: list[ChartLine] = field(default_factory=list)
    chart_description: str = ""

    @property
    def limit(self) -> int:
        """The proposed limit of decisions by people."""
        if self.proposal is not None:
            return self.proposal.limit
        return min(DEFAULT_LIMIT, max(1, self.plan.candidates))

    @property
    def first(self) -> float:
        """The proposed first level."""
        levels = self.proposal.levels if self.proposal is not None else [DEFAULT_FIRST]
        return min(PLAN_LEVELS, key=lambda level: abs(level - levels[0]))


def about_minutes(minutes: float) -> int:
    """Return minutes as a person says them: exact below 10, else a multiple of 5."""
    return max(1, math.ceil(minutes)) if minutes < 10 else 5 * round(minutes / 5)


def minutes_words(minutes: float) -> str:
    """Return “20 minutes”, rounded as a forecast deserves it."""
    shown = about_minutes(minutes)
    return ngettext("%(n)s minute", "%(n)s minutes", shown) % {"n": count(shown)}


def headline_of(plan: CertificatePlan, forecast: CertificateForecast) -> str:
    """Return the forecast in one sentence."""
    return _(
        "Probably %(images)s of %(pool)s images get their label by machine, after %(audits)s audited images: "
        "about %(time)s of reviewing."
    ) % {
        "images": between(forecast.images[0], forecast.images[2]),
        "pool": count(plan.pool),
        "audits": between(forecast.audits[0], forecast.audits[2]),
        "time": minutes_words(forecast.minutes),
    }


def best_forecast(plan: CertificatePlan, forecasts: list[CertificateForecast]) -> CertificateForecast | None:
    """Return the forecast of the wanted share that a plan proposes, or None without one.

    This is the smallest limit at which people answer, on average, at most NEARLY of the candidates more than
    at the best limit. A larger limit allows a longer audit in bad luck, and gains little.
    """
    wanted = [one for one in forecasts if one.alpha == plan.alpha]
    if not wanted:
        return None
    most = min(one.answers for one in wanted) + NEARLY * plan.candidates
    return min((one for one in wanted if one.answers <= most), key=lambda one: one.limit)


def plan_facts(plan: CertificatePlan, head_in_use: Head | None) -> PlanFacts:
    """Return the texts of a plan whose forecast was computed."""
    forecasts = list(plan.forecasts.all())
    proposal = best_forecast(plan, forecasts)
    return PlanFacts(
        plan=plan,
        proposal=proposal,
        headline=headline_of(plan, proposal) if proposal is not None else "",
        basis=_basis(plan),
        pace=_pace(plan),
        left_out=_left_out(plan),
        notices=_notices(plan, proposal, head_in_use),
        rows=[_row(plan, one, proposal) for one in forecasts],
        lines=_lines(plan, forecasts),
        chart_description=_("The table below has the same values."),
    )


def _basis(plan: CertificatePlan) -> str:
    if not plan.audited:
        return ""
    text = ngettext(
        "The forecast follows from %(n)s image of the audit sample, of which %(right)s was predicted right.",
        "The forecast follows from %(n)s images of the audit sample, of which %(right)s were predicted "
        "right.",
        plan.audited,
    ) % {"n": count(plan.audited), "right": count(plan.audited_right)}
    if plan.alpha_by_label:
        text += " " + _(
            "It includes the limits of single labels, and assumes that predictions of these labels are wrong "
            "as often as other predictions of the same confidence."
        )
    return text


def _pace(plan: CertificatePlan) -> str:
    values = {"seconds": decimal(plan.seconds, 1), "n": count(plan.timed_decisions), "k": plan.overlap}
    if plan.timed_decisions:
        text = ngettext(
            "Time: %(seconds)s seconds for a decision, the median of the last %(n)s blind decision.",
            "Time: %(seconds)s seconds for a decision, the median of the last %(n)s blind decisions.",
            plan.timed_decisions,
        )
    else:
        text = _(
            "Time: %(seconds)s seconds for a decision. This is assumed; too few blind decisions were timed."
        )
    if plan.overlap > 1:
        text += " " + _("%(k)s reviewers judge each image, and their times are added.")
    return text % values


def _left_out(plan: CertificatePlan) -> str:
    """Return which images the machine may not label, or an empty text if there are none."""
    numbers = (plan.critical_label, plan.critical_risk, plan.not_embedded)
    if not any(numbers):
        return ""
    label, risk, bare = map(count, numbers)
    return _(
        "Left to people from the start: %(label)s images predicted as a critical label, %(risk)s with a "
        "probable critical label, %(bare)s without an embedding."
    ) % {"label": label, "risk": risk, "bare": bare}


def _notices(
    plan: CertificatePlan, proposal: CertificateForecast | None, head_in_use: Head | None
) -> list[Notice]:
    """Return the remarks on a plan, the most important first."""
    notices = []
    if not plan.candidates:
        return [
            Notice(
                _(
                    "No image is left that the machine could label: people have labelled all images of this "
                    "choice, or the others look critical or have no embedding. Choose other images or a "
                    "higher bound for critical labels."
                )
            )
        ]
    if not plan.audited:
        notices.append(
            Notice(
                _(
                    "There is no forecast yet, because no image of the audit sample was judged. Judge about "
                    "100 images: a share of them belongs to the audit sample. Then plan again."
                ),
                "review",
                _("Judge the images"),
            )
        )
    elif plan.audited < FEW_AUDITED:
        notices.append(
            Notice(
                _(
                    "The audit sample is small (%(n)s images), so the forecast is rough. Judge more images "
                    "and plan again; from %(wanted)s on it is more useful."
                )
                % {"n": count(plan.audited), "wanted": count(FEW_AUDITED)},
                "review",
                _("Judge the images"),
            )
        )
    if plan.head is not None and not plan.head.calibrated:
        notices.append(
            Notice(
                _(
                    "The confidences of the head in use are not calibrated, so the forecast may be far off. "
                    "Judge images, retrain, and plan again."
                ),
                "models",
                _("Heads"),
            )
        )
    if proposal is not None and proposal.images[1] == 0 and plan.alpha_by_label:
        notices.append(
            Notice(
                _(
                    "This certificate probably fails: fewer than half of the simulated audits certified "
                    "anything. Each limit of a single label needs about 150 audited images with this "
                    "prediction or more. Leave these limits out, or choose larger ones."
                )
            )
        )
    elif proposal is not None and proposal.images[1] == 0:
        notices.append(
            Notice(
                _(
                    "A certificate with this share of wrong labels probably fails: fewer than half of the "
                    "simulated audits certified anything. Choose a larger share, or label more images and "
                    "retrain first."
                ),
                "review",
                _("Judge the images"),
            )
        )
    if plan.head is not None and (head_in_use is None or head_in_use.pk != plan.head_id):
        notices.append(Notice(_("Another head is in use since this plan was made. Plan again.")))
    if plan.batch_id is not None:
        notices.append(
            Notice(
                _(
                    "The audit sample of the whole dataset was used. If this import is harder than the other "
                    "images, the forecast is too good."
                )
            )
        )
    return notices


def _row(
    plan: CertificatePlan, one: CertificateForecast, proposal: CertificateForecast | None
) -> ForecastRow:
    return ForecastRow(
        alpha=percent(one.alpha),
        limit=one.limit,
        images=between(one.images[0], one.images[2]),
        share=percent(round(one.images[1] / plan.candidates, 2)) if plan.candidates else "–",
        audits=between(one.audits[0], one.audits[2]),
        minutes=minutes_words(one.minutes),
        granted=percent(round(one.granted, 2)),
        chosen=proposal is not None and one.pk == proposal.pk,
    )


def _lines(plan: CertificatePlan, forecasts: list[CertificateForecast]) -> list[ChartLine]:
    """Return coverage against the limit, one line for each share of wrong labels, the wanted one first."""
    alphas = sorted({one.alpha for one in forecasts}, key=lambda alpha: (alpha != plan.alpha, alpha))
    lines = []
    for alpha in alphas:
        rows = [one for one in forecasts if one.alpha == alpha]
        lines.append(
            ChartLine(
                label=_("at most %(alpha)s wrong") % {"alpha": percent(alpha)},
                points=[(one.limit, one.images[1] / plan.candidates) for one in rows],
                band=[
                    (one.limit, one.images[0] / plan.candidates, one.images[2] / plan.candidates)
                    for one in rows
                ]
                if alpha == plan.alpha
                else [],
            )
        )
    return lines


def coverage_marks() -> list[Mark]:
    """Return the marks of the vertical axis of the coverage."""
    return [Mark(share, percent(share)) for share in (0.0, 0.25, 0.5, 0.75, 1.0)]
