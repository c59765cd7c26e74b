"""The index of the quality section."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from mekiki.accounts.access import includes_role
from mekiki.accounts.http import parse_number, user_of
from mekiki.accounts.models import Role
from mekiki.datasets.access import dataset_for
from mekiki.learning.selectors import latest_evaluation
from mekiki.quality import selectors
from mekiki.quality.certificate_list import certificate_rows
from mekiki.quality.label_sources import label_sources_of
from mekiki.quality.progress import progress_of
from mekiki.review.audit_counts import audit_counts


@require_safe
def quality(request: HttpRequest, slug: str) -> HttpResponse:
    """Show what is known about the quality of the labels: certificates, and studies of reviewers."""
    user = user_of(request)
    dataset = dataset_for(user, slug)
    studies, before = selectors.study_page(dataset, user, before=parse_number(request.GET.get("before", "")))
    invitations = selectors.open_invitations(dataset, user)
    may_review = includes_role(dataset.role, Role.REVIEWER)
    rows = []
    for study in studies:
        study.dataset = dataset
        invitation = invitations.get(study.pk) if may_review else None
        progress = progress_of(invitation) if invitation is not None else None
        rows.append({"study": study, "progress": progress})
    return render(
        request,
        "quality/quality.html",
        {
            "dataset": dataset,
            "section": "quality",
            "rows": rows,
            "evaluation": latest_evaluation(dataset),
            "audit": audit_counts(dataset),
            "sources": label_sources_of(dataset),
            "certificates": certificate_rows(dataset),
            "may_create": includes_role(dataset.role, Role.ADMIN),
            "older_url": f"?before={before}" if before else "",
            "newer_url": "?" if request.GET.get("before") else "",
        },
    )
