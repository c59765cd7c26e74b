"""Reads of the review: labels for training and audit, the queue's length, what an empty queue means."""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Exists, Max, OuterRef, Q, QuerySet
from django.db.models.functions import TruncSecond
from django.utils import timezone
from django.utils.translation import gettext as _

from mekiki.audit.models import Event
from mekiki.config import clock
from mekiki.datasets.models import Image, ImportBatch
from mekiki.jobs.models import ACTIVE_STATES, Job, Kind
from mekiki.labeling.models import Label
from mekiki.learning.models import Champion, Head
from mekiki.review.models import (
    BLIND_STREAMS,
    ConfirmedLabel,
    Decision,
    Lease,
    QueueItem,
    Stream,
)

ANSWERS = (Decision.Kind.CONFIRM, Decision.Kind.CORRECT, Decision.Kind.FLAG)


def training_labels(dataset: Any) -> list[tuple[int, int, int]]:
    """(image id, label id, decision id) of every label a head may be trained on, by image id."""
    rows = ConfirmedLabel.objects.filter(dataset=dataset, in_training=True, label__archived_at__isnull=True)
    return list(rows.order_by("image_id").values_list("image_id", "label_id", "decision_id"))


@dataclass(frozen=True)
class ImageVotes:
    """What people say an image is, for training: the decision that stands for it, and those of others beside it.

    Where others say something else the image counts for each label by its share of the decisions.
    """

    image: int
    label: int
    decision: int
    others: tuple[tuple[int, int], ...] = ()  # (label id, decision id)


def training_votes(dataset: Any) -> list[ImageVotes]:
    """Every image a head may be trained on with all decisions about it, by image id.

    Beside the images with a label, those on which reviewers who were all asked did not agree: the head is told that it
    can be either. ImageVotes about the audit sample, and labels that were archived, are not among them.
    """
    rows = ConfirmedLabel.objects.filter(dataset=dataset, in_training=True, label__archived_at__isnull=True)
    training, several = {}, {}
    for image, label, decision, item, wanted in rows.values_list(
        "image_id", "label_id", "decision_id", "decision__item_id", "decision__item__overlap"
    ):
        training[image] = ImageVotes(image, label, decision)
        if (wanted or 1) > 1:
            several[item] = image
    undecided = QueueItem.objects.filter(dataset=dataset, state=QueueItem.State.DONE, overlap__gt=1)
    undecided = undecided.filter(
        ~Exists(ConfirmedLabel.objects.filter(image=OuterRef("image"))),
        ~Exists(standing(item=OuterRef("pk"), kind=Decision.Kind.FLAG)),
        ~Exists(Decision.objects.filter(image=OuterRef("image"), item__stream__in=BLIND_STREAMS)),
    )
    open_items = dict(undecided.order_by("pk").values_list("image_id", "pk"))  # the newest of each image
    several |= {item: image for image, item in open_items.items()}
    answers: dict[int, dict[int, tuple[int, int]]] = {}  # item → person → (label, decision)
    wanted_of: dict[int, int] = {}
    named = standing(
        dataset=dataset, item__overlap__gt=1, kind__in=[Decision.Kind.CONFIRM, Decision.Kind.CORRECT]
    )
    for item, wanted, user, label, decision in named.order_by("item_id", "late", "pk").values_list(
        "item_id", "item__overlap", "user_id", "label_id", "pk"
    ):
        if item in several:
            wanted_of[item] = wanted
            answers.setdefault(item, {}).setdefault(user, (label, decision))
    archived = set(dataset.labels.filter(archived_at__isnull=False).values_list("pk", flat=True))
    for item, by_person in answers.items():
        image = several[item]
        votes = [vote for vote in list(by_person.values())[: wanted_of[item]] if vote[0] not in archived]
        first = training.get(image)
        if first is not None:
            others = tuple(vote for vote in votes if vote[1] != first.decision)
            training[image] = ImageVotes(image, first.label, first.decision, others)
        elif len(votes) > 1:
            training[image] = ImageVotes(image, *votes[0], tuple(votes[1:]))
    return [training[image] for image in sorted(training)]


def audit_sample(dataset: Any) -> list[tuple[int, int, int | None]]:
    """(image id, label id, id of its import) of the audit sample that no head was trained on, by image id.

    An image whose label was archived stays in the sample: otherwise an accuracy could be improved by archiving the label
    that the head gets wrong. The label is the first one that was given blind (`ConfirmedLabel.audit_label`), also where
    it was corrected since.
    """
    rows = _audit_sample(dataset).order_by("image_id")
    return list(rows.values_list("image_id", "audit_label_id", "image__batch_id"))


@dataclass(frozen=True)
class AuditStratum:
    """Imports between which no audit was drawn, nor the share raised: each of their images had the same chance of being
    audited.

    since, until: when they came in; None for images of imports that are not on record.
    """

    batches: list[int | None]
    images: int
    since: datetime | None
    until: datetime | None


def audit_strata(dataset: Any) -> list[AuditStratum]:
    """All images of the dataset in strata, oldest first.

    An image that came later was there for fewer draws of the audit stream, so that it is audited less often than its
    place in the dataset deserves, until the audits have caught up.
    """
    counted = dict(
        Image.objects.filter(dataset=dataset).order_by().values_list("batch").annotate(n=Count("pk"))
    )
    strata = [AuditStratum([None], counted[None], None, None)] if None in counted else []
    batches = list(
        ImportBatch.objects.filter(dataset=dataset, pk__in=[pk for pk in counted if pk is not None])
    )
    drawn = _audit_draws(dataset) if len(batches) > 1 else []
    # Images that were there when the share was raised may have a smaller chance from then on than those after it.
    raised = [at for at, _last, _share in _raises(dataset)] if len(batches) > 1 else []
    for batch in sorted(batches, key=lambda batch: (batch.created_at, batch.pk)):
        until = batch.finished_at or batch.created_at
        last = strata[-1] if strata else None
        if (
            last is not None
            and last.since is not None
            and bisect_left(drawn, last.since.replace(microsecond=0)) == bisect_right(drawn, until)
            and not any(last.since < at < until for at in raised)
        ):
            strata[-1] = AuditStratum(
                [*last.batches, batch.pk], last.images + counted[batch.pk], last.since, until
            )
        else:
            strata.append(AuditStratum([batch.pk], counted[batch.pk], batch.created_at, until))
    return strata


def _audit_draws(dataset: Any) -> list[datetime]:
    """When audits were drawn that somebody answered, to the second (a draw makes many items), in ascending order."""
    answered = QueueItem.objects.filter(dataset=dataset, stream=Stream.AUDIT, state=QueueItem.State.DONE)
    seconds = answered.annotate(second=TruncSecond("created_at")).order_by().values_list("second", flat=True)
    return sorted(seconds.distinct())


def answers_by_label(label_ids: list[int]) -> dict[int, int]:
    """Label id → how many images have it as their confirmed label."""
    rows = ConfirmedLabel.objects.filter(label__in=label_ids)
    return dict(rows.order_by().values_list("label_id").annotate(n=Count("pk")))


def audited_by_label(label_ids: list[int]) -> dict[int, int]:
    """Label id → how many images of the audit sample count under it, also those that were corrected since."""
    rows = ConfirmedLabel.objects.filter(audit_label__in=label_ids, stream=Stream.AUDIT, in_training=False)
    return dict(rows.order_by().values_list("audit_label_id").annotate(n=Count("pk")))


def audited_image_ids(dataset: Any) -> set[int]:
    """Images whose label was given for the audit and that no head was trained on, whether or not the label is in use.

    Whatever asks about one of them again must be an audit again: blind, and not because a head is unsure of it.
    """
    rows = ConfirmedLabel.objects.filter(dataset=dataset, stream=Stream.AUDIT, in_training=False)
    return set(rows.values_list("image_id", flat=True))


def audit_count(dataset: Any) -> int:
    """How many images the audit sample holds."""
    return _audit_sample(dataset).count()


def _audit_sample(dataset: Any) -> QuerySet[ConfirmedLabel]:
    rows = ConfirmedLabel.objects.filter(dataset=dataset, stream=Stream.AUDIT, in_training=False)
    # An answer that was given with the prediction on the screen, or because a head was unsure, is no audit.
    rows = rows.filter(audit_label__isnull=False)
    for last, share in reserve_limits(dataset):
        rows = rows.exclude(image__lte=last, image__audit_key__gte=share)
    return rows


def reserve_limits(dataset: Any) -> list[tuple[int, float]]:
    """(image id, share): images up to that id belong to the audit reserve only below that share, whatever it is now.

    Where the share was raised after a head had predicted, the predictions of the images outside the reserve could be
    read, and the hard images among them may have been asked about and learned. What is left of them is no random sample
    to be judged blind: the new share holds for images that come in later. The same holds where the share had been lowered
    before.
    """
    return [(last, share) for _at, last, share in _raises(dataset)]


def _raises(dataset: Any) -> list[tuple[datetime, int, float]]:
    """(when, image id, share before) of each raise of the audit share that limits the reserve."""
    changes = Event.objects.filter(
        dataset_id=dataset.pk, kind="dataset.settings_changed", data__before__has_key="audit_fraction"
    )
    raises = []
    lowered = False
    for at, data in changes.order_by("pk").values_list("at", "data"):
        before, after = (data[when]["audit_fraction"] for when in ("before", "after"))
        if after <= before:
            lowered = True
            continue
        if lowered or Head.objects.filter(dataset=dataset, created_at__lt=at).exists():
            last = Image.objects.filter(dataset=dataset, created_at__lt=at).aggregate(last=Max("pk"))["last"]
            raises.append((at, last or 0, before))
    return raises


def audits_under_archived_labels(dataset: Any) -> QuerySet[ConfirmedLabel]:
    """Labels of images whose audit answer names an archived label: they count as wrong until they are audited again.

    Also those that were corrected since to a label in use: a correction is no audit.
    """
    return ConfirmedLabel.objects.filter(
        dataset=dataset, stream=Stream.AUDIT, in_training=False, audit_label__archived_at__isnull=False
    )


def answered_image_ids(dataset: Any) -> set[int]:
    """Images that need not be asked about again: labelled, flagged, or with all the decisions that their overlap asks for.

    An image whose label, or whose audit answer, is archived is asked about anew: nobody has said which of the labels
    in use it has, no head learns from it, and an audit sample without such images would not be a random one.
    """
    labels = ConfirmedLabel.objects.filter(dataset=dataset)
    outdated = dict(
        (labels.filter(label__archived_at__isnull=False) | audits_under_archived_labels(dataset)).values_list(
            "image_id", "decision__item_id"
        )
    )
    labelled = set(labels.values_list("image_id", flat=True)) - set(outdated)
    done = QueueItem.objects.filter(dataset=dataset, state=QueueItem.State.DONE)
    # Asked about anew already: flagged this time, or the reviewers did not agree.
    since = done.filter(image__in=list(outdated)).values_list("image_id", "pk") if outdated else []
    settled = {image for image, item in since if item > (outdated[image] or 0)}
    return labelled | (set(done.values_list("image_id", flat=True)) - (set(outdated) - settled))


def waiting_count(dataset: Any) -> int:
    """How many items wait; the queue is short, so counting it is cheap."""
    return QueueItem.objects.filter(dataset=dataset, state=QueueItem.State.WAITING).count()


def queue_counts(dataset: Any) -> dict[str, int]:
    """Waiting items by stream, every stream named."""
    rows = QueueItem.objects.filter(dataset=dataset, state=QueueItem.State.WAITING)
    counted = dict(rows.order_by().values_list("stream").annotate(n=Count("pk")))
    return {str(stream): counted.get(stream, 0) for stream in Stream.values}


def answered_today(dataset: Any, user: Any) -> int:
    """The reviewer's answers since midnight (skips are none), less those undone."""
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    counted = Decision.objects.filter(user=user, dataset=dataset, created_at__gte=midnight).aggregate(
        given=Count("pk", filter=Q(kind__in=ANSWERS)),
        undone=Count("pk", filter=Q(kind=Decision.Kind.UNDO, shown__undone__in=[str(k) for k in ANSWERS])),
    )
    return max(0, counted["given"] - counted["undone"])


def recent_decisions(dataset: Any, user: Any, limit: int = 5) -> list[Decision]:
    """The reviewer's latest decisions that stand, newest first."""
    rows = standing(user=user, dataset=dataset).select_related("image", "label")
    return list(rows.order_by("-id")[:limit])


def may_undo(dataset: Any, user: Any) -> bool:
    """Has the reviewer an answer in the dataset that an undo would take back?"""
    return standing(user=user, dataset=dataset).exists()


def standing(**where: Any) -> QuerySet[Decision]:
    """Decisions that have not been undone, and are no undo themselves.

    NOT EXISTS rather than superseded_by__isnull, which is a join: of that, PostgreSQL hashes all decisions ever made
    before it gives the newest one.
    """
    undone = Decision.objects.filter(supersedes=OuterRef("pk"))
    return Decision.objects.filter(~Exists(undone), **where).exclude(kind=Decision.Kind.UNDO)


def flagged(dataset: Any) -> QuerySet[Decision]:
    """Flags that stand, on images without a label since, newest first."""
    labelled = ConfirmedLabel.objects.filter(image=OuterRef("image"), decision__gt=OuterRef("pk"))
    rows = standing(dataset=dataset, kind=Decision.Kind.FLAG).filter(~Exists(labelled))
    return rows.select_related("image", "user").order_by("-id")


@dataclass(frozen=True)
class EmptyQueue:
    """Why there is nothing to show a reviewer, and what to do. `progress` in 0…1 while a job runs."""

    code: str
    text: str
    url_name: str = ""
    link: str = ""
    progress: float | None = None


def why_empty(dataset: Any, user: Any, now: datetime | None = None) -> EmptyQueue:
    """The reason a reviewer gets no image, from the most basic to the most passing."""
    now = now or clock.now()
    if not Image.objects.filter(dataset=dataset).exists():
        return EmptyQueue(
            "no_images", _("There are no images here yet. Add some to begin."), "import", _("Add images")
        )
    if not Label.objects.filter(dataset=dataset, archived_at__isnull=True).exists():
        return EmptyQueue(
            "no_labels",
            _("There are no labels yet: say what is to be judged, and describe each label in words."),
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
    if waiting.exists():
        return _why_none_is_free(dataset, user, now)
    if jobs:
        job = next((j for j in jobs if j.state == "running"), jobs[0])
        text = (
            _("The next images are being chosen. They appear here by themselves.")
            if job.kind == Kind.REFILL
            else _("%(work)s: under way. Images to review appear here by themselves.")
            % {"work": Kind(job.kind).label}
        )
        return EmptyQueue("working", text, progress=job.done / job.total if job.total else None)
    if not Champion.objects.filter(dataset=dataset).exists():
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


def _why_none_is_free(dataset: Any, user: Any, now: datetime) -> EmptyQueue:
    held = Lease.objects.filter(
        item__dataset=dataset,
        item__state=QueueItem.State.WAITING,
        ended_at__isnull=True,
        expires_at__gt=now,
    ).exclude(user=user)
    if held.exists():
        return EmptyQueue(
            "held_by_others",
            _(
                "Every image that waits is in another reviewer's hands. What they leave comes to you by itself."
            ),
        )
    return EmptyQueue(
        "yours_are_done",
        _(
            "You have answered or skipped every image that waits. The skipped ones are offered to you again "
            "after ten minutes, or to other reviewers now."
        ),
    )
