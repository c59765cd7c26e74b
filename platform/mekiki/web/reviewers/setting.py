"""Views by which an admin sets daily goals and assignments, and decides about a requalification."""

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from mekiki.accounts.http import parse_number, user_of
from mekiki.accounts.models import Role
from mekiki.accounts.services import set_daily_goal
from mekiki.datasets.access import dataset_for
from mekiki.review import services
from mekiki.review.access import reviewer_for
from mekiki.review.errors import ReviewError


@require_POST
def set_goal(request: HttpRequest, slug: str, user_id: int) -> HttpResponse:
    """Set the daily goal of a reviewer. An empty field removes it."""
    dataset = dataset_for(user_of(request), slug, Role.ADMIN)
    _dataset, person = reviewer_for(user_of(request), slug, user_id)
    text = request.POST.get("goal", "").strip()
    goal = parse_number(text)
    try:
        # 0 is out of range, so that a text that is no number is refused with the same words.
        goal = None if not text else (0 if goal is None else goal)
        set_daily_goal(dataset=dataset, user=person, goal=goal, actor=user_of(request))
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        messages.success(request, _("The daily goal is set.") if goal else _("There is no daily goal now."))
    return redirect("reviewer", slug, user_id)


@require_POST
def add_assignment(request: HttpRequest, slug: str) -> HttpResponse:
    """Assign a part of the queue to a reviewer."""
    dataset = dataset_for(user_of(request), slug, Role.ADMIN)
    person, label = (parse_number(request.POST.get(name, "")) for name in ("reviewer", "label"))
    try:
        services.assign_part(
            dataset=dataset,
            user=user_of(request),
            reviewer_id=person or 0,
            label_id=label,
            key=request.POST.get("key", "").strip(),
            value=request.POST.get("value", "").strip(),
            strict=request.POST.get("strict") == "on",
        )
    except ReviewError as error:
        messages.error(request, error.message)
    else:
        messages.success(
            request, _("The part is assigned. The reviewer gets its images before all others from now on.")
        )
    return redirect("reviewers", slug)


@require_POST
def delete_assignment(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Take a part of the queue back from a reviewer."""
    dataset = dataset_for(user_of(request), slug, Role.ADMIN)
    try:
        services.remove_assignment(
            dataset=dataset, user=user_of(request), assignment_id=pk if pk < 2**63 else 0
        )
    except ReviewError as error:
        messages.error(request, error.message)
    else:
        messages.success(request, _("The part is no longer assigned to this reviewer."))
    return redirect("reviewers", slug)


@require_POST
def decide_requalification(request: HttpRequest, slug: str, user_id: int) -> HttpResponse:
    """Waive the open requalification of a reviewer, or offer the test again."""
    dataset = dataset_for(user_of(request), slug, Role.ADMIN)
    _dataset, person = reviewer_for(user_of(request), slug, user_id)
    try:
        if request.POST.get("act") == "again":
            services.offer_test_again(dataset=dataset, user=user_of(request), reviewer_id=person.pk)
            done = _("The test is offered again.")
        else:
            services.waive_requalification(dataset=dataset, user=user_of(request), reviewer_id=person.pk)
            done = _("The reviewer may go on. The measurement on gold images starts again.")
    except ReviewError as error:
        messages.error(request, error.message)
    else:
        messages.success(request, done)
    return redirect("reviewer", slug, user_id)
