"""The page of archived and deleted datasets, and their restoring and deletion."""

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from mekiki.accounts.http import user_of
from mekiki.accounts.models import Role
from mekiki.datasets import services
from mekiki.datasets.access import archived_dataset_for, archived_datasets, dataset_for


@require_safe
def archived(request: HttpRequest) -> HttpResponse:
    """List the archived and deleted datasets of which the user is an admin, newest first."""
    datasets = list(
        archived_datasets(user_of(request)).select_related("usage").order_by("-archived_at", "-pk")
    )
    for dataset in datasets:
        dataset.purge_time = services.purge_time(dataset)  # type: ignore[attr-defined]
    return render(request, "datasets/archived.html", {"datasets": datasets})


@require_POST
def restore(request: HttpRequest, slug: str) -> HttpResponse:
    """Show an archived or deleted dataset again."""
    dataset = archived_dataset_for(user_of(request), slug)
    try:
        services.restore_dataset(dataset=dataset, user=user_of(request))
    except ValidationError as error:
        messages.error(request, error.messages[0])
        return redirect("archived-datasets")
    messages.success(request, _("“%(name)s” is restored.") % {"name": dataset.name})
    return redirect("overview", dataset.slug)


@require_POST
def delete_archived(request: HttpRequest, slug: str) -> HttpResponse:
    """Delete an archived dataset. The user confirms by typing its name."""
    dataset = archived_dataset_for(user_of(request), slug)
    try:
        services.delete_dataset(dataset=dataset, user=user_of(request), name=request.POST.get("name", ""))
    except ValidationError as error:
        messages.error(request, error.messages[0])
    else:
        _message_deleted(request, dataset.name)
    return redirect("archived-datasets")


@require_POST
def delete(request: HttpRequest, slug: str) -> HttpResponse:
    """Delete the dataset. The user confirms by typing its name, so that it works without scripts."""
    dataset = dataset_for(user_of(request), slug, Role.ADMIN)
    try:
        services.delete_dataset(dataset=dataset, user=user_of(request), name=request.POST.get("name", ""))
    except ValidationError as error:
        messages.error(request, error.messages[0])
        return redirect("dataset-settings", slug)
    _message_deleted(request, dataset.name)
    return redirect("archived-datasets")


def _message_deleted(request: HttpRequest, name: str) -> None:
    messages.success(
        request,
        _("“%(name)s” is deleted. It can be restored for %(days)d days.")
        % {"name": name, "days": services.RESTORABLE.days},
    )
