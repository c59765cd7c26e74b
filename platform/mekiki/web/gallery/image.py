"""The page of one image with its label, prediction and history, and the actions on it."""

import uuid
from collections.abc import Callable

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from mekiki.accounts.access import at_least
from mekiki.accounts.http import number_in, user_of
from mekiki.accounts.models import Role
from mekiki.datasets.access import image_for
from mekiki.datasets.models import Image
from mekiki.labeling.selectors import active_labels
from mekiki.learning.models import Head, Prediction
from mekiki.learning.selectors import champion
from mekiki.review import blinding, services
from mekiki.review.errors import ReviewError, UnknownHereError
from mekiki.review.history import correction_by, history_of
from mekiki.review.models import ConfirmedLabel, QueueItem
from mekiki.web.gallery.narrowed import Narrowed, neighbours


@require_safe
def image(request: HttpRequest, slug: str, sha256: str) -> HttpResponse:
    """Show one image, its metadata, prediction, decisions, and its neighbours in the order of the gallery."""
    picture = image_for(user_of(request), slug, sha256)
    return _page(request, picture)


def _page(request: HttpRequest, picture: Image, *, problem: str = "", status: int = 200) -> HttpResponse:
    dataset = picture.dataset
    head = champion(dataset)
    labels = list(active_labels(dataset))
    narrowed = Narrowed.of(request, dataset, labels)
    blinding.hide(dataset, [picture])
    seen = not picture.hidden
    confirmed = ConfirmedLabel.objects.filter(image=picture).select_related(
        "label", "audit_label", "decision__user"
    )
    current = confirmed.first() if seen else None
    prediction = _prediction(head, picture) if seen else None
    may_correct = current is not None and at_least(dataset.role, Role.REVIEWER)
    context = {
        "dataset": dataset,
        "section": "images",
        "image": picture,
        "head": head,
        "prediction": prediction,
        "waiting": QueueItem.objects.filter(image=picture, state=QueueItem.State.WAITING).exists(),
        "confirmed": current,
        "audited_as": current.audit_label if current is not None else None,
        "counts_for_audit": current is not None
        and current.audit_label is not None
        and not current.in_training,
        "decisions": history_of(picture, current) if seen else [],
        "near": neighbours(dataset, head, picture, narrowed, user_of(request)),
        "query": narrowed.query,
        "may_correct": may_correct,
        "other_labels": [label for label in labels if current is None or label.pk != current.label_id],
        "may_take_back": may_correct and correction_by(user_of(request), picture) is not None,
        "client_key": uuid.uuid4(),
        "problem": problem,
    }
    return render(request, "web/image.html", context, status=status)


def _prediction(head: Head | None, picture: Image) -> Prediction | None:
    if head is None:
        return None
    rows = Prediction.objects.filter(head_id=head.pk, image=picture)
    return rows.select_related("label", "runner_up").first()


def _act(request: HttpRequest, slug: str, sha256: str, act: Callable[[Image], str]) -> HttpResponse:
    """Run an action on an image, then show its page again with the result."""
    picture = image_for(user_of(request), slug, sha256, Role.REVIEWER)
    try:
        done = act(picture)
    except UnknownHereError as error:
        raise Http404 from error
    except ReviewError as error:
        return _page(request, picture, problem=error.message, status=error.status)
    messages.success(request, done)
    query = request.GET.urlencode()
    return redirect(reverse("image", args=[slug, sha256]) + (f"?{query}" if query else ""))


@require_POST
def correct(request: HttpRequest, slug: str, sha256: str) -> HttpResponse:
    """Give another label to an image with a confirmed label."""

    def act(picture: Image) -> str:
        label, version = number_in(request.POST.get("label", "")), request.POST.get("head", "")
        if label is None:
            raise ReviewError("no_label", _("Choose a label. Nothing was changed."))
        decision = services.correct_label(
            dataset=picture.dataset,
            user=user_of(request),
            image_id=picture.pk,
            label_id=label,
            client_key=_key(request.POST.get("client_key", "")),
            head_version=number_in(version),
            note=request.POST.get("note", "").strip(),
        )
        return _("The confirmed label is “%(label)s” now.") % {"label": decision.label}

    return _act(request, slug, sha256, act)


def _key(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise ReviewError(
            "no_key", _("The form was incomplete. Nothing was changed; choose the label again.")
        ) from None


@require_POST
def take_back(request: HttpRequest, slug: str, sha256: str) -> HttpResponse:
    """Undo the user's own correction."""

    def act(picture: Image) -> str:
        services.take_back_correction(dataset=picture.dataset, user=user_of(request), image_id=picture.pk)
        return _("The correction is undone. The previous label is restored.")

    return _act(request, slug, sha256, act)


@require_POST
def ask_again(request: HttpRequest, slug: str, sha256: str) -> HttpResponse:
    """Put an image with a confirmed label at the front of the review queue."""

    def act(picture: Image) -> str:
        services.ask_again(dataset=picture.dataset, user=user_of(request), image_id=picture.pk)
        return _("The image was returned to the start of the queue. Its label stays until the new answer.")

    return _act(request, slug, sha256, act)
