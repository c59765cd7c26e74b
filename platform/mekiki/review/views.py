"""Views of the review station, and of the page with the queue and the flagged images."""

import json
import unicodedata
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from mekiki.accounts.access import includes_role
from mekiki.accounts.http import user_of
from mekiki.accounts.models import Role
from mekiki.datasets.access import dataset_for
from mekiki.datasets.models import Dataset
from mekiki.labeling.keys import KEYS, key_of
from mekiki.labeling.selectors import active_labels
from mekiki.review import selectors, services
from mekiki.review.blinding import set_shown_attributes
from mekiki.review.errors import NotFoundForReviewerError, ReviewError
from mekiki.review.messages import grid_texts, station_texts
from mekiki.review.streams import stream_words

FLAGGED_SHOWN = 200
# Numbers of images on a page of the grid review.
PAGE_SIZES = (6, 12, 24, 36, 60)
# Shortcuts of the commands, as shown on their buttons. The second set applies if letters search for labels.
SHORTCUTS = {"skip": "S", "flag": "F", "undo": "Z", "help": "?"}
SHORTCUTS_WITH_LABEL_SEARCH = {"skip": "Shift+→", "flag": "Shift+↑", "undo": "Shift+←", "help": "F1"}


def _labels_of(dataset: Dataset) -> list[dict[str, Any]]:
    """Return the labels as the scripts of the station and of the grid review read them."""
    return [
        {
            "id": label.pk,
            "name": label.name,
            "critical": label.critical,
            "guideline": label.guideline,
            "key": key_of(label.position),
        }
        for label in active_labels(dataset)
    ]


@never_cache
@require_GET
def station(request: HttpRequest, slug: str) -> HttpResponse:
    """Show the review station. After the first page load, all data comes through the API."""
    dataset = dataset_for(user_of(request), slug, Role.REVIEWER)
    labels = _labels_of(dataset)
    recent = selectors.recent_decisions(dataset, user_of(request))
    set_shown_attributes(dataset, [decision.image for decision in recent])
    history = [
        {
            "kind": decision.kind,
            "label": decision.label.name if decision.label else "",
            "name": decision.image.shown_name,
            "thumb": reverse("image-thumb", args=[dataset.slug, decision.image.sha256]),
        }
        for decision in reversed(recent)
    ]
    # If a label has no key, letters search for a label and the commands use other keys.
    finder = any(label["key"] is None for label in labels)
    if finder and any(unicodedata.normalize("NFKC", str(label["name"]))[:1].isdigit() for label in labels):
        labels = [{**label, "key": None} for label in labels]  # Digits can start a name.
    return render(
        request,
        "review/station.html",
        {
            "dataset": dataset,
            "section": "review",
            "labels": labels,
            "labels_json": json.dumps(labels),
            "texts_json": json.dumps(station_texts()),
            "history_json": json.dumps(history),
            "lease_seconds": settings.LEASE_SECONDS,
            "seen_after": services.MIN_DISPLAY_MS,
            "finder": finder,
            "label_keys": any(label["key"] is not None for label in labels),
            "keys": SHORTCUTS_WITH_LABEL_SEARCH if finder else SHORTCUTS,
        },
    )


@never_cache
@require_GET
def grid(request: HttpRequest, slug: str) -> HttpResponse:
    """Show the grid review. After the first page load, all data comes through the API."""
    dataset = dataset_for(user_of(request), slug, Role.REVIEWER)
    labels = _labels_of(dataset)
    return render(
        request,
        "review/grid.html",
        {
            "dataset": dataset,
            "section": "review",
            "labels_json": json.dumps(labels),
            "texts_json": json.dumps(station_texts() | grid_texts()),
            "lease_seconds": settings.LEASE_SECONDS,
            "label_keys": any(label["key"] is not None for label in labels),
            "search_labels": len(labels) > KEYS,
            "counts": PAGE_SIZES,
            "first_count": 24,
        },
    )


@require_GET
def queue(request: HttpRequest, slug: str) -> HttpResponse:
    """Show the queue by stream, the flagged images with their notes, and the audit sample."""
    dataset = dataset_for(user_of(request), slug)
    counts = selectors.queue_counts(dataset)
    flags = list(selectors.flagged(dataset)[: FLAGGED_SHOWN + 1])
    set_shown_attributes(dataset, [flag.image for flag in flags])
    may_put_back = includes_role(dataset.role, Role.ADMIN)
    # A note can name the label, so it is hidden. Only its writer and admins, who must act on it, see it.
    closed = {
        flag.pk
        for flag in flags
        if flag.image.hidden and flag.user_id != user_of(request).pk and not may_put_back
    }
    return render(
        request,
        "review/queue.html",
        {
            "dataset": dataset,
            "section": "review",
            "streams": [(stream_words(stream), n) for stream, n in counts.items() if n],
            "waiting": sum(counts.values()),
            "flags": flags[:FLAGGED_SHOWN],
            "closed_notes": closed,
            "more_flags": len(flags) > FLAGGED_SHOWN,
            "shown_flags": FLAGGED_SHOWN,
            "audited": selectors.audit_count(dataset),
            "may_review": includes_role(dataset.role, Role.REVIEWER),
            "may_retire": includes_role(dataset.role, Role.ADMIN),
            "may_put_back": may_put_back,
        },
    )


@require_POST
def put_back(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Return a flagged image to the queue, by the id of its flag."""
    dataset = dataset_for(user_of(request), slug, Role.ADMIN)
    try:
        item = services.return_to_queue(dataset=dataset, user=user_of(request), flag_id=min(pk, 2**63 - 1))
    except NotFoundForReviewerError as error:
        raise Http404 from error
    except ReviewError as error:
        messages.error(request, error.message)
    else:
        set_shown_attributes(dataset, [item.image])
        messages.success(
            request,
            _("%(name)s was returned to the start of the queue.") % {"name": item.image.shown_name},
        )
    return redirect("review-queue", dataset.slug)


@require_POST
def retire(request: HttpRequest, slug: str) -> HttpResponse:
    """Move the audit sample into training. The page asks the admin to confirm this before."""
    dataset = dataset_for(user_of(request), slug, Role.ADMIN)
    moved = services.retire_audit(dataset=dataset, user=user_of(request))
    if moved:
        messages.success(
            request,
            ngettext(
                "%(n)d audited label is used for training from now on. The audit starts again.",
                "%(n)d audited labels are used for training from now on. The audit starts again.",
                moved,
            )
            % {"n": moved},
        )
    else:
        messages.info(request, _("There are no audited labels to retire."))
    return redirect("review-queue", dataset.slug)
