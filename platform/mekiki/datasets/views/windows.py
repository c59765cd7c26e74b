"""Pages that change pixel windows: which values of deep images are shown as black and as white."""

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from mekiki.accounts.http import user_of
from mekiki.accounts.models import Role
from mekiki.datasets import services
from mekiki.datasets.access import dataset_for, window_for
from mekiki.datasets.forms import WindowForm


@require_http_methods(["GET", "HEAD", "POST"])
def window(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Show what a change of the window costs (GET, or POST without `agreed`), or change it (`agreed`)."""
    pixel_window = window_for(user_of(request), slug, pk)
    estimate = "estimate" in request.POST
    form = WindowForm(
        request.POST if request.method == "POST" and not estimate else None,
        initial={"black": pixel_window.black, "white": pixel_window.white},
    )
    if request.method == "POST" and "agreed" in request.POST and (estimate or form.is_valid()):
        try:
            if estimate:
                services.estimate_window_again(window=pixel_window, user=user_of(request))
            else:
                changed = services.change_window(
                    window=pixel_window, user=user_of(request), **form.cleaned_data
                )
                if changed is None:
                    messages.info(request, _("Nothing was changed: these are the values in use."))
                    return redirect("dataset-settings", slug)
        except ValidationError as error:
            form.add_error(None, error)
        else:
            messages.success(
                request,
                _(
                    "The pictures are created again, then the embeddings. The page “Activity” shows "
                    "the progress."
                ),
            )
            return redirect("dataset-settings", slug)
    context = {
        "dataset": pixel_window.dataset,
        "section": "settings",
        "window": pixel_window,
        "form": form,
        "estimate": estimate,
        "asked": request.method == "POST" and (estimate or form.is_valid()),
        "image_count": pixel_window.images.count(),
    }
    return render(request, "datasets/window.html", context)


@require_POST
def window_go_on(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Start a job that renders the remaining images of a stopped change."""
    services.go_on_with_window(window=window_for(user_of(request), slug, pk), user=user_of(request))
    messages.success(request, _("The remaining pictures are made again."))
    return redirect("dataset-settings", slug)


@require_POST
def rebuild(request: HttpRequest, slug: str) -> HttpResponse:
    """Start a job that renders images again that an earlier version of Mekiki imported."""
    services.rebuild_old_pictures(
        dataset=dataset_for(user_of(request), slug, Role.ADMIN), user=user_of(request)
    )
    messages.success(
        request,
        _("The pictures are created again, then the embeddings. The page “Activity” shows the progress."),
    )
    return redirect("dataset-settings", slug)
