"""Filling the queue, and asking for more of it and for training when the answers call for it."""

import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, Max, OuterRef, Q

from mekiki.audit.services import record
from mekiki.config import clock
from mekiki.datasets.models import Image
from mekiki.jobs.models import ACTIVE_STATES, Job, Kind, State
from mekiki.jobs.services import enqueue
from mekiki.learning.models import Champion, TrainingRun
from mekiki.review.models import ConfirmedLabel, Decision, Lease, QueueItem, Stream
from mekiki.review.selectors import audits_under_archived_labels
from mekiki.review.services.confirmed import LABEL_KINDS
from mekiki.review.services.locks import lock_dataset_questions

logger = logging.getLogger(__name__)

# Streams that ask again about an image that has a label.
ASK_AGAIN = (Stream.GOLD, Stream.RECHECK)
# A queue that stays short because nothing is left to ask must not cause a job per answer.
REFILL_REST = timedelta(seconds=10)
# A choice that failed is tried again after this without anything having changed: memory or a disk may be free again.
FAILED_REST = timedelta(minutes=10)
# Kinds of jobs that fill the queue.
FILLING = (Kind.REFILL, Kind.TRAIN, Kind.PREDICT)


@transaction.atomic
def fill_queue(
    *,
    dataset: Any,
    head: Any,
    image_ids: Sequence[int],
    streams: Sequence[str],
    propensities: Sequence[float],
) -> int:
    """Replace what nobody has begun on by a new choice, in its order; returns how many items were added.

    Items in somebody's hands, with some of their decisions, whose flag was taken back, or that a person asked about again
    stay, and so do audit items that somebody has held. Images of other datasets, already
    labelled with a label in use (unless the stream asks again, or the audit answer names an archived label) or still
    waiting are passed over. ValueError: lengths differ.
    """
    if not len(image_ids) == len(streams) == len(propensities):
        raise ValueError("image_ids, streams and propensities must have the same length")
    now = clock.now()
    waiting = QueueItem.objects.filter(dataset=dataset, state=QueueItem.State.WAITING)
    locked = list(waiting.select_for_update(skip_locked=True, no_key=True).values_list("pk", flat=True))
    # A second statement sees the leases that were given before the locks were ours.
    live = Lease.objects.filter(item=OuterRef("pk"), ended_at__isnull=True, expires_at__gt=now)
    begun = Decision.objects.filter(item=OuterRef("pk"), kind__in=LABEL_KINDS, superseded_by__isnull=True)
    # Somebody wants this very image judged: a refill must not send it away unasked.
    put_back = Decision.objects.filter(
        item=OuterRef("pk"), kind=Decision.Kind.UNDO, supersedes__kind=Decision.Kind.FLAG
    )
    # Of an image with a label in use, waiting as an audit or a recheck: a person asked for it to be judged again.
    in_use = ConfirmedLabel.objects.filter(image=OuterRef("image"), label__archived_at__isnull=True)
    asked_again = Q(Exists(in_use), stream__in=[Stream.AUDIT, Stream.RECHECK])
    # Else a reviewer could look at several audit images, answer the easy ones and give the others back for a new draw.
    looked_at = Q(Exists(Lease.objects.filter(item=OuterRef("pk"))), stream=Stream.AUDIT)
    chosen_before = waiting.filter(~Exists(live), ~Exists(begun), ~Exists(put_back), ~asked_again, ~looked_at)
    withdrawn = chosen_before.filter(pk__in=locked).update(state=QueueItem.State.WITHDRAWN, finished_at=now)
    chosen: dict[int, tuple[Stream, float]] = {}
    for image_id, stream, propensity in zip(image_ids, streams, propensities):
        chosen.setdefault(int(image_id), (Stream(stream), float(propensity)))
    known = set(Image.objects.filter(dataset=dataset, pk__in=list(chosen)).values_list("pk", flat=True))
    labels = ConfirmedLabel.objects.filter(image__in=list(chosen), label__archived_at__isnull=True)
    repeated = audits_under_archived_labels(dataset).values("pk")
    labelled = set(labels.exclude(pk__in=repeated).values_list("image_id", flat=True))
    still = set(waiting.filter(image__in=list(chosen)).values_list("image_id", flat=True))
    last = waiting.aggregate(last=Max("position"))["last"] or 0.0
    items = [
        QueueItem(
            dataset=dataset,
            image_id=image_id,
            stream=stream,
            propensity=propensity,
            head=head,
            position=last + 1 + place,
            overlap=dataset.overlap,
        )
        for place, (image_id, (stream, propensity)) in enumerate(chosen.items())
        if image_id in known and image_id not in still and (image_id not in labelled or stream in ASK_AGAIN)
    ]
    # An image can begin to wait again meanwhile, by an undo: then it is not asked about twice.
    QueueItem.objects.bulk_create(items, batch_size=1000, ignore_conflicts=True)
    if items or withdrawn:
        record(
            kind="queue.filled",
            dataset=dataset,
            target=head,
            data={"added": len(items), "withdrawn": withdrawn},
        )
    return len(items)


def ask_for_refill(*, dataset: Any, waiting: int, user: Any = None) -> bool:
    """Ask a worker to choose the next images when less than half of the wanted number waits.

    Not where it cannot choose any (no images, no head in use), not while a job that fills the queue is under way nor
    right after one, and not when nothing has changed since the last choice. True when asked.
    """
    if waiting * 2 >= dataset.queue_target or not _can_choose(dataset):
        return False
    last = Job.objects.filter(dataset=dataset, kind__in=FILLING).order_by("-number").first()
    if last is not None:
        resting = last.kind == Kind.REFILL and not clock.has_passed(REFILL_REST, last.created_at)
        if last.state in ACTIVE_STATES or (resting and not _drained_since(dataset, last.created_at)):
            return False
        if not _changed_since(dataset, last):
            return False
    enqueue(kind=Kind.REFILL, dataset=dataset, user=user)
    return True


def _can_choose(dataset: Any) -> bool:
    """Are there images, and a head to choose by?"""
    return (
        Champion.objects.filter(dataset=dataset).exists() and Image.objects.filter(dataset=dataset).exists()
    )


def _changed_since(dataset: Any, last: Job) -> bool:
    """Has anything happened since this job began that lets another choice come out differently?

    Decisions (answers, undone ones, flags that were put back) and images. Labels, prompts, settings, another encoder or
    a new head ask for work that fills the queue by themselves.
    """
    now = clock.now()
    if (
        last.state == State.FAILED
        and last.finished_at
        and clock.has_passed(FAILED_REST, last.finished_at, at=now)
    ):
        return True
    since = last.started_at or last.created_at
    if since > now:  # The clock was set back: what came since cannot be told by its time.
        return True
    newest = (
        Decision.objects.filter(dataset=dataset).order_by("-id").values_list("created_at").first(),
        Image.objects.filter(dataset=dataset).order_by("-id").values_list("created_at").first(),
    )
    return any(row is not None and row[0] > since for row in newest)


def _drained_since(dataset: Any, asked_at: Any) -> bool:
    """Has the queue been filled since, and answered already? Then the rest does not apply."""
    newest = QueueItem.objects.filter(dataset=dataset).order_by("-pk").values_list("created_at").first()
    return newest is not None and newest[0] > asked_at


def ask_for_training(*, dataset: Any) -> bool:
    """Ask for a new head after `retrain_every` new training labels since the last run. True when asked."""
    if not _enough_for_training(dataset):
        return False
    from mekiki.learning.services import request_training

    with transaction.atomic():
        lock_dataset_questions(dataset.pk)
        if not _enough_for_training(dataset):  # Another answer has asked meanwhile.
            return False
        request_training(dataset=dataset, trigger=TrainingRun.Trigger.COUNT)
    return True


def _enough_for_training(dataset: Any) -> bool:
    wanted = dataset.retrain_every
    if not wanted:
        return False
    last = TrainingRun.objects.filter(dataset=dataset).order_by("-id").values_list("created_at").first()
    new = ConfirmedLabel.objects.filter(dataset=dataset, in_training=True)
    # A last run in the future came before the clock was set back: what is new since cannot be told by its time.
    if last is not None and last[0] <= clock.now():
        new = new.filter(updated_at__gt=last[0])
    return new[:wanted].count() >= wanted


def follow_up(dataset: Any, waiting: int, user: Any) -> None:
    """What an answer may call for. It has been recorded already: a failure here is logged, not shown."""
    try:
        ask_for_training(dataset=dataset)
        ask_for_refill(dataset=dataset, waiting=waiting, user=user)
    except Exception:
        logger.exception("After an answer in %s, no further work could be asked for.", dataset.slug)
