"""For pages that show training runs: `{% load training %}`."""

from django import template

from mekiki.learning.training_log import told

register = template.Library()
register.filter("told", told)  # {{ run.log|told }}
