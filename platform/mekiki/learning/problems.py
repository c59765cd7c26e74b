"""Reasons, as stored, why an image has no embedding. The platform itself detects these problems."""

from django.utils.translation import gettext_noop

KILLS_WORKER = gettext_noop("the worker ended unexpectedly, several times, while it read this image")
