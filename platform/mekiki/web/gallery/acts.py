"""Saved views of the gallery, and acts on selected images or on all images of a filter."""

import uuid
from collections import Counter

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from mekiki.accounts.http import parse_number, user_of
from mekiki.accounts.models import Role
from mekiki.datasets.access import dataset_for, image_for
from mekiki.review import services
from mekiki.review.access import view_for
from mekiki.review.errors import NotFoundForReviewerError, ReviewError
from mekiki.review.models import BulkAct
from mekiki.web.templatetags.shell import count


def gallery_address(slug: str, query: str) -> str:
    """Return the address of the gallery with a query string."""
    return reverse("images", args=[slug]) + (f"?{query}" if query else "")


@require_POST
def save_view(request: HttpRequest, slug: str) -> HttpResponse:
    """Save the filters of the gallery under a name."""
    dataset, user = dataset_for(user_of(request), slug, Role.REVIEWER), user_of(request)
    query = request.POST.get("query", "")
    try:
        view = services.save_view(dataset=dataset, user=user, name=request.POST.get("name", ""), query=query)
    except ReviewError as error:
        messages.error(request, error.message)
        return redirect(gallery_address(slug, query))
    messages.success(request, _("The view “%(name)s” is saved.") % {"name": view.name})
    return redirect("gallery-view", slug, view.pk)


@require_safe
def open_view(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Open the gallery with the filters of a saved view."""
    view = view_for(user_of(request), slug, pk)
    return redirect(f"{gallery_address(slug, view.query)}&view={view.pk}")


@require_POST
def delete_view(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Delete a saved view."""
    view = view_for(user_of(request), slug, pk, Role.REVIEWER)
    services.delete_view(dataset=view.dataset, user=user_of(request), view=view)
    messages.success(request, _("The view “%(name)s” is deleted. Its images stay.") % {"name": view.name})
    return redirect("images", slug)


@require_POST
def train_without(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Start a training without the images of a saved view."""
    view = view_for(user_of(request), slug, pk, Role.ADMIN)
    try:
        services.train_without_view(dataset=view.dataset, user=user_of(request), view=view)
    except ReviewError as error:
        messages.error(request, error.message)
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        text = _("A head is trained without the images of the view “%(name)s”.")
        messages.success(request, text % {"name": view.name})
        return redirect("models", slug)
    return redirect(gallery_address(slug, view.query))


@require_POST
def correct_selection(request: HttpRequest, slug: str) -> HttpResponse:
    """Give the selected images another label, with one decision for each image."""
    user = user_of(request)
    dataset = dataset_for(user, slug, Role.REVIEWER)
    query = request.POST.get("query", "")
    numbers = (parse_number(text) for text in request.POST.getlist("image"))
    try:
        result = services.correct_selection(
            dataset=dataset,
            user=user,
            image_ids=[number for number in numbers if number is not None],
            label_id=parse_number(request.POST.get("label", "")) or 0,
            head_version=parse_number(request.POST.get("head", "")),
            client_key=_key(request.POST.get("client_key", "")),
        )
    except NotFoundForReviewerError as error:
        raise Http404 from error
    except ReviewError as error:
        messages.error(request, error.message)
        return redirect(gallery_address(slug, query))
    if result.changed:
        text = ngettext(
            "Your answer for %(n)s image is recorded.",
            "Your answers for %(n)s images are recorded.",
            len(result.changed),
        )
        messages.success(request, text % {"n": count(len(result.changed))})
    for reason, n in Counter(reason for _image, reason in result.refused).items():
        text = ngettext("%(n)s image: %(reason)s", "%(n)s images: %(reason)s", n)
        messages.warning(request, text % {"n": count(n), "reason": reason})
    return redirect(gallery_address(slug, query))


def _key(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise ReviewError(
            "no_key", _("The form was incomplete. Nothing was changed; choose the label again.")
        ) from None


@require_POST
def act(request: HttpRequest, slug: str) -> HttpResponse:
    """Act on the selected images, or on all images of the filter or of a saved view."""
    user = user_of(request)
    dataset = dataset_for(user, slug, Role.ADMIN)
    query = request.POST.get("query", "")
    view_id = parse_number(request.POST.get("view", ""))
    if view_id is not None:
        chosen = services.ImageChoice(view=view_for(user, slug, view_id))
    elif request.POST.get("all") == "1":
        chosen = services.ImageChoice(query=query)
    else:
        numbers = (parse_number(text) for text in request.POST.getlist("image"))
        chosen = services.ImageChoice(image_ids=[number for number in numbers if number is not None])
    try:
        done = services.start_bulk_act(
            dataset=dataset,
            user=user,
            act=request.POST.get("act", ""),
            images=chosen,
            tag=request.POST.get("tag", ""),
            reason=request.POST.get("reason", ""),
        )
    except NotFoundForReviewerError as error:
        raise Http404 from error
    except ReviewError as error:
        messages.error(request, error.message)
    else:
        messages.success(request, result_of(done))
    if sent_from := request.POST.get("from"):  # the page of an image
        image = image_for(user, slug, sent_from)
        return redirect(reverse("image", args=[slug, image.sha256]) + (f"?{query}" if query else ""))
    return redirect(gallery_address(slug, query))


def result_of(act: BulkAct) -> str:
    """Return what an act has done, in words."""
    if act.finished_at is None:
        return _("The act runs in the background. Its progress is shown with the running jobs.")
    if act.act == BulkAct.Act.QUEUE:
        text = ngettext(
            "%(n)s image waits first in the queue now.",
            "%(n)s images wait first in the queue now.",
            act.changed,
        )
    elif act.act == BulkAct.Act.TAG:
        text = ngettext(
            "%(n)s image has the tag “%(tag)s” now.", "%(n)s images have the tag “%(tag)s” now.", act.changed
        )
    elif act.act == BulkAct.Act.EXCLUDE:
        text = ngettext(
            "%(n)s image is excluded now: it is neither reviewed, trained on nor exported.",
            "%(n)s images are excluded now: they are neither reviewed, trained on nor exported.",
            act.changed,
        )
    elif act.act == BulkAct.Act.INCLUDE:
        text = ngettext("%(n)s image is taken back.", "%(n)s images are taken back.", act.changed)
    else:
        text = ngettext(
            "The tag “%(tag)s” was removed from %(n)s image.",
            "The tag “%(tag)s” was removed from %(n)s images.",
            act.changed,
        )
    parts = [text % {"n": count(act.changed), "tag": act.tag.name if act.tag else ""}]
    if act.unchanged:
        parts.append(
            ngettext("For %(n)s image nothing changed.", "For %(n)s images nothing changed.", act.unchanged)
            % {"n": count(act.unchanged)}
        )
    if act.left_out:
        parts.append(
            ngettext(
                "%(n)s image that must be judged blind was left out.",
                "%(n)s images that must be judged blind were left out.",
                act.left_out,
            )
            % {"n": count(act.left_out)}
        )
    if act.audited:
        parts.append(
            ngettext(
                "%(n)s image of the audit sample was not excluded: the accuracy is measured on it.",
                "%(n)s images of the audit sample were not excluded: the accuracy is measured on them.",
                act.audited,
            )
            % {"n": count(act.audited)}
        )
    return " ".join(parts)
