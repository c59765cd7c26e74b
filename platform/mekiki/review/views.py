"""View of the review station."""

import json
import unicodedata
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from mekiki.accounts.http import user_of
from mekiki.accounts.models import Role
from mekiki.config.modules import imported_modules
from mekiki.datasets.access import dataset_for
from mekiki.datasets.models import Dataset
from mekiki.labeling.keys import KEYS, key_of
from mekiki.labeling.selectors import active_labels
from mekiki.review import selectors, services
from mekiki.review.adjustments import LEAST, MOST
from mekiki.review.blinding import neutral_name, set_shown_attributes
from mekiki.review.messages import grid_texts, station_texts, why_texts
from mekiki.review.models import FLAG_REASONS, SKIP_REASONS
from mekiki.review.own_answers import name_of_own_answer
from mekiki.review.preference_views import preference_context
from mekiki.review.preferences import current_preferences
from mekiki.review.references import has_guides

# Numbers of images on a page of the grid review.
PAGE_SIZES = (6, 12, 24, 36, 60)
# Shortcuts of the commands, as shown on their buttons. The second set applies if letters search for labels.
SHORTCUTS = {
    "skip": "S",
    "flag": "F",
    "undo": "Z",
    "guide": "G",
    "history": "H",
    "why": "W",
    "heat": "M",
    "help": "?",
}
SHORTCUTS_WITH_LABEL_SEARCH = {
    "skip": "Shift+→",
    "flag": "Shift+↑",
    "undo": "Shift+←",
    "guide": "F2",
    "history": "F4",
    "why": "F8",
    "heat": "F9",
    "help": "F1",
}


def _labels_of(dataset: Dataset) -> list[dict[str, Any]]:
    """Return the labels as the scripts of the station and of the grid review read them."""
    return [
        {
            "id": label.pk,
            "name": label.name,
            "code": label.code,
            "critical": label.critical,
            "none": label.is_none,
            "guideline": label.shown_guideline,
            "key": key_of(label.position),
        }
        # The label “none of these” is last. The sort keeps the order of the others.
        for label in sorted(active_labels(dataset), key=lambda label: label.is_none)
    ]


def label_choices(dataset: Dataset) -> tuple[list[dict[str, Any]], bool]:
    """Return the labels with their keys, and whether letters search for a label.

    If a label has no key, letters search for a label and the commands use other keys.
    """
    labels = _labels_of(dataset)
    finder = any(label["key"] is None for label in labels)
    texts = [
        unicodedata.normalize("NFKC", str(label[field])) for label in labels for field in ("name", "code")
    ]
    if finder and any(text[:1].isdigit() for text in texts):
        labels = [{**label, "key": None} for label in labels]  # Digits can start a name or a code.
    return labels, finder


@never_cache
@require_GET
def station(request: HttpRequest, slug: str) -> HttpResponse:
    """Show the review station. After the first page load, all data comes through the API."""
    dataset = dataset_for(user_of(request), slug, Role.REVIEWER)
    if services.check_requalification(dataset=dataset, user=user_of(request)) is not None:
        return redirect("requalification", dataset.slug)
    preferences = current_preferences(user_of(request))
    labels, finder = label_choices(dataset)
    recent = selectors.recent_decisions(dataset, user_of(request))
    set_shown_attributes(dataset, [decision.image for decision in recent])
    history = [
        {
            "decision": decision.pk,
            "kind": decision.kind,
            "label": decision.label.name if decision.label else "",
            "name": neutral_name(decision.image.sha256)
            if decision.shown.get("blind")
            else name_of_own_answer(decision),
            "thumb": reverse("image-thumb", args=[dataset.slug, decision.image.sha256]),
        }
        for decision in reversed(recent)
    ]
    return render(
        request,
        "review/station.html",
        {
            "dataset": dataset,
            "section": "review",
            "labels": labels,
            "labels_json": json.dumps(labels),
            "texts_json": json.dumps(station_texts() | why_texts()),
            "skip_reasons": [(reason.value, reason.label) for reason in SKIP_REASONS],
            "flag_reasons": [(reason.value, reason.label) for reason in FLAG_REASONS],
            "history_json": json.dumps(history),
            "lease_seconds": settings.LEASE_SECONDS,
            "seen_after": dataset.min_display_ms,
            "adjustment_limits": (str(LEAST), str(MOST)),  # text: no decimal comma
            "finder": finder,
            # The first visit begins with the guidelines, if there are any.
            "first_time": not recent and has_guides(dataset),
            "label_keys": any(label["key"] is not None for label in labels),
            "why_url": reverse("api:why-open", args=[dataset.slug, "SHA256"]),  # the script fills it in
            "keys": SHORTCUTS_WITH_LABEL_SEARCH if finder else SHORTCUTS,
            "goal_reached": selectors.answers_since(dataset, user_of(request), preferences.goal_began_at),
            **preference_context(preferences),
        },
    )


@never_cache
@require_GET
def grid(request: HttpRequest, slug: str) -> HttpResponse:
    """Show the grid review. After the first page load, all data comes through the API."""
    dataset = dataset_for(user_of(request), slug, Role.REVIEWER)
    if services.check_requalification(dataset=dataset, user=user_of(request)) is not None:
        return redirect("requalification", dataset.slug)
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
            "flag_reasons": [(reason.value, reason.label) for reason in FLAG_REASONS],
            "modules": imported_modules("mekiki/js/review/grid/page.js"),
            "counts": PAGE_SIZES,
            "first_count": 24,
            **preference_context(current_preferences(user_of(request))),
        },
    )
