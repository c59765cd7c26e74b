"""Queue items for the audit of a certificate. They are blind and wait before all other items."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from django.db import transaction
from django.db.models import Exists, F, Max, Min, OuterRef, QuerySet

from mekiki.config import clock
from mekiki.datasets.models import Dataset, Image
from mekiki.learning.models import Head
from mekiki.review.models import LABELLING_KINDS, Decision, Lease, QueueItem, Stream
from mekiki.review.services.confirmed import blind_answer, counting_answers

_State = QueueItem.State


@transaction.atomic
def queue_certificate_audits(
    *, dataset: Dataset, head: Head, image_ids: Sequence[int], overlap: int, propensity: float
) -> list[QueueItem]:
    """Put images first in the queue for a blind review, in their order, and return their items.

    An image that waits for another reason leaves the queue there: its item is withdrawn, and a reviewer who
    holds it can still answer late. A late answer is kept, but it is no answer of the certificate's audit.

    propensity: the probability in (0, 1] with which each image was drawn.
    """
    images = {
        image.pk: image
        for image in Image.objects.filter(dataset=dataset, pk__in=list(image_ids))
        .order_by("pk")
        .select_for_update(no_key=True, of=("self",))
    }
    now = clock.now()
    waiting = QueueItem.objects.filter(dataset=dataset, state=_State.WAITING)
    replaced = waiting.filter(image__in=list(images))
    Lease.objects.filter(item__in=replaced, ended_at__isnull=True).update(ended_at=now)
    replaced.update(state=_State.WITHDRAWN, finished_at=now)
    positions = _positions_before_others(dataset, len(image_ids))
    return QueueItem.objects.bulk_create(
        [
            QueueItem(
                dataset=dataset,
                image=images[image_id],
                stream=Stream.CERTIFY,
                propensity=propensity,
                head=head,
                position=position,
                overlap=overlap,
            )
            for position, image_id in zip(positions, image_ids, strict=True)
        ]
    )


def _positions_before_others(dataset: Dataset, count: int) -> list[float]:
    """Return ascending positions after the waiting items of the audit and before all other waiting items.

    The waiting items of the audit are moved forward where there is no room. Fractions would not do: each draw
    would halve the room, and it has 53 bits.
    """
    waiting = QueueItem.objects.filter(dataset=dataset, state=_State.WAITING)
    audits = waiting.filter(stream=Stream.CERTIFY)
    after = audits.aggregate(last=Max("position"))["last"]
    others = waiting.exclude(stream=Stream.CERTIFY)
    if after is not None:
        others = others.filter(position__gt=after)
    before = others.aggregate(first=Min("position"))["first"]
    if after is None:
        after = (before or 0.0) - count - 1
    missing = 0.0 if before is None else max(0.0, count + 1 - (before - after))
    if missing:
        audits.update(position=F("position") - missing)
    return [after - missing + place for place in range(1, count + 1)]


@transaction.atomic
def withdraw_candidates(*, dataset: Dataset, images: QuerySet[Any]) -> int:
    """Withdraw the items of these images that the acquisition function chose, and return their number.

    An item with an active lease or with a decision stays. images: a query of image ids.
    """
    held = Lease.objects.filter(item=OuterRef("pk"), ended_at__isnull=True, expires_at__gt=clock.now())
    decided = Decision.objects.filter(item=OuterRef("pk"))
    chosen = QueueItem.objects.filter(
        ~Exists(held),
        ~Exists(decided),
        dataset=dataset,
        state=_State.WAITING,
        stream__in=[Stream.UNCERTAIN, Stream.DIVERSE],
        assigned_to=None,
        image__in=images,
    )
    return chosen.update(state=_State.WITHDRAWN, finished_at=clock.now())


@transaction.atomic
def withdraw_certificate_audits(*, items: QuerySet[Any]) -> int:
    """Withdraw the items of an audit that still wait, and return their number. items: a query of item ids.

    An answer that a reviewer sends after this is kept as a late answer.
    """
    waiting = QueueItem.objects.filter(pk__in=items, state=_State.WAITING, stream=Stream.CERTIFY)
    return waiting.update(state=_State.WITHDRAWN, finished_at=clock.now())


def blind_labels(items: Iterable[int]) -> dict[int, int]:
    """Return item id → label id of the items whose reviewers agreed on a label, by the first blind answers.

    An item that waits, or was skipped, flagged or left without a majority, is missing.
    """
    answers = blind_answers(items)
    return {item: answer.label_id for item, answer in answers.items() if answer.label_id is not None}


@dataclass(frozen=True)
class BlindAnswer:
    """The label on which the reviewers of an item agreed, or None, and the ids of the answers that count."""

    label_id: int | None
    counting: frozenset[int]


def blind_answers(items: Iterable[int], before: datetime | None = None) -> dict[int, BlindAnswer]:
    """Return item id → answer of the items that have label decisions.

    With `before`, only answers and undos from before this time are used.
    """
    rows = (
        Decision.objects.filter(item__in=list(items), kind__in=LABELLING_KINDS)
        .select_related("item", "label", "superseded_by")
        .order_by("item_id", "pk")
    )
    answers = {}
    for item_id, of_item in groupby(rows, key=lambda decision: decision.item_id):
        group = list(of_item)
        answer = blind_answer(group, before)
        if item_id is not None:
            counting = frozenset(decision.pk for decision in counting_answers(group, before))
            answers[item_id] = BlindAnswer(answer[0].pk if answer is not None else None, counting)
    return answers
