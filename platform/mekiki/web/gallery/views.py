"""The gallery: the grid of thumbnails, filtered or searched."""

from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from mekiki.accounts.access import includes_role
from mekiki.accounts.http import user_of
from mekiki.accounts.models import Role
from mekiki.datasets.access import dataset_for, image_for
from mekiki.datasets.models import Dataset, Image
from mekiki.datasets.selectors import image_count
from mekiki.labeling.models import Label
from mekiki.labeling.selectors import active_labels
from mekiki.learning.models import Head
from mekiki.learning.search.texts import MAX_TEXT
from mekiki.learning.selectors import champion
from mekiki.quality.label_sources import machine_labels_of
from mekiki.review import blinding
from mekiki.review.finding import FilterForm, filter_images, uses_hidden_facts
from mekiki.review.models import ConfirmedLabel, GoldImage
from mekiki.review.searching import search
from mekiki.web.gallery.pages import load_page, load_page_of_hits

# Above this number the page shows "more than". Counting a million rows is too slow.
COUNT_UP_TO = 10_000
# Seconds that a page waits for the search worker before it shows that the search is running.
SEARCH_WAIT_SECONDS = 1.5


@require_safe
def images(request: HttpRequest, slug: str) -> HttpResponse:
    """Show the grid of thumbnails: newest first, by confidence, or by similarity to a text or an image."""
    dataset = dataset_for(user_of(request), slug)
    head = champion(dataset)
    form = FilterForm(request.GET, list(active_labels(dataset)), dataset)
    form.is_valid()  # an invalid field is marked; the other fields apply
    asked = {name: value for name, value in form.cleaned_data.items() if value not in ("", None)}
    text = request.GET.get("text", "").strip()
    # If both are given, the text applies: a form sends the text, a link the image.
    like = (
        image_for(user_of(request), slug, request.GET["like"])
        if request.GET.get("like") and not text
        else None
    )
    if like is not None:
        blinding.set_shown_attributes(dataset, [like])
    kept = {name: value for name, value in request.GET.items() if name in form.fields and value}
    context: dict[str, Any] = {
        "dataset": dataset,
        "section": "images",
        "form": form,
        "head": head,
        "text": text[: MAX_TEXT + 1],
        "max_text": MAX_TEXT,
        "left_out_limit": blinding.COUNT_UP_TO,
        "like": like,
        "filtered": bool(set(asked) - {"sort"}),
        "without_search": f"?{urlencode(kept)}" if kept else "?",
        "alike": f"?{urlencode(kept)}&like=" if kept else "?like=",
    }
    if text or like:
        form.fields.pop("sort")  # the most similar images come first
        kept.pop("sort", None)
        kept |= {"text": text} if text else {"like": request.GET["like"]}
        context |= _searched(request, dataset, head, asked, text, like)
    else:
        context |= _list_context(request, dataset, head, asked)
    _attach_labels(dataset, context["images"])
    if request.GET.get("select") == "gold" and includes_role(dataset.role, Role.ADMIN):
        kept["select"] = "gold"
        context |= _selection(context["images"], request)
    query = urlencode(kept)
    others = urlencode({name: value for name, value in kept.items() if name != "select"})
    context["without_selection"] = f"?{others}"
    context["select_url"] = f"?{others}&select=gold" if others else "?select=gold"
    context["carried"] = f"?{query}" if query else ""
    context["newer_url"] = f"?{query}&before={context['newer']}" if context["newer"] else ""
    context["older_url"] = f"?{query}&after={context['older']}" if context["older"] else ""
    return render(request, "web/gallery.html", context)


def _selection(images: list[Image], request: HttpRequest) -> dict[str, Any]:
    """Return the context of a page on which an admin selects gold images.

    Images without a confirmed label that the page shows cannot be selected.
    """
    gold = GoldImage.objects.filter(image__in=[image.pk for image in images], ended_at__isnull=True)
    return {
        "selects": True,
        "gold_ids": set(gold.values_list("image_id", flat=True)),
        "query": request.GET.urlencode(),
    }


def _list_context(
    request: HttpRequest, dataset: Dataset, head: Head | None, asked: dict[str, Any]
) -> dict[str, Any]:
    """Return the context of a page of the images that match the filters, in the requested order."""
    images = filter_images(dataset, head, asked)
    page = load_page(
        images, asked.get("sort", ""), request.GET.get("after", ""), request.GET.get("before", "")
    )
    total = image_count(dataset)
    filtered = bool(set(asked) - {"sort"})
    matches = images.order_by()[: COUNT_UP_TO + 1].count() if filtered else total
    return {
        "images": page.images,
        "left_out": blinding.hidden_count(dataset) if uses_hidden_facts(asked) else 0,
        "newer": page.newer,
        "older": page.older,
        "total": total,
        "matches": min(matches, COUNT_UP_TO) if filtered else total,
        "more_than": filtered and matches > COUNT_UP_TO,
    }


def _searched(
    request: HttpRequest, dataset: Dataset, head: Head | None, asked: dict[str, Any], text: str, like: Any
) -> dict[str, Any]:
    """Return the context of a page of the most similar images, with `.rank` and `.similarity`."""
    result = search(
        dataset=dataset,
        head=head,
        asked=asked,
        user=user_of(request),
        text=text,
        like=like,
        wait=SEARCH_WAIT_SECONDS,
    )
    after, before = request.GET.get("after", ""), request.GET.get("before", "")
    first, hits, newer, older = load_page_of_hits(result.hits, after, before)
    known = {
        image.pk: image for image in filter_images(dataset, head, {}).filter(pk__in=[pk for pk, _s in hits])
    }
    shown = []
    for rank, (pk, similarity) in enumerate(hits, first):
        if image := known.get(pk):
            image.rank, image.similarity = rank, similarity  # type: ignore[attr-defined]
            shown.append(image)
    return {
        "search": result,
        "images": shown,
        "newer": newer,
        "older": older,
        "total": result.images,
        "unsearchable": result.images - result.searchable,
        "again": request.get_full_path(),
    }


def _attach_labels(dataset: Dataset, images: list[Image]) -> None:
    """Give each image `.predicted_label`, `.confirmed`, `.certified` and the attributes of `blinding`.

    The number of queries does not depend on the number of images.
    """
    ids = [image.pk for image in images]
    names = {label.pk: label for label in Label.objects.filter(dataset=dataset)}
    confirmed = dict(ConfirmedLabel.objects.filter(image__in=ids).values_list("image_id", "label_id"))
    certified = machine_labels_of(dataset, ids)
    blinding.set_shown_attributes(dataset, images)
    for image in images:
        seen = not image.hidden
        image.predicted_label = names.get(image.predicted) if seen else None  # type: ignore[attr-defined]
        image.confirmed = (  # type: ignore[attr-defined]
            names.get(confirmed.get(image.pk, 0)) if seen else None
        )
        image.certified = certified.get(image.pk) if seen else None  # type: ignore[attr-defined]
