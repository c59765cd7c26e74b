"""Pages of images by key (keyset pagination), without offsets."""

from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from mekiki.config.keyset import after_key, take_page
from mekiki.datasets.models import Image

PAGE_SIZE = 60


@dataclass(frozen=True)
class Page:
    """One page of images and the keys of its neighbours ("" at an end)."""

    images: list[Image]
    newer: str
    older: str


def load_page(images: QuerySet[Image], sort: str, after: str = "", before: str = "") -> Page:
    """Return one page of images by key.

    A key is "<id>" or, in an order by confidence, "<confidence>:<id>". An invalid key is ignored.
    """
    descending = sort != "unsure"
    key = _parse_key(after or before, with_confidence=bool(sort))
    backwards = bool(before) and key is not None
    images = _in_order(images, sort, key, falling=descending != backwards)
    rows, more = take_page(images, PAGE_SIZE)
    if backwards:
        rows.reverse()
    first = page_key(rows[0], sort) if rows and ((key and not backwards) or (backwards and more)) else ""
    last = page_key(rows[-1], sort) if rows and (backwards or more) else ""
    return Page(rows, newer=first, older=last)


def _in_order(
    images: QuerySet[Image], sort: str, key: tuple[float | None, int] | None, *, falling: bool
) -> QuerySet[Image]:
    """Return the images beyond a key, in their order."""
    if key is not None:
        confidence, pk = key
        keys: list[tuple[str, Any]] = [] if confidence is None else [("confidence", confidence)]
        images = images.filter(after_key(*keys, ("pk", pk), descending=falling))
        if not sort and "answered" in images.query.annotations:
            images = images.filter(**{f"answered__{'lt' if falling else 'gt'}": key[1]})
    sign = "-" if falling else ""
    return images.order_by(*([f"{sign}confidence", f"{sign}pk"] if sort else [f"{sign}pk"]))


def images_after_key(images: QuerySet[Image], sort: str, key: str, *, backwards: bool) -> QuerySet[Image]:
    """Return the images after the key of an image (see key_of), the nearest first.

    With `backwards`, return the images before it.
    """
    return _in_order(
        images, sort, _parse_key(key, with_confidence=bool(sort)), falling=(sort != "unsure") != backwards
    )


def page_key(image: Image, sort: str) -> str:
    """Return the key of an image in an order, as used in addresses of pages."""
    return f"{image.confidence!r}:{image.pk}" if sort else str(image.pk)  # type: ignore[attr-defined]


def _parse_key(text: str, *, with_confidence: bool) -> tuple[float | None, int] | None:
    confidence, _colon, pk = text.rpartition(":")
    try:
        return (float(confidence) if with_confidence else None), int(pk)
    except ValueError:
        return None


def load_page_of_hits(
    hits: list[tuple[int, float]], after: str = "", before: str = ""
) -> tuple[int, list[tuple[int, float]], str, str]:
    """Return (rank of the first hit, one page of hits, key of the page before, key of the page after).

    A key is "<similarity>:<id>" of the hit at the edge of the page, or "" at an end. New images therefore do
    not repeat hits on the next page.
    """
    key = _parse_key(after or before, with_confidence=True)
    start = 0
    if key is not None:
        here = (-(key[0] or 0.0), key[1])
        order = [(-similarity, pk) for pk, similarity in hits]
        start = (
            sum(one <= here for one in order)
            if after
            else max(0, sum(one < here for one in order) - PAGE_SIZE)
        )
    rows = hits[start : start + PAGE_SIZE]
    newer = hit_key(rows[0]) if rows and start else ""
    older = hit_key(rows[-1]) if rows and start + PAGE_SIZE < len(hits) else ""
    return start + 1, rows, newer, older


def hit_key(hit: tuple[int, float]) -> str:
    """Return the key of a hit of a search, as used in addresses of pages."""
    pk, similarity = hit
    return f"{similarity!r}:{pk}"
