"""Views of the measures of reviewers: all for admins, one reviewer for admins and for themselves."""

from dataclasses import dataclass
from datetime import date, datetime

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from mekiki.accounts.access import includes_role
from mekiki.accounts.http import user_of
from mekiki.accounts.models import Membership, Role, User
from mekiki.datasets.access import dataset_for
from mekiki.datasets.models import Dataset, Image
from mekiki.labeling.models import Label
from mekiki.labeling.selectors import active_labels
from mekiki.review.access import reviewer_for, reviews
from mekiki.review.assignments import assignments_of, strict_parts_with_few_reviewers
from mekiki.review.blinding import hidden_ids
from mekiki.review.daily_goals import answers_of_today, daily_goal
from mekiki.review.models import Decision, Requalification
from mekiki.review.requalification import blocking_requalification, failed_tests, newest_requalifications
from mekiki.review.reviewer_measures import GoldAnswer, Measures, Summary, measures_of, since_of, summaries
from mekiki.review.streams import stream_words
from mekiki.review.unresolved import reviewers_of
from mekiki.web.reviewers.figures import Figure, chart_of, figures_of, share_figure

# Days of the ranges that a reader can choose. 0: all decisions.
RANGES = (7, 30, 90, 0)
FIRST_RANGE = 30


@dataclass(frozen=True)
class Row:
    """One reviewer in the list."""

    summary: Summary
    gold: Figure
    today: int
    test: Requalification | None


@dataclass(frozen=True)
class Miss:
    """A gold image with the answer that differs from its known label."""

    image: Image
    answer: str
    known: str
    at: datetime


@require_safe
@never_cache
def reviewers(request: HttpRequest, slug: str) -> HttpResponse:
    """Show all reviewers of the dataset to its admins, and each other reviewer only their own page."""
    user = user_of(request)
    dataset = dataset_for(user, slug)
    if not includes_role(dataset.role, Role.ADMIN):
        if not reviews(dataset, user):
            raise Http404
        return _page(request, dataset, user)
    days = chosen_range(request)
    after = request.GET.get("after", "")[:150].replace("\0", "")
    rows, more = summaries(dataset, since=since_of(days), after=after)
    ids = [row.user.pk for row in rows]
    today, tests = answers_of_today(dataset, ids), newest_requalifications(dataset, ids)
    label = _("Right answers on gold images")
    members = list(reviewers_of(dataset))
    context = {
        "dataset": dataset,
        "section": "reviewers",
        "ranges": ranges(days),
        "days": days,
        "rows": [
            Row(
                row,
                share_figure("gold", label, row.gold, ""),
                today.get(row.user.pk, 0),
                tests.get(row.user.pk),
            )
            for row in rows
        ],
        "open_tests": list(failed_tests(dataset)[:20]),
        "newer_url": f"?days={days}" if after else "",
        "older_url": f"?days={days}&after={more}" if more else "",
        "assignments": list(assignments_of(dataset)),
        "few": strict_parts_with_few_reviewers(dataset),
        "members": members,
        "labels": list(active_labels(dataset)),
    }
    return render(request, "web/reviewers.html", context)


@require_safe
@never_cache
def reviewer(request: HttpRequest, slug: str, user_id: int) -> HttpResponse:
    """Show the measures of one reviewer to an admin or to the reviewer."""
    dataset, person = reviewer_for(user_of(request), slug, user_id)
    return _page(request, dataset, person)


def _page(request: HttpRequest, dataset: Dataset, person: User) -> HttpResponse:
    user = user_of(request)
    days = chosen_range(request)
    measures = measures_of(dataset, person, since=since_of(days))
    figures = figures_of(measures)
    goal = daily_goal(dataset, person)
    tests = list(Requalification.objects.filter(dataset=dataset, user=person).order_by("-pk")[:5])
    is_member = Membership.objects.filter(dataset=dataset, user=person).exclude(role=Role.VIEWER).exists()
    context = {
        "dataset": dataset,
        "section": "reviewers",
        "person": person,
        "is_own": person.pk == user.pk,
        "may_set": includes_role(dataset.role, Role.ADMIN),
        "is_member": is_member,
        "ranges": ranges(days),
        "measures": measures,
        "figures": figures,
        "chart": chart_of(figures),
        "kinds": [(_kind(kind), n) for kind, n in sorted(measures.kinds.items())],
        "streams": [
            (stream_words(stream) if stream else _("answers of the last two minutes"), n)
            for stream, n in sorted(measures.streams.items())
        ],
        "days_table": last_days(measures),
        "misses": misses_of(dataset, measures.misses),
        "goal": goal,
        "tests": tests,
        "blocking": blocking_requalification(dataset, person),
        "own_parts": [row for row in assignments_of(dataset) if row.user_id == person.pk],
    }
    return render(request, "web/reviewer.html", context)


def chosen_range(request: HttpRequest) -> int:
    """Return the days of the range in the address, or the first range for any other text."""
    text = request.GET.get("days", "")
    return int(text) if text in map(str, RANGES) else FIRST_RANGE


def ranges(chosen: int) -> list[tuple[int, str, bool]]:
    """Return the ranges as days, words, and whether the range is chosen."""
    words = {days: ngettext("%(n)d day", "%(n)d days", days) % {"n": days} for days in RANGES if days}
    return [(days, words.get(days, _("all")), days == chosen) for days in RANGES]


def _kind(kind: str) -> str:
    return str(Decision.Kind(kind).label) if kind in Decision.Kind.values else kind


def last_days(measures: Measures) -> list[tuple[date, int, int]]:
    """Return the last 14 days with decisions, newest first: day, decisions, percent of the busiest day."""
    newest = sorted(measures.days, reverse=True)[:14]
    most = max((measures.days[day] for day in newest), default=1)
    return [(day, measures.days[day], measures.days[day] * 100 // most) for day in newest]


def misses_of(dataset: Dataset, answers: list[GoldAnswer]) -> list[Miss]:
    """Return the wrong answers on gold images with their images, without images that must be judged blind."""
    ids = [answer.image for answer in answers]
    hidden = hidden_ids(dataset, ids)
    images = Image.objects.in_bulk([pk for pk in ids if pk not in hidden])
    names = dict(Label.objects.filter(dataset=dataset).values_list("pk", "name")) if images else {}
    return [
        Miss(images[one.image], names.get(one.answer, ""), names.get(one.known, ""), one.at)
        for one in answers
        if one.image in images
    ]
