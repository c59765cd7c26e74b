"""Why a reviewer gets no image, and what to do."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from mekiki.accounts.models import User
from mekiki.config import clock
from mekiki.datasets.models import Dataset, Image
from mekiki.jobs.models import ACTIVE_STATES, Job, Kind
from mekiki.labeling.models import Label
from mekiki.learning.selectors import has_champion
from mekiki.review.assignments import has_item_for
from mekiki.review.models import (
    TEST_STREAMS,
    Lease,
    QueueItem,
)
from mekiki.review.requalification import blocking_requalification, test_due_text


@dataclass(frozen=True)
class EmptyQueue:
    """The reason why a reviewer gets no image, and what to do. `progress` is in 0…1 while a job runs."""

    code: str
    text: str
    url_name: str = ""
    link: str = ""
    progress: float | None = None


def empty_queue_reason(dataset: Dataset, user: User, now: datetime | None = None) -> EmptyQueue:
    """Return the reason why a reviewer gets no image. Lasting reasons are checked before temporary ones."""
    now = now or clock.now()
    if blocking_requalification(dataset, user) is not None:
        return EmptyQueue(
            "requalification_due", test_due_text(), "requalification", _("Open guidelines and test")
        )
    if not Image.objects.filter(dataset=dataset).exists():
        return EmptyQueue(
            "no_images", _("There are no images here yet. Add some to begin."), "import", _("Add images")
        )
    if not Label.objects.filter(dataset=dataset, archived_at__isnull=True).exists():
        return EmptyQueue(
            "no_labels",
            _("There are no labels yet. Define what to judge, and describe each label in words."),
            "labels",
            _("Write labels and prompts"),
        )
    working = (
        Job.objects.filter(dataset=dataset, state__in=ACTIVE_STATES).exclude(
            kind__in=[Kind.FREEZE, Kind.VERIFY_HEAD]  # neither brings images to review
        )
    ).order_by("number")
    jobs = list(working[:5])
    waiting = QueueItem.objects.filter(dataset=dataset, state=QueueItem.State.WAITING)
    waiting = waiting.exclude(~Q(assigned_to=user), stream__in=TEST_STREAMS)
    if waiting.exists():
        return _why_none_is_free(dataset, waiting, user, now)
    if jobs:
        job = next((j for j in jobs if j.state == "running"), jobs[0])
        text = (
            _("The next images are being chosen. They appear here automatically.")
            if job.kind == Kind.REFILL
            else _("%(work)s: in progress. Images to review appear here automatically.")
            % {"work": job.get_kind_display()}
        )
        return EmptyQueue("working", text, progress=job.done / job.total if job.total else None)
    if not has_champion(dataset):
        return EmptyQueue(
            "no_predictions",
            _("Nothing is predicted yet. Write at least one prompt for each label; predictions follow."),
            "labels",
            _("Write labels and prompts"),
        )
    return EmptyQueue(
        "all_reviewed",
        _("Nothing is left to review now. Add images, or see how well the model does."),
        "models",
        _("See the models"),
    )


def _why_none_is_free(
    dataset: Dataset, waiting: QuerySet[QueueItem], user: User, now: datetime
) -> EmptyQueue:
    held = Lease.objects.filter(item__in=waiting, ended_at__isnull=True, expires_at__gt=now)
    held = held.exclude(user=user)
    sent = Q(assigned_to__isnull=False) & ~Q(assigned_to=user)
    if not waiting.exclude(sent).exists():
        return EmptyQueue("sent_to_others", _("All waiting images were sent to other reviewers by an admin."))
    if not has_item_for(dataset, user):
        return EmptyQueue("assigned_to_others", _("All waiting images are assigned to other reviewers only."))
    if held.exists():
        return EmptyQueue(
            "held_by_others",
            _("Other reviewers hold all waiting images. Images that they release appear here automatically."),
        )
    return EmptyQueue(
        "yours_are_done",
        _(
            "You have answered or skipped all waiting images. Skipped images go to other reviewers "
            "now; you see them again after ten minutes."
        ),
    )
