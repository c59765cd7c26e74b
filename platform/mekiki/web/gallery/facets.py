"""The facets beside the gallery: links that add or remove one filter, with numbers of images."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from mekiki.accounts.http import user_of
from mekiki.datasets.access import dataset_for
from mekiki.datasets.quotas import dataset_usage
from mekiki.labeling.selectors import active_labels
from mekiki.learning.selectors import champion
from mekiki.review import blinding
from mekiki.review.facets import Count, Facet, FacetValue, facets_of
from mekiki.review.finding import FilterForm, uses_hidden_facts
from mekiki.review.metadata_filters import LEAST, MOST, UNFIT

# Parameters of the gallery that facet links keep, besides the filters.
_SEARCH = ("text", "like", "more", "less", "less_text", "select")


@dataclass(frozen=True)
class FacetLink:
    """A value of a facet as a link. `url` adds the value to the filters, or removes it if it is chosen."""

    value: FacetValue
    url: str


@require_safe
def facets(request: HttpRequest, slug: str) -> HttpResponse:
    """Return the part of the gallery page with the facets. It is loaded after the page."""
    dataset = dataset_for(user_of(request), slug)
    head = champion(dataset)
    form = FilterForm(request.GET, list(active_labels(dataset)), dataset)
    form.is_valid()  # a field that is not valid is left out, as in the gallery
    counted = facets_of(dataset, head, form)
    kept = form.kept(request.GET) | {
        name: request.GET.getlist(name) for name in _SEARCH if request.GET.get(name)
    }
    base = reverse("images", args=[slug])
    links = [
        (
            facet,
            [FacetLink(one, base + _query(kept, one)) for one in facet.values],
            _kept_fields(kept, *_names_of_range(facet)) if facet.range is not None else [],
        )
        for facet in counted.facets
    ]
    context = {
        "dataset": dataset,
        "head": head,
        "facets": counted,
        "links": links,
        "bars": _bars(counted.histogram),
        "kept_fields": _kept_fields(kept, "low", "high"),
        "low": form.asked.get("low"),
        "high": form.asked.get("high"),
        "all": dataset_usage(dataset)["images"],
        "filtered": bool(set(form.asked) - {"sort"}),
        "is_search": "text" in kept or "like" in kept,
        "left_out": blinding.hidden_count(dataset) if not uses_hidden_facts(form.asked) else 0,
        "left_out_limit": blinding.COUNT_UP_TO,
    }
    return render(request, "web/_facets.html", context)


def _names_of_range(facet: Facet) -> tuple[str, str, str]:
    return LEAST + facet.key, MOST + facet.key, UNFIT + facet.key


def _kept_fields(kept: dict[str, Any], *without: str) -> list[tuple[str, str]]:
    """Return the hidden inputs (name, value) of a form that keeps all other filters."""
    return [
        (name, value)
        for name, values in kept.items()
        if name not in without
        for value in (values if isinstance(values, list) else [values])
    ]


def _query(kept: dict[str, Any], one: FacetValue) -> str:
    """Return the query of the gallery with a value added, or removed if it is chosen."""
    query = dict(kept)
    for name, value in one.filters.items():
        if name == "metadata":
            others = [pair for pair in query.get(name, []) if pair != value]
            query[name] = others if one.chosen else [*others, value]
        elif one.chosen:
            query.pop(name, None)
        else:
            query[name] = value
    return f"?{urlencode(query, doseq=True)}"


def _bars(histogram: list[Count]) -> list[dict[str, Any]]:
    """Return the bars of the histogram: place and height in percent, and the range in percent."""
    most = max((count.n for count in histogram), default=0)
    width = 100 / len(histogram) if histogram else 0
    return [
        {
            "x": f"{place * width:.2f}",
            "y": f"{100 - height:.2f}",
            "width": f"{width * 0.9:.2f}",
            "height": f"{height:.2f}",
            "low": round(place * width),
            "high": round((place + 1) * width),
            "count": count,
        }
        for place, count in enumerate(histogram)
        for height in [100 * count.n / most if most else 0]
    ]
