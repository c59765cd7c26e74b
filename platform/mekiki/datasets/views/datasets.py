"""Pages that change the settings of a dataset and archive it."""

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from mekiki.accounts.http import user_of
from mekiki.accounts.models import Role
from mekiki.datasets import quotas, services, slugs
from mekiki.datasets.access import dataset_for
from mekiki.datasets.forms import AddressForm, LimitsForm, SettingsForm
from mekiki.datasets.models import Dataset, DatasetAddress
from mekiki.datasets.selectors import images_to_rebuild, windows_of


@require_http_methods(["GET", "HEAD", "POST"])
def settings(request: HttpRequest, slug: str) -> HttpResponse:
    """Show and change name, description, audit share, queue and training settings."""
    dataset = dataset_for(user_of(request), slug, Role.ADMIN)
    form = SettingsForm(request.POST or None, initial=SettingsForm.values_of(dataset))
    if request.method == "POST" and form.is_valid():
        try:
            services.update_settings(dataset=dataset, user=user_of(request), **form.changes())
        except ValidationError as error:
            form.add_error(None, error)
        else:
            messages.success(request, _("The settings are saved."))
            return redirect("dataset-settings", slug)
    return settings_page(request, dataset, form=form)


def settings_page(
    request: HttpRequest,
    dataset: Dataset,
    *,
    form: SettingsForm | None = None,
    address_form: AddressForm | None = None,
    limits_form: LimitsForm | None = None,
    status: int = 200,
) -> HttpResponse:
    """Render the settings page. `status` is 422 if one of its forms was refused."""
    context = {
        "dataset": dataset,
        "section": "settings",
        "meters": quotas.meters(quotas.limits_of(dataset), quotas.dataset_usage(dataset)),
        "limits_form": limits_form or LimitsForm(initial=LimitsForm.values_of(dataset), prefix="limits"),
        "form": form or SettingsForm(initial=SettingsForm.values_of(dataset)),
        "address_form": address_form or AddressForm(initial={"slug": dataset.slug}, prefix="address"),
        "suggested_address": _suggested_address(dataset),
        "windows": windows_of(dataset),
        "old_pictures": images_to_rebuild(dataset, None).count(),
    }
    return render(request, "datasets/settings.html", context, status=status)


def _suggested_address(dataset: Dataset) -> str:
    """Return a free address that follows from the present name, or "" if the address fits the name."""
    made = slugs.slug_from_name(dataset.name)
    if not made or dataset.slug == made or dataset.slug.startswith(f"{made}-"):
        return ""
    if DatasetAddress.objects.filter(slug=made, dataset=dataset).exists():
        return made  # its own earlier address
    return slugs.free_suggestion(dataset.name)


@require_POST
def archive(request: HttpRequest, slug: str) -> HttpResponse:
    """Archive the dataset. The user confirms by typing its name, so that it works without scripts."""
    dataset = dataset_for(user_of(request), slug, Role.ADMIN)
    if request.POST.get("name", "").strip() != dataset.name:
        messages.error(
            request, _("Nothing was archived: the name you typed is not the name of this dataset.")
        )
        return redirect("dataset-settings", slug)
    services.archive_dataset(dataset=dataset, user=user_of(request))
    messages.success(
        request, _("“%(name)s” is archived. Nothing in it was deleted.") % {"name": dataset.name}
    )
    return redirect("home")


@require_POST
def address(request: HttpRequest, slug: str) -> HttpResponse:
    """Change the address. The old address redirects to the new one."""
    dataset = dataset_for(user_of(request), slug, Role.ADMIN)
    form = AddressForm(request.POST, prefix="address")
    if form.is_valid():
        try:
            moved = services.change_address(
                dataset=dataset, user=user_of(request), slug=form.cleaned_data["slug"]
            )
        except ValidationError as error:
            form.add_error("slug", error)
        else:
            messages.success(
                request, _("The address is /d/%(slug)s/ now. Old links lead here.") % {"slug": moved.slug}
            )
            return redirect("dataset-settings", moved.slug)
    return settings_page(request, dataset, address_form=form, status=422)
