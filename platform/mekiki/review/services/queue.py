"""Filling of the queue, and requests for refills and trainings after answers."""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, Max, OuterRef, Q

from mekiki.accounts.models import User
from mekiki.audit.services import record
from mekiki.config import clock
from mekiki.datasets.models import Dataset, Image
from mekiki.jobs.models import ACTIVE_STATES, Job, Kind, State
from mekiki.jobs.services import enqueue
from mekiki.learning.models import Head, Prediction, TrainingRun
from mekiki.learning.selectors import has_champion
from mekiki.review.models import (
    LABEL_KINDS,
    TEST_STREAMS,
    ConfirmedLabel,
    Decision,
    ExcludedImage,
    Lease,
    QueueItem,
    Stream,
)
from mekiki.review.overlap import overlap_rules
from mekiki.review.selectors import active_decisions, audits_under_archived_labels, is_excluded
from mekiki.review.services.locks import lock_training_request
from mekiki.review.services.mixing import TESTS_KEPT, draw_tests

logger = logging.getLogger(__name__)

# Streams that may contain images with a label.
REVIEW_LABELLED_STREAMS = (Stream.RECHECK,)
# Minimum time between refills. A queue without further images must not start a job for each answer.
REFILL_INTERVAL = timedelta(seconds=10)
# A failed refill is tried again after this time even without changes, because memory or disk space may be
# free again.
RETRY_AFTER = timedelta(minutes=10)
# Kinds of jobs that fill the queue.
FILLING = (Kind.REFILL, Kind.TRAIN, Kind.PREDICT)


@transaction.atomic
def fill_queue(
    *,
    dataset: Dataset,
    head: Head,
    image_ids: Sequence[int],
    streams: Sequence[str],
    propensities: Sequence[float],
) -> int:
    """Replace the untouched waiting items with the given images, in their order.

    Return the number of added items. A waiting item stays if it has an active lease or decisions, if its flag
    was undone, if a person requested it or sent it to a reviewer, if it is an audit item that was ever
    leased, or if a certificate drew it. Images of other datasets, images that still wait, excluded images and
    images with an active label are skipped. An image with an active label is not skipped if its stream is in
    REVIEW_LABELLED_STREAMS, if its audit label is archived, or if the audit draws an image that was judged
    for a certificate only. Gold images and hidden repeats are mixed in by the shares of the dataset. Raises
    ValueError if the lengths differ.
    """
    if not len(image_ids) == len(streams) == len(propensities):
        raise ValueError("image_ids, streams and propensities must have the same length")
    now = clock.now()
    waiting = QueueItem.objects.filter(dataset=dataset, state=QueueItem.State.WAITING)
    locked = list(waiting.select_for_update(skip_locked=True, no_key=True).values_list("pk", flat=True))
    # This second statement also sees leases that were created before the locks were taken.
    live = Lease.objects.filter(item=OuterRef("pk"), ended_at__isnull=True, expires_at__gt=now)
    decided = active_decisions(item=OuterRef("pk"), kind__in=LABEL_KINDS)
    # An undo of a flag requests a review of this image, and so does an admin who returns the image. A refill
    # must not withdraw the item then.
    undone = Decision.objects.filter(kind=Decision.Kind.UNDO)
    put_back = Exists(undone.filter(item=OuterRef("pk"), supersedes__kind=Decision.Kind.FLAG)) | Exists(
        undone.filter(image=OuterRef("image"), shown__has_key="put_back")
    )
    # Only a person puts an image into the recheck. If an image with an active label waits as an audit, a
    # person requested another review too.
    in_use = ConfirmedLabel.objects.filter(image=OuterRef("image"), label__archived_at__isnull=True)
    asked_again = Q(Exists(in_use), stream=Stream.AUDIT) | Q(stream=Stream.RECHECK)
    # Otherwise a reviewer could answer only easy audit images and release the others, which would then be
    # drawn again.
    ever_leased = Q(Exists(Lease.objects.filter(item=OuterRef("pk"))), stream=Stream.AUDIT)
    is_test = Q(stream__in=TEST_STREAMS)
    # For the same reason, a test that its reviewer has seen stays for some time.
    seen_test = Q(Exists(Lease.objects.filter(item=OuterRef("pk"))), created_at__gt=now - TESTS_KEPT)
    # An undo of an answer can return an excluded image to the queue.
    excluded = Q(is_excluded("image")) & ~Q(stream=Stream.AUDIT)
    replaceable = waiting.filter(
        Q(~is_test, ~Exists(decided), ~put_back, ~asked_again, ~ever_leased, assigned_to=None)
        | Q(is_test, ~seen_test)
        | excluded,
        ~Exists(live),
    ).exclude(stream=Stream.CERTIFY)
    withdrawn = replaceable.filter(pk__in=locked).update(state=QueueItem.State.WITHDRAWN, finished_at=now)
    chosen: dict[int, tuple[Stream, float]] = {}
    for image_id, stream, propensity in zip(image_ids, streams, propensities):
        chosen.setdefault(int(image_id), (Stream(stream), float(propensity)))
    known = set(Image.objects.filter(dataset=dataset, pk__in=list(chosen)).values_list("pk", flat=True))
    excluded_ids = ExcludedImage.objects.filter(image__in=known).values_list("image_id", flat=True)
    known -= {image_id for image_id in excluded_ids if chosen[image_id][0] != Stream.AUDIT}
    # Waiting images first: an answer that is saved between the two statements is then seen as a label.
    waiting_images = set(waiting.filter(image__in=list(chosen)).values_list("image_id", flat=True))
    labels = ConfirmedLabel.objects.filter(image__in=list(chosen), label__archived_at__isnull=True)
    repeated = audits_under_archived_labels(dataset).values("pk")
    labels = labels.exclude(pk__in=repeated)
    labelled = set(labels.values_list("image_id", flat=True))
    # An answer for a certificate is no audit answer, so the audit may still draw the image.
    certified = set(labels.filter(stream=Stream.CERTIFY).values_list("image_id", flat=True))
    last = waiting.aggregate(last=Max("position"))["last"] or 0.0
    rules = overlap_rules(dataset)
    predicted: dict[int, int] = {}
    if rules.labels:
        critical = Prediction.objects.filter(head_id=head.pk, image__in=known, label__in=list(rules.labels))
        predicted = dict(critical.values_list("image_id", "label_id"))
    items = [
        QueueItem(
            dataset=dataset,
            image_id=image_id,
            stream=stream,
            propensity=propensity,
            head=head,
            position=last + 1 + place,
            overlap=rules.overlap_of(stream, predicted=predicted.get(image_id)),
        )
        for place, (image_id, (stream, propensity)) in enumerate(chosen.items())
        if image_id in known
        and image_id not in waiting_images
        and (
            image_id not in labelled
            or stream in REVIEW_LABELLED_STREAMS
            or (stream == Stream.AUDIT and image_id in certified)
        )
    ]
    tests = draw_tests(dataset=dataset, head=head, normal=items)
    # In the order of their positions, so that the id of an item does not show whether it is a test.
    rows = sorted([*items, *tests], key=lambda item: item.position)
    # An undo can put an image into the queue at the same time. Then no second item is created.
    QueueItem.objects.bulk_create(rows, batch_size=1000, ignore_conflicts=True)
    if rows or withdrawn:
        record(
            kind="queue.filled",
            dataset=dataset,
            target=head,
            data={"added": len(rows), "withdrawn": withdrawn},
        )
    return len(items)


def request_refill(*, dataset: Dataset, waiting: int, user: User | None = None) -> bool:
    """Start a refill job if less than half of the wanted number of items waits.

    Return whether it was started. No job is started if there are no images or no head in use, while a job
    that fills the queue is active or has just started, or if nothing has changed since the last refill.
    """
    if waiting * 2 >= dataset.queue_target or not _can_choose(dataset):
        return False
    last = Job.objects.filter(dataset=dataset, kind__in=FILLING).order_by("-number").first()
    if last is not None:
        resting = last.kind == Kind.REFILL and not clock.has_passed(REFILL_INTERVAL, last.created_at)
        if last.state in ACTIVE_STATES or (resting and not _items_added_since(dataset, last.created_at)):
            return False
        if not _changed_since(dataset, last):
            return False
    enqueue(kind=Kind.REFILL, dataset=dataset, user=user)
    return True


def _can_choose(dataset: Dataset) -> bool:
    """Return whether the dataset has images and a head in use."""
    return has_champion(dataset) and Image.objects.filter(dataset=dataset).exists()


def _changed_since(dataset: Dataset, last: Job) -> bool:
    """Return whether a refill could choose other images than this job did.

    New decisions (answers, undos, returned flags) and new images change the choice. Changes of labels,
    prompts, settings, encoder or head start their own jobs that fill the queue.
    """
    now = clock.now()
    if (
        last.state == State.FAILED
        and last.finished_at
        and clock.has_passed(RETRY_AFTER, last.finished_at, at=now)
    ):
        return True
    since = last.started_at or last.created_at
    if since > now:  # The clock was set back, so times cannot be compared.
        return True
    newest = (
        Decision.objects.filter(dataset=dataset).order_by("-id").values_list("created_at").first(),
        Image.objects.filter(dataset=dataset).order_by("-id").values_list("created_at").first(),
    )
    return any(row is not None and row[0] > since for row in newest)


def _items_added_since(dataset: Dataset, asked_at: datetime) -> bool:
    """Return whether items were added since `asked_at`.

    The caller knows that the queue is short again, so REFILL_INTERVAL does not apply then.
    """
    newest = QueueItem.objects.filter(dataset=dataset).order_by("-pk").values_list("created_at").first()
    return newest is not None and newest[0] > asked_at


def request_training_if_due(*, dataset: Dataset) -> bool:
    """Start a training after `retrain_every` new training labels. Return whether it was started."""
    if not _enough_for_training(dataset):
        return False
    from mekiki.learning.services import request_training

    with transaction.atomic():
        lock_training_request(dataset.pk)
        if not _enough_for_training(dataset):  # Another answer has started it.
            return False
        request_training(dataset=dataset, trigger=TrainingRun.Trigger.COUNT)
    return True


def _enough_for_training(dataset: Dataset) -> bool:
    wanted = dataset.retrain_every
    if not wanted:
        return False
    last = TrainingRun.objects.filter(dataset=dataset).order_by("-id").values_list("created_at").first()
    new = ConfirmedLabel.objects.filter(~is_excluded("image"), dataset=dataset, in_training=True)
    # A last run in the future means that the clock was set back. Then times cannot be compared and all labels
    # count.
    if last is not None and last[0] <= clock.now():
        new = new.filter(updated_at__gt=last[0])
    return new[:wanted].count() >= wanted


def request_due_work(dataset: Dataset, waiting: int, user: User) -> None:
    """Start a training and a refill if they are due after an answer.

    The answer is already recorded, so an error here is logged and not shown.
    """
    try:
        request_training_if_due(dataset=dataset)
        request_refill(dataset=dataset, waiting=waiting, user=user)
    except Exception:
        logger.exception("After an answer in %s, no further work could be asked for.", dataset.slug)
