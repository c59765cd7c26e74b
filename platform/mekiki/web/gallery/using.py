"""Acts on images that were chosen in the gallery: what would be used and left out, before it is confirmed."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db import OperationalError, connection, transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from mekiki.accounts.http import parse_number, user_of
from mekiki.accounts.models import Role, User
from mekiki.datasets.access import dataset_for
from mekiki.datasets.models import Dataset
from mekiki.exports import selectors as exports
from mekiki.exports.forms import FreezeForm
from mekiki.learning.left_out import describe_images
from mekiki.review import blinding, services
from mekiki.review.access import view_for
from mekiki.review.chosen_images import ChosenImages, images_for_act, query_of_ids
from mekiki.review.errors import ReviewError
from mekiki.web.gallery.acts import gallery_address
from mekiki.web.messages import USE_LEFT_OUT

ACTS = ("queue", "train", "export")
SHOWN = 12
TIMEOUT = "10s"


@require_http_methods(["GET", "HEAD", "POST"])
def use_images(request: HttpRequest, slug: str) -> HttpResponse:
    """Show what an act would do with chosen images. A POST has the same meaning: a selection may be long."""
    user = user_of(request)
    dataset = dataset_for(user, slug, Role.ADMIN)
    given = request.POST if request.method == "POST" else request.GET
    act, query = given.get("act", ""), given.get("query", "")
    if act not in ACTS:
        raise Http404
    view = view_for(user, slug, pk) if (pk := parse_number(given.get("view", ""))) is not None else None
    if view is not None:
        query = view.query
    back = gallery_address(slug, query)
    if view is None and request.method == "POST" and request.POST.get("all") != "1":
        numbers = (parse_number(text) for text in request.POST.getlist("image"))
        query = query_of_ids([number for number in numbers if number is not None])
        if not query:
            messages.error(request, _("Select images first. Nothing was changed."))
            return redirect(back)
    try:
        chosen = _in_time(dataset, user, act, query)
    except ReviewError as error:
        messages.error(request, error.message)
        return redirect(back)
    images = list(chosen.images[:SHOWN]) if chosen is not None else []
    blinding.set_shown_attributes(dataset, images)
    context: dict[str, Any] = {
        "dataset": dataset,
        "section": "images",
        "act": act,
        "page_title": {
            "queue": _("Send these images to review"),
            "train": _("Train without these images"),
            "export": _("Export these images"),
        }[act],
        "query": query,
        "view": view,
        "back": back,
        "chosen": chosen,
        "words": describe_images(view.name if view is not None else "", query),
        "images": [image for image in images if not image.hidden],
        "left_out": [
            USE_LEFT_OUT.render(reason, {"n": n}) for reason, n in (chosen.left_out if chosen else {}).items()
        ],
        "hidden_more": chosen is not None and chosen.hidden > blinding.COUNT_UP_TO,
        "hidden_limit": blinding.COUNT_UP_TO,
        "form": _freeze_form(dataset, query, view.pk if view is not None else None)
        if act == "export"
        else None,
    }
    return render(request, "web/use_images.html", context)


def _in_time(dataset: Dataset, user: User, act: str, query: str) -> ChosenImages | None:
    """Return the images, or None if counting takes too long."""
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(f"SET LOCAL statement_timeout = '{TIMEOUT}'")
            return images_for_act(dataset, user, act, query)
    except OperationalError:
        return None


def _freeze_form(dataset: Dataset, query: str, view: int | None) -> FreezeForm:
    form = FreezeForm(
        dataset=dataset,
        head=exports.calibrated_champion(dataset),
        certificate=exports.certificate_in_use(exports.certificates_with_labels(dataset)),
        initial={"view": view, "query": "" if view is not None else query},
    )
    if view is None:
        form.fields.pop("view", None)  # the images are chosen already
    return form


@require_POST
def train_without_images(request: HttpRequest, slug: str) -> HttpResponse:
    """Start a training without the images of a filter or a selection."""
    user = user_of(request)
    dataset = dataset_for(user, slug, Role.ADMIN)
    try:
        run = services.train_without_images(dataset=dataset, user=user, query=request.POST.get("query", ""))
    except ReviewError as error:
        messages.error(request, error.message)
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        text = _("A head is trained without %(images)s.")
        messages.success(request, text % {"images": describe_images("", run.without_query)})
        return redirect("models", slug)
    return redirect("images", slug)
