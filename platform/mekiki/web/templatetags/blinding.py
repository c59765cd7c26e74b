"""Image names on pages of apps below review: `{% load blinding %}`."""

from collections.abc import Iterable
from typing import Any

from django import template

from mekiki.datasets.models import Dataset
from mekiki.review.blinding import set_shown_attributes

register = template.Library()


@register.simple_tag
def hide_names(dataset: Dataset, rows: Iterable[Any]) -> str:
    """Give the `image` of each row its `shown_name`, for all rows at once. The tag prints nothing."""
    set_shown_attributes(dataset, [row.image for row in rows])
    return ""
