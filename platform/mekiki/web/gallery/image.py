"""The page of one image with its label, prediction and history, and the actions on it."""

import json
import uuid
from collections.abc import Callable

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from mekiki.accounts.access import includes_role, is_adjudicator
from mekiki.accounts.http import parse_number, user_of
from mekiki.accounts.models import Role
from mekiki.datasets.access import dataset_for, image_for
from mekiki.datasets.models import Image
from mekiki.labeling.selectors import active_labels
from mekiki.learning.models import Head, Prediction
from mekiki.learning.selectors import champion
from mekiki.quality.certificates import machine_label_of
from mekiki.quality.label_sources import machine_label_history
from mekiki.review import blinding, services
from mekiki.review.disputes import disputed_items
from mekiki.review.errors import NotFoundForReviewerError, ReviewError
from mekiki.review.history import correction_by, history_of
from mekiki.review.imported import imported_labels_of
from mekiki.review.messages import why_texts
from mekiki.review.models import ConfirmedLabel, Decision, ExcludedImage, GoldImage, Stream
from mekiki.review.references import references_of
from mekiki.review.selectors import openly_waiting_items
from mekiki.review.services.gold import known_sources
from mekiki.web.gallery.narrowed import GalleryQuery, neighbours

OTHER_NAMES = 50


@require_safe
def image(request: HttpRequest, slug: str, sha256: str) -> HttpResponse:
    """Show one image, its metadata, prediction, decisions, and its neighbours in the order of the gallery."""
    picture = image_for(user_of(request), slug, sha256)
    return _page(request, picture)


def _page(request: HttpRequest, picture: Image, *, problem: str = "", status: int = 200) -> HttpResponse:
    dataset = picture.dataset
    head = champion(dataset)
    labels = list(active_labels(dataset))
    narrowed = GalleryQuery.of(request, dataset, labels)
    blinding.set_shown_attributes(dataset, [picture])
    is_visible = not picture.hidden
    confirmed = ConfirmedLabel.objects.filter(image=picture).select_related(
        "label", "audit_label", "decision__user", "decision__item"
    )
    current = confirmed.first() if is_visible else None
    prediction = _prediction(head, picture) if is_visible else None
    may_rule = is_adjudicator(user_of(request), dataset)
    may_review = current is not None and includes_role(dataset.role, Role.REVIEWER)
    is_ruled = current is not None and current.decision.kind == Decision.Kind.RULE
    context = {
        "dataset": dataset,
        "section": "images",
        "image": picture,
        "head": head,
        "prediction": prediction,
        "waiting": blinding.is_on_page(picture)
        or openly_waiting_items(dataset).filter(image=picture).exists(),
        "confirmed": current,
        "machine_label": machine_label_of(picture) if is_visible and current is None else None,
        "machine_labels": machine_label_history(picture) if is_visible else [],
        "other_names": list(picture.other_names.order_by("pk").values_list("name", flat=True)[:OTHER_NAMES])
        if is_visible
        else [],
        "imported_labels": imported_labels_of(picture) if is_visible else [],
        "audited_as": current.audit_label if current is not None else None,
        "counts_for_audit": current is not None
        and current.audit_label is not None
        and not current.in_training,
        "decisions": history_of(picture, current) if is_visible else [],
        "near": neighbours(dataset, head, picture, narrowed, user_of(request)),
        "query": narrowed.query,
        "excluded": ExcludedImage.objects.filter(image=picture).select_related("act__created_by").first()
        if is_visible
        else None,
        "disputed": disputed_items(dataset).filter(image=picture).first(),
        "may_rule": may_rule,
        "may_review": may_review,
        "may_correct": may_review and (may_rule or not is_ruled),
        "is_ruled": is_ruled,
        "other_labels": [label for label in labels if current is None or label.pk != current.label_id],
        "may_take_back": may_review and correction_by(user_of(request), picture) is not None,
        "client_key": uuid.uuid4(),
        "problem": problem,
        "may_refer": is_visible and includes_role(dataset.role, Role.ADMIN),
        "active_labels": labels,
        "references": references_of(picture) if is_visible else [],
        **(_gold_context(picture, current) if includes_role(dataset.role, Role.ADMIN) else {}),
        "why_url": reverse("api:why-open", args=[dataset.slug, picture.sha256]),
        "why_texts_json": json.dumps(why_texts()) if prediction is not None else "",
    }
    return render(request, "web/image.html", context, status=status)


def _gold_context(picture: Image, current: ConfirmedLabel | None) -> dict[str, object]:
    """Return what the page says about the image as a gold image. Only for admins.

    An audited image is not offered, and neither is an image that is hidden now.
    """
    gold = GoldImage.objects.filter(image=picture, ended_at__isnull=True).select_related(
        "label", "created_by"
    )
    audited = current is not None and current.stream == Stream.AUDIT and not current.in_training
    may_mark = current is not None and not audited and current.label.archived_at is None
    return {
        "gold": None if picture.hidden else gold.first(),
        "may_mark_gold": may_mark,
        "is_known": may_mark and current is not None and bool(known_sources([current])),
    }


def _prediction(head: Head | None, picture: Image) -> Prediction | None:
    if head is None:
        return None
    rows = Prediction.objects.filter(head_id=head.pk, image=picture)
    return rows.select_related("label", "runner_up").first()


def _run_action(
    request: HttpRequest, slug: str, sha256: str, act: Callable[[Image], str], role: Role = Role.REVIEWER
) -> HttpResponse:
    """Run an action on an image, then show its page again with the result."""
    picture = image_for(user_of(request), slug, sha256, role)
    try:
        done = act(picture)
    except NotFoundForReviewerError as error:
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
        label, version = parse_number(request.POST.get("label", "")), request.POST.get("head", "")
        if label is None:
            raise ReviewError("no_label", _("Choose a label. Nothing was changed."))
        decision = services.correct_label(
            dataset=picture.dataset,
            user=user_of(request),
            image_id=picture.pk,
            label_id=label,
            client_key=_key(request.POST.get("client_key", "")),
            head_version=parse_number(version),
            note=request.POST.get("note", "").strip(),
        )
        if not ConfirmedLabel.objects.filter(decision=decision).exists():
            return _(
                "Your answer “%(label)s” is recorded. The label needs another reviewer, so the image waits "
                "at the start of the queue. The present label stays until then."
            ) % {"label": decision.label}
        return _("The confirmed label is “%(label)s” now.") % {"label": decision.label}

    return _run_action(request, slug, sha256, act)


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

    return _run_action(request, slug, sha256, act)


@require_POST
def ask_again(request: HttpRequest, slug: str, sha256: str) -> HttpResponse:
    """Put an image with a confirmed label at the front of the review queue."""

    def act(picture: Image) -> str:
        services.request_recheck(dataset=picture.dataset, user=user_of(request), image_id=picture.pk)
        return _("The image was returned to the start of the queue. Its label stays until the new answer.")

    return _run_action(request, slug, sha256, act)


@require_POST
def add_reference(request: HttpRequest, slug: str, sha256: str) -> HttpResponse:
    """Make the image a reference image of a label."""

    def act(picture: Image) -> str:
        label = parse_number(request.POST.get("label", ""))
        if label is None or request.POST.get("use") not in ("accepted", "rejected"):
            raise ReviewError("no_label", _("Choose a label and a kind. Nothing was changed."))
        reference = services.add_reference_image(
            dataset=picture.dataset,
            user=user_of(request),
            image_id=picture.pk,
            label_id=label,
            accepted=request.POST["use"] == "accepted",
            note=request.POST.get("note", ""),
        )
        return _("The image is a reference image of “%(label)s” now.") % {"label": reference.label.name}

    return _run_action(request, slug, sha256, act, Role.ADMIN)


@require_POST
def remove_reference(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Remove a reference image of a label, from the page of the image or from the page of the labels."""
    dataset = dataset_for(user_of(request), slug, Role.ADMIN)
    try:
        reference = services.remove_reference_image(
            dataset=dataset, user=user_of(request), reference_id=min(pk, 2**63 - 1)
        )
    except NotFoundForReviewerError as error:
        raise Http404 from error
    messages.success(
        request,
        _("Removed from the reference images of “%(label)s”. The image itself stays.")
        % {"label": reference.label.name},
    )
    if request.POST.get("from") == "image":
        return redirect("image", slug, reference.image.sha256)
    return redirect(reverse("labels", args=[slug]) + "#references")
