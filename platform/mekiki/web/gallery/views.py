"""The gallery: the grid of thumbnails, filtered or searched."""

import uuid
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from mekiki.accounts.access import includes_role
from mekiki.accounts.http import user_of
from mekiki.accounts.models import Role
from mekiki.datasets.access import dataset_for, image_for
from mekiki.datasets.models import Dataset, Image
from mekiki.datasets.quotas import dataset_usage
from mekiki.labeling.selectors import active_labels
from mekiki.learning.models import Head
from mekiki.learning.search.texts import MAX_TEXT
from mekiki.learning.selectors import champion
from mekiki.review import blinding
from mekiki.review.facets import EXACT_UP_TO
from mekiki.review.finding import CONFIDENCE_ORDERS, FilterForm, filter_images, uses_hidden_facts
from mekiki.review.models import GoldImage, SavedView, Tag
from mekiki.review.searching import MOST_EXAMPLES, Examples, search
from mekiki.web.gallery.narrowed import is_by_detail, parameters_of, read_examples
from mekiki.web.gallery.pages import load_page, load_page_of_hits
from mekiki.web.gallery.shown import attach_labels

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
    asked = form.asked
    text = request.GET.get("text", "").strip()
    # If both are given, the text applies: a form sends the text, a link the image.
    like = (
        image_for(user_of(request), slug, request.GET["like"])
        if request.GET.get("like") and not text
        else None
    )
    if like is not None:
        blinding.set_shown_attributes(dataset, [like])
    kept = form.kept(request.GET)
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
        "without_search": f"?{urlencode(kept, doseq=True)}" if kept else "?",
        "alike": f"?{urlencode(kept, doseq=True)}&like=" if kept else "?like=",
    }
    if text or like:
        form.fields.pop("sort")  # the most similar images come first
        kept.pop("sort", None)
        kept |= {"text": text} if text else {"like": request.GET["like"]}
        if like and is_by_detail(request):
            context["by_embedding_url"] = f"?{urlencode(kept, doseq=True)}"
            kept["by"] = "detail"
            context["alike"] = context["alike"].removesuffix("like=") + "by=detail&like="
            context |= _searched(request, dataset, head, asked, text, like, Examples(), by_detail=True)
        else:
            examples = read_examples(request, dataset)
            context |= _examples_context(dataset, kept, examples)
            kept |= parameters_of(examples)
            context |= _searched(request, dataset, head, asked, text, like, examples)
            if like and dataset.use_detail:
                alone = {
                    name: value for name, value in kept.items() if name not in ("more", "less", "less_text")
                }
                context["by_detail_url"] = f"?{urlencode(alone | {'by': 'detail'}, doseq=True)}"
    else:
        context |= _list_context(request, dataset, head, asked)
    attach_labels(dataset, context["images"])
    context |= _views_context(request, dataset, form, filtered=context["filtered"] and not text and not like)
    if request.GET.get("select") in ("gold", "images") and includes_role(dataset.role, Role.ADMIN):
        kept["select"] = request.GET["select"]
        context |= _selection(context["images"], request)
    others = urlencode({name: value for name, value in kept.items() if name != "select"}, doseq=True)
    context["without_selection"] = f"?{others}"
    context["select_url"] = f"?{others}&select=" if others else "?select="
    context["carried"] = context["facets_query"] = f"?{urlencode(kept, doseq=True)}" if kept else ""
    for url, parameter, key in (("newer_url", "before", "newer"), ("older_url", "after", "older")):
        context[url] = f"?{urlencode({**kept, parameter: context[key]}, doseq=True)}" if context[key] else ""
    return render(request, "web/gallery.html", context)


def _selection(images: list[Image], request: HttpRequest) -> dict[str, Any]:
    """Return the context of a page on which an admin selects images, or gold images.

    Only images whose facts the page shows can be selected, as gold images only those with a confirmed label.
    """
    gold = GoldImage.objects.filter(image__in=[image.pk for image in images], ended_at__isnull=True)
    return {
        "client_key": uuid.uuid4(),
        "labels": active_labels(images[0].dataset) if images else [],
        "selects": request.GET["select"],
        "tags": Tag.objects.filter(dataset_id=images[0].dataset_id) if images else [],
        "gold_ids": set(gold.values_list("image_id", flat=True)),
        "query": request.GET.urlencode(),
    }


def _views_context(
    request: HttpRequest, dataset: Dataset, form: FilterForm, *, filtered: bool
) -> dict[str, Any]:
    """Return the saved views, and what the user may do with the present filters.

    filtered: the page shows all images of a filter, and not the results of a search.
    """
    views = list(SavedView.objects.filter(dataset=dataset))
    kept = {name: value for name, value in form.kept(request.GET).items() if name != "sort"}
    query = urlencode(kept, doseq=True) if filtered and not form.errors else ""
    current = next((view for view in views if query and view.query == query), None)
    is_admin = includes_role(dataset.role, Role.ADMIN)
    may_save = bool(query) and current is None and includes_role(dataset.role, Role.REVIEWER)
    return {
        "views": views,
        "current_view": current,
        "filter_query": query,
        "use_url": reverse("gallery-use", args=[dataset.slug])
        + f"?{urlencode({'view': current.pk} if current is not None else {'query': query})}",
        "may_save": may_save,
        "may_act": bool(query) and is_admin,
        "may_delete_view": current is not None and (is_admin or current.created_by_id == user_of(request).pk),
    }


def _list_context(
    request: HttpRequest, dataset: Dataset, head: Head | None, asked: dict[str, Any]
) -> dict[str, Any]:
    """Return the context of a page of the images that match the filters, in the requested order."""
    images = filter_images(dataset, head, asked)
    page = load_page(
        images, asked.get("sort", ""), request.GET.get("after", ""), request.GET.get("before", "")
    )
    total = dataset_usage(dataset)["images"]
    filtered = bool(set(asked) - {"sort"})
    matches: int | None
    if not filtered:
        matches = total
    elif not (page.newer or page.older or request.GET.get("after") or request.GET.get("before")):
        matches = len(page.images)  # the only page
    elif total > EXACT_UP_TO:
        matches = None  # the facets count or estimate it after the page
    else:
        matches = images.order_by()[: COUNT_UP_TO + 1].count()
    return {
        "images": page.images,
        "left_out": blinding.hidden_count(dataset) if uses_hidden_facts(asked) else 0,
        "by_confidence": asked.get("sort") in CONFIDENCE_ORDERS,
        "newer": page.newer,
        "older": page.older,
        "total": total,
        "matches": len(page.images) if matches is None else min(matches, COUNT_UP_TO) if filtered else total,
        "more_than": filtered and (matches is None or matches > COUNT_UP_TO),
    }


def _examples_context(dataset: Dataset, kept: dict[str, Any], examples: Examples) -> dict[str, Any]:
    """Return the examples with the links that remove them, and the beginnings of the links that add one."""
    blinding.set_shown_attributes(dataset, examples.images)

    def without(removed: str, sha256: str) -> str:
        parameters = parameters_of(examples)
        parameters[removed] = [other for other in parameters.get(removed, []) if other != sha256]
        return f"?{urlencode(kept | parameters, doseq=True)}"

    now = urlencode(kept | parameters_of(examples), doseq=True)
    return {
        "more_images": [(image, without("more", image.sha256)) for image in examples.more],
        "less_images": [(image, without("less", image.sha256)) for image in examples.less],
        "less_text": examples.less_text,
        "more_url": f"?{now}&more=" if len(examples.more) < MOST_EXAMPLES else "",
        "less_url": f"?{now}&less=" if len(examples.less) < MOST_EXAMPLES else "",
    }


def _searched(
    request: HttpRequest,
    dataset: Dataset,
    head: Head | None,
    asked: dict[str, Any],
    text: str,
    like: Any,
    examples: Examples,
    *,
    by_detail: bool = False,
) -> dict[str, Any]:
    """Return the context of a page of the most similar images, with `.rank` and `.similarity`.

    By detail they have `.distance` in place of the similarity.
    """
    result = search(
        dataset=dataset,
        head=head,
        asked=asked,
        user=user_of(request),
        text=text,
        like=like,
        examples=examples,
        by_detail=by_detail,
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
            image.rank = rank  # type: ignore[attr-defined]
            setattr(image, *(("distance", -similarity) if by_detail else ("similarity", similarity)))
            shown.append(image)
    return {
        "search": result,
        "by_detail": by_detail,
        "images": shown,
        "newer": newer,
        "older": older,
        "total": result.images,
        "unsearchable": result.images - result.searchable,
        "again": request.get_full_path(),
    }
