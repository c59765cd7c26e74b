"""Template tag for pages of apps that may not import this app: `{% load encoders %}`."""

from django import template

from mekiki.datasets.models import Dataset
from mekiki.learning.models import EncoderChange
from mekiki.learning.selectors import open_change

register = template.Library()


@register.simple_tag
def candidate(dataset: Dataset) -> EncoderChange | None:
    """Return the encoder change that is ready to switch, or None.

    Its `facts` contain the prompts that are too long for the new encoder.
    """
    change = open_change(dataset)
    return change if change is not None and change.state == EncoderChange.State.READY else None
