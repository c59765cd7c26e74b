"""The page of near-duplicates: thresholds with example pairs, and the groups in use. For admins."""

import math

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from mekiki.accounts.http import parse_number, user_of
from mekiki.accounts.models import Role
from mekiki.datasets.access import dataset_for
from mekiki.jobs.progress import job_status
from mekiki.learning.near_duplicates import active_grouping_jobs, grouping_in_use, survey_of
from mekiki.learning.selectors import encoder_in_use
from mekiki.learning.services import (
    choose_threshold,
    request_survey,
    set_leave_out,
    stop_grouping,
)
from mekiki.review.near_duplicates import page_of_groups, shown_levels


@require_safe
def near_duplicates(request: HttpRequest, slug: str) -> HttpResponse:
    """Show the groups of near-duplicates in use, and what several thresholds would give."""
    dataset = dataset_for(user_of(request), slug, Role.ADMIN)
    grouping, survey, encoder = grouping_in_use(dataset), survey_of(dataset), encoder_in_use(dataset)
    after = parse_number(request.GET.get("after", "")) or 0
    groups, next_key = page_of_groups(grouping, after) if grouping is not None else ([], None)
    context = {
        "dataset": dataset,
        "section": "images",
        "grouping": grouping,
        "groups": groups,
        "next_key": next_key,
        "is_first_page": not after,
        "survey": survey,
        "levels": shown_levels(survey) if survey is not None else [],
        "encoder": encoder,
        "is_other_encoder": grouping is not None
        and encoder is not None
        and grouping.encoder_id != encoder.pk,
        "is_old_survey": survey is not None and encoder is not None and survey.encoder_id != encoder.pk,
        "jobs": [job_status(job, dataset.role) for job in active_grouping_jobs(dataset)],
    }
    return render(request, "web/near_duplicates.html", context)


@require_POST
def act_on_near_duplicates(request: HttpRequest, slug: str) -> HttpResponse:
    """Do one act: compare the images, choose a threshold, change its use in training, delete the groups."""
    user = user_of(request)
    dataset = dataset_for(user, slug, Role.ADMIN)
    try:
        if "survey" in request.POST:
            request_survey(dataset=dataset, user=user)
            text = _("The images are being compared. This page shows the result.")
        elif "stop" in request.POST:
            stop_grouping(dataset=dataset, user=user)
            text = _("The groups are deleted. The images stay.")
        elif "leave_out" in request.POST:
            set_leave_out(dataset=dataset, user=user, leave_out=request.POST["leave_out"] == "1")
            text = _("Saved. It applies from the next training on.")
        else:
            choose_threshold(
                dataset=dataset,
                user=user,
                threshold=_cosine(request.POST.get("threshold", "") or request.POST.get("level", "")),
            )
            text = _("The threshold is saved. The images are being grouped.")
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        messages.success(request, text)
    return redirect("near-duplicates", slug)


def _cosine(text: str) -> float:
    """Return the number that a person wrote, with a comma or a point; 0 if it is none."""
    try:
        value = float(text.strip().replace(",", "."))
    except ValueError:
        return 0.0
    return value if math.isfinite(value) else 0.0
