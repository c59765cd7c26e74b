"""Why an image has no embedding: reasons that the platform finds itself, as they are stored."""

from django.utils.translation import gettext_noop

KILLS_WORKER = gettext_noop("the worker ended unexpectedly, several times, while it read this image")
