"""Pages with storage use and storage limits of a dataset and of the platform."""

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from mekiki.accounts.access import require_platform_admin
from mekiki.accounts.http import user_of
from mekiki.accounts.models import Role
from mekiki.datasets import quotas, services
from mekiki.datasets.access import dataset_for
from mekiki.datasets.forms import LimitsForm
from mekiki.datasets.models import Dataset, PlatformQuota
from mekiki.datasets.views.datasets import settings_page

LARGEST_SHOWN = 100  # datasets listed


@require_POST
def dataset_limits(request: HttpRequest, slug: str) -> HttpResponse:
    """Change the storage limits of a dataset. Only for admins of the platform."""
    dataset = dataset_for(user_of(request), slug, Role.ADMIN)
    require_platform_admin(user_of(request))
    form = LimitsForm(request.POST, prefix="limits")
    if form.is_valid():
        try:
            services.set_dataset_limits(dataset=dataset, user=user_of(request), **form.changes())
        except ValidationError as error:
            form.add_error(None, error)
        else:
            messages.success(request, _("The limits of the dataset are saved."))
            return redirect("dataset-settings", slug)
    return settings_page(request, dataset, limits_form=form, status=422)


@require_http_methods(["GET", "HEAD", "POST"])
def site_storage(request: HttpRequest) -> HttpResponse:
    """Show and change the limits of the platform. List the datasets with the largest storage use."""
    require_platform_admin(user_of(request))
    quota = PlatformQuota.objects.filter(pk=PlatformQuota.ONLY).first()
    form = LimitsForm(request.POST if request.method == "POST" else None, initial=LimitsForm.values_of(quota))
    if request.method == "POST" and form.is_valid():
        try:
            services.set_platform_limits(user=user_of(request), **form.changes())
        except ValidationError as error:
            form.add_error(None, error)
        else:
            messages.success(request, _("The limits of the platform are saved."))
            return redirect("site-storage")
    datasets = Dataset.objects.annotate(
        used_images=Coalesce("usage__images", 0), used_bytes=Coalesce("usage__bytes", 0)
    ).order_by("-used_bytes", "pk")
    context = {
        "form": form,
        "meters": quotas.meters(quotas.limits_of(quota), quotas.platform_usage()),
        "datasets": datasets[:LARGEST_SHOWN],
        "more": max(0, datasets.count() - LARGEST_SHOWN),
    }
    return render(request, "datasets/storage.html", context, status=422 if form.errors else 200)
