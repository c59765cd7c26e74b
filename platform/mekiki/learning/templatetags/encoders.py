"""For pages of apps below this one: `{% load encoders %}`."""

from django import template

from mekiki.datasets.models import Dataset
from mekiki.learning.models import EncoderChange
from mekiki.learning.selectors import open_change

register = template.Library()


@register.simple_tag
def candidate(dataset: Dataset) -> EncoderChange | None:
    """The encoder that waits to be switched over to, with the prompts that are too long for it in its facts."""
    change = open_change(dataset)
    return change if change is not None and change.state == EncoderChange.State.READY else None
