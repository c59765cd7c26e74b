"""All datasets, and one dataset's overview."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from mekiki.datasets.access import dataset_for, visible_datasets
from mekiki.jobs import progress


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """The datasets a user sees, those that need people first."""
    return render(request, "web/home.html", {"datasets": visible_datasets(request.user)})


@require_safe
def overview(request: HttpRequest, slug: str) -> HttpResponse:
    """The loop as one picture, the learning curve, and the next sensible act."""
    dataset = dataset_for(request.user, slug)
    context = {"dataset": dataset, "section": "overview", "jobs": progress.active_of(dataset)}
    return render(request, "web/overview.html", context)
