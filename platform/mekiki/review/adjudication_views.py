"""Views of the adjudicator's queue: the list, one dispute with its ruling, and what follows from a ruling."""

import json
import uuid
from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from mekiki.accounts.access import require_adjudicator
from mekiki.accounts.http import parse_number, user_of
from mekiki.accounts.models import Role
from mekiki.datasets.access import dataset_for
from mekiki.datasets.models import Dataset
from mekiki.review import disputes, services
from mekiki.review.access import item_for
from mekiki.review.blinding import set_shown_attributes
from mekiki.review.errors import NotFoundForReviewerError, ReviewError
from mekiki.review.messages import station_texts
from mekiki.review.models import Decision, QueueItem, ReferenceImage
from mekiki.review.preference_views import preference_context
from mekiki.review.preferences import current_preferences
from mekiki.review.services.adjudicating import MOST_DOUBTED
from mekiki.review.streams import stream_words
from mekiki.review.views import label_choices


def _dataset(request: HttpRequest, slug: str) -> Dataset:
    """Return the dataset for an adjudicator. Raises Http404 or PermissionDenied for other users."""
    dataset = dataset_for(user_of(request), slug, Role.REVIEWER)
    require_adjudicator(user_of(request), dataset)
    return dataset


@never_cache
@require_safe
def adjudication(request: HttpRequest, slug: str) -> HttpResponse:
    """Show the images about which reviewers disagree, oldest first."""
    dataset, user = _dataset(request, slug), user_of(request)
    counts = disputes.dispute_counts(dataset, user)
    own = "own" in request.GET
    asked = parse_number(request.GET.get("after", ""))
    rows, after = disputes.dispute_page(dataset, user, own=own, after=asked)
    query = "own=1&" if own else ""
    return render(
        request,
        "review/adjudication.html",
        {
            "dataset": dataset,
            "section": "review",
            "rows": rows,
            "own": own,
            "counts": counts,
            "older_url": f"?{query}after={after}" if after else "",
            "newer_url": f"?{query}" if asked else "",
            "names_hidden": dataset.hide_names_from_adjudicators,
        },
    )


@never_cache
@require_safe
def dispute(request: HttpRequest, slug: str, item_id: int) -> HttpResponse:
    """Show a disputed image with all answers side by side, or the ruling on it with what follows."""
    dataset = _dataset(request, slug)
    item = item_for(user_of(request), slug, item_id, Role.REVIEWER)
    return _page(request, dataset, item)


def _page(
    request: HttpRequest, dataset: Dataset, item: QueueItem, *, problem: str = "", status: int = 200
) -> HttpResponse:
    user = user_of(request)
    ruling = disputes.ruling_of_item(item)
    disputed = disputes.is_disputed(item)
    visible = disputes.may_see_answers(dataset, item, user, ruling)
    if not visible:
        ruling = None
    answers = disputes.compared_answers(dataset, item, user) if visible else []
    set_shown_attributes(dataset, [item.image])
    labels, finder = label_choices(dataset)
    counts = disputes.dispute_counts(dataset, user)
    following = disputes.next_dispute(dataset, user, after=item.pk)
    context: dict[str, Any] = {
        "dataset": dataset,
        "section": "review",
        "item": item,
        "image": item.image,
        "stream": stream_words(item.stream),
        "blind": disputes.is_blind(dataset, item),
        "answers": answers,
        "own": any(answer.is_own for answer in answers),
        "names_hidden": dataset.hide_names_from_adjudicators,
        "disputed": disputed,
        "ruling": ruling,
        "left": counts.others + counts.own - disputed,
        "next": following if following != item else None,
        "labels_json": json.dumps(labels),
        "texts_json": json.dumps(station_texts()),
        "finder": finder,
        "search_labels": len(labels) > 9 or finder,
        "client_key": uuid.uuid4(),
        **preference_context(current_preferences(user)),
        "problem": problem,
        "note": request.POST.get("note", ""),
        "chosen": parse_number(request.POST.get("label", "")) or "",
    }
    if ruling is not None and not disputed:
        context |= _after_ruling(request, dataset, ruling, answers)
    return render(request, "review/dispute.html", context, status=status)


def _after_ruling(
    request: HttpRequest, dataset: Dataset, ruling: Decision, answers: list[disputes.ComparedAnswer]
) -> dict[str, Any]:
    """Return what an adjudicator can do after the ruling."""
    others = {
        answer.decision.label_id: answer.decision.label
        for answer in answers
        if answer.decision.label_id != ruling.label_id
    }
    return {
        "doubts": disputes.doubted_by(dataset, ruling),
        "others": list(others.values()),
        "references": list(ReferenceImage.objects.filter(image=ruling.image_id).select_related("label")),
        "is_mine": ruling.user_id == user_of(request).pk,
    }


def _act(
    request: HttpRequest, slug: str, item_id: int, act: Callable[[Dataset, QueueItem], str]
) -> HttpResponse:
    """Do an act on an item, then show its page again with the result."""
    dataset = _dataset(request, slug)
    item = item_for(user_of(request), slug, item_id, Role.REVIEWER)
    try:
        done = act(dataset, item)
    except NotFoundForReviewerError as error:
        raise Http404 from error
    except ReviewError as error:
        item.refresh_from_db()
        return _page(request, dataset, item, problem=error.message, status=error.status)
    messages.success(request, done)
    return redirect("review-dispute", slug, item_id)


@require_POST
def rule(request: HttpRequest, slug: str, item_id: int) -> HttpResponse:
    """Record the ruling on a disputed image."""

    def act(dataset: Dataset, item: QueueItem) -> str:
        label = parse_number(request.POST.get("label", ""))
        if label is None:
            raise ReviewError("no_label", _("Choose a label. Nothing was recorded."))
        decision = services.rule(
            dataset=dataset,
            user=user_of(request),
            item_id=item.pk,
            label_id=label,
            note=request.POST.get("note", ""),
            client_key=_key(request),
            milliseconds=_milliseconds(request),
        )
        return _("The ruling is recorded: “%(label)s”.") % {"label": decision.label}

    return _act(request, slug, item_id, act)


def _milliseconds(request: HttpRequest) -> int | None:
    """Return the time that the form sent, or None without a time (without JavaScript).

    Another text becomes a number that the service refuses.
    """
    text = request.POST.get("milliseconds", "")
    number = parse_number(text)
    return -1 if number is None and text else number


def _key(request: HttpRequest) -> uuid.UUID:
    try:
        return uuid.UUID(request.POST.get("client_key", ""))
    except ValueError:
        raise ReviewError(
            "no_key", _("The form was incomplete. Nothing was recorded; load the page again.")
        ) from None


def _ruling_number(request: HttpRequest, item: QueueItem) -> int:
    """Return the ruling that the page showed. Raises ReviewError if it is not the ruling on the item."""
    ruling = disputes.ruling_of_item(item)
    if ruling is None or parse_number(request.POST.get("ruling", "")) != ruling.pk:
        raise ReviewError(
            "ruling_changed", _("The ruling on this image has changed. Nothing was done; look at it again.")
        )
    return ruling.pk


@require_POST
def undo(request: HttpRequest, slug: str, item_id: int) -> HttpResponse:
    """Undo the user's own ruling on the image."""

    def act(dataset: Dataset, item: QueueItem) -> str:
        services.undo_ruling(
            dataset=dataset,
            user=user_of(request),
            client_key=uuid.uuid4(),
            decision_id=_ruling_number(request, item),
        )
        return _("The ruling is undone.")

    return _act(request, slug, item_id, act)


@require_POST
def add_reference(request: HttpRequest, slug: str, item_id: int) -> HttpResponse:
    """Add the image to the reference images of a label, as accepted or as rejected."""

    def act(dataset: Dataset, item: QueueItem) -> str:
        reference = services.add_ruled_image_to_guideline(
            dataset=dataset,
            user=user_of(request),
            decision_id=_ruling_number(request, item),
            accepted=request.POST.get("use") == "accepted",
            label_id=parse_number(request.POST.get("label", "")),
        )
        return _("The image is a reference image of “%(label)s” now.") % {"label": reference.label.name}

    return _act(request, slug, item_id, act)


@require_POST
def recheck(request: HttpRequest, slug: str, item_id: int) -> HttpResponse:
    """Send the selected images, or all that the page showed, to the review again."""

    def act(dataset: Dataset, item: QueueItem) -> str:
        field = "shown" if request.POST.get("act") == "all" else "image"
        numbers = map(parse_number, request.POST.getlist(field)[: MOST_DOUBTED + 1])
        ids = [n for n in numbers if n is not None]
        if not ids:
            raise ReviewError("no_image", _("No image is selected. Nothing was changed; select one first."))
        items = services.recheck_doubted(
            dataset=dataset,
            user=user_of(request),
            decision_id=_ruling_number(request, item),
            image_ids=ids,
        )
        return ngettext(
            "%(n)d image waits at the start of the queue. Its label stays until the new answer.",
            "%(n)d images wait at the start of the queue. Their labels stay until the new answers.",
            len(items),
        ) % {"n": len(items)}

    return _act(request, slug, item_id, act)
