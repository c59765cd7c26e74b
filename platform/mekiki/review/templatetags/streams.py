"""Streams in templates: {{ stream|stream_words }}."""

from django import template

from mekiki.review import streams

register = template.Library()
register.filter("stream_words", streams.stream_words)
