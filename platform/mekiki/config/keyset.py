"""Keyset pagination: the next page begins after the key of the last row, so no offset is counted."""

from collections.abc import Sequence
from typing import Any, TypeVar

from django.db.models import Model, Q, QuerySet

Row = TypeVar("Row", bound=Model)


def after_key(*keys: tuple[str, Any], descending: bool, or_equal: bool = False) -> Q:
    """Return the condition for the rows after a key in an order.

    `keys` are pairs (field, value), in the order of the fields. With `or_equal`, the row of the key is
    included.
    """
    (field, value), *rest = keys
    compare = "lt" if descending else "gt"
    if not rest:
        return Q(**{f"{field}__{compare}{'e' if or_equal else ''}": value})
    tie = Q(**{field: value}) & after_key(*rest, descending=descending, or_equal=or_equal)
    # The first condition is redundant, but an index scan can start from it.
    return Q(**{f"{field}__{compare}e": value}) & (Q(**{f"{field}__{compare}": value}) | tie)


def take_page(rows: QuerySet[Row] | Sequence[Row], size: int) -> tuple[list[Row], bool]:
    """Return the first `size` rows, and whether more rows follow. Reads one row more than `size`."""
    page = list(rows[: size + 1])
    return page[:size], len(page) > size


def page_by(
    rows: QuerySet[Row], field: str, size: int, *, after: Any = None, descending: bool = False
) -> tuple[list[Row], Any]:
    """Return up to `size` rows in the order of a unique field, and the key where the next page starts.

    `after` is the key that the previous page returned. The key is None on the last page.
    """
    if after is not None:
        rows = rows.filter(after_key((field, after), descending=descending))
    page, more = take_page(rows.order_by(f"-{field}" if descending else field), size)
    return page, getattr(page[-1], field) if more else None
