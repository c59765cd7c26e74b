"""Template filters for pages that show training runs: `{% load training %}`."""

from django import template

from mekiki.learning.left_out import describe_images
from mekiki.learning.models import Head, TrainingRun
from mekiki.learning.training_log import log_in_words

register = template.Library()
register.filter("log_in_words", log_in_words)  # {{ run.log|log_in_words }}


@register.filter
def left_out_in_words(row: TrainingRun | Head) -> str:
    """Return which images a run or a head leaves out: {{ run|left_out_in_words }}."""
    return describe_images(row.without_view, row.without_query)
