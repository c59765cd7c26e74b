"""Template filter for pages that show training runs: `{% load training %}`."""

from django import template

from mekiki.learning.training_log import log_in_words

register = template.Library()
register.filter("log_in_words", log_in_words)  # {{ run.log|log_in_words }}
