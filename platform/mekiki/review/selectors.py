"""Queries of the review: labels for training and audit, queue counts, reasons for an empty queue."""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Exists, Max, OuterRef, QuerySet
from django.db.models.functions import TruncSecond
from django.utils import timezone

from mekiki.accounts.models import User
from mekiki.config.compiled import run_prepared
from mekiki.datasets.models import AuditShareChange, Dataset, Image, ImportBatch
from mekiki.learning.models import Head
from mekiki.review.hooks import settled_image_ids
from mekiki.review.models import (
    TEST_STREAMS,
    ConfirmedLabel,
    Decision,
    ExcludedImage,
    QueueItem,
    Stream,
)

ANSWERS = (Decision.Kind.CONFIRM, Decision.Kind.CORRECT, Decision.Kind.FLAG)


def is_excluded(image: str) -> Exists:
    """Return whether an admin has excluded the image that a field of the query names."""
    return Exists(ExcludedImage.objects.filter(image=OuterRef(image)))


def _trained_on(dataset: Dataset) -> QuerySet[ConfirmedLabel]:
    """Return the confirmed labels that a head may be trained on."""
    rows = ConfirmedLabel.objects.filter(dataset=dataset, in_training=True, label__archived_at__isnull=True)
    return rows.filter(~is_excluded("image"))


def training_labels(dataset: Dataset) -> list[tuple[int, int, int]]:
    """Return (image id, label id, decision id) of all labels that a head may be trained on, by image id."""
    rows = _trained_on(dataset)
    return list(rows.order_by("image_id").values_list("image_id", "label_id", "decision_id"))


@dataclass(frozen=True)
class ImageVotes:
    """The labels that reviewers gave one image, for training.

    `decision` set the label. `others` are the decisions of other reviewers. If they name other labels, the
    image is used for each label, weighted by its share of the decisions.
    """

    image: int
    label: int
    decision: int
    others: tuple[tuple[int, int], ...] = ()  # (label id, decision id)
    # The label came with the image, and `decision` is the id of the imported label (review.imported).
    imported: bool = False
    # The first image of its near-duplicates, if another image of the training set has the same one.
    near_group: int | None = None


def training_votes(dataset: Dataset) -> list[ImageVotes]:
    """Return all images that a head may be trained on, with all decisions about them, by image id.

    The result also contains images without a confirmed label on which the reviewers did not agree after all
    decisions were made. The head is then trained on all their labels. The audit sample, archived labels and
    excluded images are left out.
    """
    rows = _trained_on(dataset)
    training, several = {}, {}
    for image, label, decision, item, wanted, kind in rows.values_list(
        *("image_id", "label_id", "decision_id", "decision__item_id", "decision__item__overlap"),
        "decision__kind",
    ):
        training[image] = ImageVotes(image, label, decision)
        if (wanted or 1) > 1 and kind != Decision.Kind.RULE:
            several[item] = image
    undecided = QueueItem.objects.filter(dataset=dataset, state=QueueItem.State.DONE, overlap__gt=1)
    undecided = undecided.filter(
        ~Exists(ConfirmedLabel.objects.filter(image=OuterRef("image"))),
        ~Exists(active_decisions(item=OuterRef("pk"), kind=Decision.Kind.FLAG)),
        ~Exists(Decision.objects.filter(image=OuterRef("image"), item__stream=Stream.AUDIT)),
        ~is_excluded("image"),
    )
    open_items = dict(undecided.order_by("pk").values_list("image_id", "pk"))  # the newest item of an image
    several |= {item: image for image, item in open_items.items()}
    answers: dict[int, dict[int, tuple[int, int]]] = {}  # item → person → (label, decision)
    wanted_of: dict[int, int] = {}
    named = active_decisions(
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


def audit_sample(dataset: Dataset) -> list[tuple[int, int, int | None]]:
    """Return (image id, label id, import id) of the images in the audit sample, by image id.

    No head was trained on these images. An image whose label was archived stays in the sample. Otherwise
    archiving a label that the head often gets wrong would improve the accuracy. The label is the first label
    that was given blind (`ConfirmedLabel.audit_label`), even if it was corrected later.
    """
    rows = _audit_sample(dataset).order_by("image_id")
    return list(rows.values_list("image_id", "audit_label_id", "image__batch_id"))


@dataclass(frozen=True)
class AuditStratum:
    """Imports with images that all had the same probability of being audited.

    Between these imports no audit was drawn and the audit share was not raised. `since` and `until` are the
    times of the imports. They are None for images without a recorded import.
    """

    batches: list[int | None]
    images: int
    since: datetime | None
    until: datetime | None


def audit_strata(dataset: Dataset) -> list[AuditStratum]:
    """Return all images of the dataset in strata, oldest first.

    An image that was imported later took part in fewer draws of the audit stream. So it is audited less often
    than its share of the dataset, until later audits have balanced this.
    """
    counted = dict(
        Image.objects.filter(dataset=dataset).order_by().values_list("batch").annotate(n=Count("pk"))
    )
    strata = [AuditStratum([None], counted[None], None, None)] if None in counted else []
    batches = list(
        ImportBatch.objects.filter(dataset=dataset, pk__in=[pk for pk in counted if pk is not None])
    )
    drawn = _audit_draws(dataset) if len(batches) > 1 else []
    # After a raise of the share, older images may have a smaller probability of an audit than newer images.
    raised = [at for at, _last, _share in _share_raises(dataset)] if len(batches) > 1 else []
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


def _audit_draws(dataset: Dataset) -> list[datetime]:
    """Return the times of audit draws with at least one answered item, ascending.

    The times are truncated to the second, because one draw creates many items.
    """
    answered = QueueItem.objects.filter(dataset=dataset, stream=Stream.AUDIT, state=QueueItem.State.DONE)
    seconds = answered.annotate(second=TruncSecond("created_at")).order_by().values_list("second", flat=True)
    return sorted(seconds.distinct())


def answers_by_label(label_ids: list[int]) -> dict[int, int]:
    """Return label id → number of images with this confirmed label."""
    rows = ConfirmedLabel.objects.filter(label__in=label_ids)
    return dict(rows.order_by().values_list("label_id").annotate(n=Count("pk")))


def audited_by_label(label_ids: list[int]) -> dict[int, int]:
    """Return label id → number of audit images with this audit label, also if corrected later."""
    rows = ConfirmedLabel.objects.filter(audit_label__in=label_ids, stream=Stream.AUDIT, in_training=False)
    return dict(rows.order_by().values_list("audit_label_id").annotate(n=Count("pk")))


def audited_image_ids(dataset: Dataset) -> set[int]:
    """Return the ids of labelled audit images on which no head was trained, also with an archived label.

    If such an image is reviewed again, it must be an audit again: blind, and not chosen for uncertainty.
    """
    rows = ConfirmedLabel.objects.filter(dataset=dataset, stream=Stream.AUDIT, in_training=False)
    return set(rows.values_list("image_id", flat=True))


def audit_count(dataset: Dataset) -> int:
    """Return the number of images in the audit sample."""
    return _audit_sample(dataset).count()


def _audit_sample(dataset: Dataset) -> QuerySet[ConfirmedLabel]:
    rows = ConfirmedLabel.objects.filter(dataset=dataset, stream=Stream.AUDIT, in_training=False)
    # An answer is no audit if the prediction was on the screen or if the image was chosen for uncertainty.
    rows = rows.filter(audit_label__isnull=False)
    for last, share in reserve_limits(dataset):
        rows = rows.exclude(image__lte=last, image__audit_key__gte=share)
    return rows


def reserve_limits(dataset: Dataset) -> list[tuple[int, float]]:
    """Return the limits of the audit reserve for older images, as pairs (image id, share).

    Images up to the id belong to the reserve only if their audit key is below the share, whatever the share
    is now. If the share was raised after a head had predicted, users could already see the predictions of
    images outside the reserve, and hard images may have been reviewed and used for training. The rest of
    these images is no random sample. So the new share applies only to images that are imported later. The
    same applies if the share was lowered before.
    """
    return [(last, share) for _at, last, share in _share_raises(dataset)]


def _share_raises(dataset: Dataset) -> list[tuple[datetime, int, float]]:
    """Return (time, image id, share before) of the raises of the audit share that limit the reserve."""
    changes = AuditShareChange.objects.filter(dataset=dataset).order_by("pk")
    raises = []
    lowered = False
    for at, before, after in changes.values_list("changed_at", "before", "after"):
        if after <= before:
            lowered = True
            continue
        if lowered or Head.objects.filter(dataset=dataset, created_at__lt=at).exists():
            last = Image.objects.filter(dataset=dataset, created_at__lt=at).aggregate(last=Max("pk"))["last"]
            raises.append((at, last or 0, before))
    return raises


def audits_under_archived_labels(dataset: Dataset) -> QuerySet[ConfirmedLabel]:
    """Return the confirmed labels of images with an archived audit label.

    These images count as wrong until they are audited again, also if they were corrected to an active label.
    A correction is no audit.
    """
    return ConfirmedLabel.objects.filter(
        dataset=dataset, stream=Stream.AUDIT, in_training=False, audit_label__archived_at__isnull=False
    )


def reviewed_image_ids(dataset: Dataset) -> set[int]:
    """Return the ids of images that need no further review.

    These images are labelled, flagged, set aside, labelled by machine under a certificate, or have all
    decisions that their overlap requires. An image
    with an archived label or audit label is reviewed again. Its true active label is not known, no head is
    trained on it, and without these images the audit sample would not be random.
    """
    labels = ConfirmedLabel.objects.filter(dataset=dataset)
    outdated = dict(
        (labels.filter(label__archived_at__isnull=False) | audits_under_archived_labels(dataset)).values_list(
            "image_id", "decision__item_id"
        )
    )
    labelled = set(labels.values_list("image_id", flat=True)) - set(outdated)
    ended = [QueueItem.State.DONE, QueueItem.State.SET_ASIDE]
    done = QueueItem.objects.filter(dataset=dataset, state__in=ended).exclude(stream__in=TEST_STREAMS)
    # These images were already reviewed again, and were flagged or the reviewers did not agree.
    since = done.filter(image__in=list(outdated)).values_list("image_id", "pk") if outdated else []
    settled = {image for image, item in since if item > (outdated[image] or 0)}
    answered = labelled | (set(done.values_list("image_id", flat=True)) - (set(outdated) - settled))
    return (answered | settled_image_ids(dataset)) - _open_audits(dataset)


def _open_audits(dataset: Dataset) -> set[int]:
    """Return the ids of images of the audit reserve that were judged for a certificate only.

    A certificate draws more of the confident images. Without a review in their own turn, the audit sample
    would contain fewer of these images and would not be random.
    """
    judged = ConfirmedLabel.objects.filter(dataset=dataset, stream=Stream.CERTIFY)
    judged = judged.filter(image__audit_key__lt=dataset.audit_fraction)
    for last, share in reserve_limits(dataset):
        judged = judged.exclude(image__lte=last, image__audit_key__gte=share)
    # An item that the certificate has withdrawn was no turn.
    audited = QueueItem.objects.filter(image=OuterRef("image"), stream=Stream.AUDIT).exclude(
        state=QueueItem.State.WITHDRAWN
    )
    return set(judged.exclude(Exists(audited)).values_list("image_id", flat=True))


def waiting_count(dataset: Dataset, user: User | None = None) -> int:
    """Return the number of waiting items, without those that measure other reviewers than `user`.

    The queue is short, so the count is fast.
    """
    sql = (
        "SELECT count(*) FROM review_queueitem WHERE dataset_id = %s AND state = 'waiting' "
        "AND (stream NOT IN ('gold', 'repeat') OR assigned_to_id = %s)"
    )
    with run_prepared(sql, [dataset.pk, user and user.pk]) as cursor:
        return int(cursor.fetchone()[0])


def queue_counts(dataset: Dataset) -> dict[str, int]:
    """Return stream → number of waiting items, for all streams but those that measure a reviewer.

    A reviewer could see in their numbers which answers were tests.
    """
    rows = QueueItem.objects.filter(dataset=dataset, state=QueueItem.State.WAITING)
    counted = dict(rows.order_by().values_list("stream").annotate(n=Count("pk")))
    return {str(stream): counted.get(stream, 0) for stream in Stream.values if stream not in TEST_STREAMS}


def answered_today(dataset: Dataset, user: User) -> int:
    """Return how many answers the reviewer gave since midnight, without skips and undone answers."""
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    undone = Decision.objects.filter(supersedes=OuterRef("pk"), user=user)
    given = Decision.objects.filter(user=user, dataset=dataset, created_at__gte=midnight, kind__in=ANSWERS)
    return given.filter(~Exists(undone)).count()


def answers_since(dataset: Dataset, user: User, began: datetime | None) -> int:
    """Return the number of answers since a time, without skips, corrections and undone answers."""
    if began is None:
        return 0
    given = active_decisions(user=user, dataset=dataset, created_at__gte=began, kind__in=ANSWERS)
    return given.filter(supersedes__isnull=True).count()


def recent_decisions(dataset: Dataset, user: User, limit: int = 5) -> list[Decision]:
    """Return the reviewer's latest answers that were not undone, newest first. Rulings are left out."""
    rows = active_decisions(user=user, dataset=dataset).exclude(kind=Decision.Kind.RULE)
    return list(rows.select_related("image", "label").order_by("-id")[:limit])


def can_undo(dataset: Dataset, user: User) -> bool:
    """Return whether the reviewer has an answer in the dataset that can be undone."""
    return active_decisions(user=user, dataset=dataset).exclude(kind=Decision.Kind.RULE).exists()


def active_decisions(**where: Any) -> QuerySet[Decision]:
    """Return the decisions that were not undone and are not undos themselves.

    The query uses NOT EXISTS instead of superseded_by__isnull. The latter is a join, for which PostgreSQL
    hashes all decisions before it returns the newest one.
    """
    undone = Decision.objects.filter(supersedes=OuterRef("pk"))
    return Decision.objects.filter(~Exists(undone), **where).exclude(kind=Decision.Kind.UNDO)


def without_tests(rows: QuerySet[Decision]) -> QuerySet[Decision]:
    """Return the decisions without the answers that only measure a reviewer.

    NOT EXISTS instead of a join: PostgreSQL then reads the few items of the partial index queue_tests.
    """
    return rows.filter(~Exists(QueueItem.objects.filter(pk=OuterRef("item"), stream__in=TEST_STREAMS)))


def openly_waiting_items(dataset: Dataset) -> QuerySet[QueueItem]:
    """Return the waiting items that pages may show, without those that measure a reviewer.

    The image of such an item has a label, so the item would tell that the image is a test.
    """
    waiting = QueueItem.objects.filter(dataset=dataset, state=QueueItem.State.WAITING)
    return waiting.exclude(stream__in=TEST_STREAMS)
