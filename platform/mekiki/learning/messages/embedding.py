"""Reasons why an image has no embedding."""

from mekiki.config.messages import gettext_noop

# The text itself is stored.
KILLS_WORKER = gettext_noop("the worker ended unexpectedly, several times, while it read this image")
