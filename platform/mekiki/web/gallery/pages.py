"""Pages of images by key (keyset pagination), without offsets."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from mekiki.config.keyset import after_key, take_page
from mekiki.datasets.models import Image

PAGE_SIZE = 60


@dataclass(frozen=True)
class Order:
    """An order of images: by a field and the id, or by the id alone. `parse` reads the field from a key."""

    field: str = ""
    descending: bool = False
    parse: Callable[[str], Any] = float


# The orders of finding.FilterForm. Its queries have the fields as annotations.
ORDERS = {
    "": Order(descending=True),
    "oldest": Order(),
    "name": Order("name_start", parse=str),
    "unsure": Order("confidence"),
    "sure": Order("confidence", descending=True),
}


_BY_SIMILARITY = Order("similarity", descending=True)


@dataclass(frozen=True)
class Page:
    """One page of images and the keys of its neighbours ("" at an end)."""

    images: list[Image]
    newer: str
    older: str


def load_page(images: QuerySet[Image], sort: str, after: str = "", before: str = "") -> Page:
    """Return one page of images by key.

    A key is "<id>" or, in an order by a field, "<value>:<id>". An invalid key is ignored.
    """
    key = _parse_key(after or before, ORDERS[sort])
    backwards = bool(before) and key is not None
    images = _in_order(images, ORDERS[sort], key, backwards=backwards)
    rows, more = take_page(images, PAGE_SIZE)
    if backwards:
        rows.reverse()
    first = page_key(rows[0], sort) if rows and ((key and not backwards) or (backwards and more)) else ""
    last = page_key(rows[-1], sort) if rows and (backwards or more) else ""
    return Page(rows, newer=first, older=last)


def _in_order(
    images: QuerySet[Image], order: Order, key: tuple[Any, int] | None, *, backwards: bool
) -> QuerySet[Image]:
    """Return the images beyond a key, in their order or backwards."""
    descending = order.descending != backwards
    if key is not None:
        value, pk = key
        fields = [(order.field, value)] if order.field else []
        images = images.filter(after_key(*fields, ("pk", pk), descending=descending))
        if not order.field and "answered" in images.query.annotations:
            images = images.filter(**{f"answered__{'lt' if descending else 'gt'}": pk})
    sign = "-" if descending else ""
    return images.order_by(*([f"{sign}{order.field}"] if order.field else []), f"{sign}pk")


def images_after_key(images: QuerySet[Image], sort: str, key: str, *, backwards: bool) -> QuerySet[Image]:
    """Return the images after the key of an image (see page_key), the nearest first.

    With `backwards`, return the images before it.
    """
    order = ORDERS[sort]
    return _in_order(images, order, _parse_key(key, order), backwards=backwards)


def page_key(image: Image, sort: str) -> str:
    """Return the key of an image in an order, as used in addresses of pages."""
    field = ORDERS[sort].field
    return f"{getattr(image, field)}:{image.pk}" if field else str(image.pk)


def _parse_key(text: str, order: Order) -> tuple[Any, int] | None:
    value, _colon, pk = text.rpartition(":")
    if "\0" in value:  # PostgreSQL has no such text
        return None
    try:
        return (order.parse(value) if order.field else None), int(pk)
    except ValueError:
        return None


def load_page_of_hits(
    hits: list[tuple[int, float]], after: str = "", before: str = ""
) -> tuple[int, list[tuple[int, float]], str, str]:
    """Return (rank of the first hit, one page of hits, key of the page before, key of the page after).

    A key is "<similarity>:<id>" of the hit at the edge of the page, or "" at an end. New images therefore do
    not repeat hits on the next page.
    """
    key = _parse_key(after or before, _BY_SIMILARITY)
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
