"""Streams of the queue, and reasons of skips and flags."""

from datetime import timedelta

from django.db import models
from django.utils.translation import gettext_lazy as _


class Stream(models.TextChoices):
    """The reason why an image is in the queue."""

    UNCERTAIN = "uncertain", _("uncertain")
    DIVERSE = "diverse", _("diverse")
    AUDIT = "audit", _("audit")
    GOLD = "gold", _("gold")
    RECHECK = "recheck", _("review again")
    CERTIFY = "certify", _("certificate audit")
    REPEAT = "repeat", _("hidden repeat")


# Answers to items of these streams measure the reviewer. They never set or change a label.
TEST_STREAMS = (Stream.GOLD, Stream.REPEAT)
# No prediction is shown for these streams, because the answer must not depend on it.
BLIND_STREAMS = (Stream.AUDIT, *TEST_STREAMS, Stream.CERTIFY)
# Streams whose overlap can be set. Answers to tests are compared one by one, so tests always have overlap 1.
OVERLAP_STREAMS = (Stream.UNCERTAIN, Stream.DIVERSE, Stream.AUDIT, Stream.RECHECK)
# The name, metadata and prediction of an audited image stay hidden for this time after its answer. If the
# answer is undone within this time, the next answer is used for the audit. After this time the first answer
# is used.
AUDIT_UNDO_PERIOD = timedelta(minutes=2)


class Reason(models.TextChoices):
    """The reason why a reviewer skipped or flagged an image."""

    UNCLEAR = "unclear", _("unclear image")
    NOT_IN_LIST = "not_in_list", _("not in the list of labels")
    EXPERT = "expert", _("needs an expert")
    BAD_IMAGE = "bad_image", _("bad image (blurred, dark)")
    WRONG_OBJECT = "wrong_object", _("wrong object")
    DUPLICATE = "duplicate", _("duplicate")
    OTHER = "other", _("other reason")


# The order is the order of their keys in the station: 1, 2, 3, 4.
SKIP_REASONS = (Reason.UNCLEAR, Reason.NOT_IN_LIST, Reason.EXPERT, Reason.OTHER)
FLAG_REASONS = (Reason.BAD_IMAGE, Reason.WRONG_OBJECT, Reason.DUPLICATE, Reason.OTHER)
