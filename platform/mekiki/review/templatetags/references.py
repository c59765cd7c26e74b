"""Template tags for pages of apps that may not import this app: `{% load references %}`."""

from django import template

from mekiki.datasets.models import Dataset
from mekiki.review.references import Guide, guides_of

register = template.Library()


@register.simple_tag
def guides(dataset: Dataset) -> list[Guide]:
    """Return the labels in use with their reference images."""
    return guides_of(dataset)
