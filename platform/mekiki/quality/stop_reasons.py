"""Why a certificate was cancelled, suspended or revoked."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class StopReason(models.TextChoices):
    """The reasons, as pages show them."""

    BY_ADMIN = "by_admin", _("stopped by an admin")
    HEAD_REPLACED = "head_replaced", _("another head was promoted")
    ENCODER_CHANGED = "encoder_changed", _("the encoder was changed")
    PROMPTS_CHANGED = "prompts_changed", _("the prompts were changed")
    LABEL_ADDED = "label_added", _("a label was added")
    LABEL_ARCHIVED = "label_archived", _("a label was archived or restored")
    LABEL_CRITICAL = "label_critical", _("a label was marked as critical")
    STREAM_ERRORS = "stream_errors", _("the audits of later images show too many wrong labels")
    REPLACED = "replaced", _("replaced by a newer certificate")
