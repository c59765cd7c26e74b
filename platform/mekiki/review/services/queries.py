"""Compiled queries of the acts that each reviewer repeats: the next images, and an answer."""

from django.db.models import Q, QuerySet

from mekiki.config.compiled import CompiledQuery, IsIn, Parameter
from mekiki.labeling.models import Label
from mekiki.learning.models import Head, Prediction
from mekiki.review.models import (
    LABEL_KINDS,
    LABELLING_KINDS,
    TEST_STREAMS,
    ConfirmedLabel,
    Decision,
    Lease,
    QueueItem,
)


def _held(dataset: Parameter, user: Parameter, now: Parameter) -> QuerySet[Lease]:
    """Return the leases that a reviewer holds, with item and image, in review order."""
    return (
        Lease.objects.filter(
            user=user,
            ended_at__isnull=True,
            expires_at__gt=now,
            item__dataset=dataset,
            item__state=QueueItem.State.WAITING,
        )
        .select_related("item__image")
        .order_by("item__position", "item_id")
    )


def _items(ids: Parameter) -> QuerySet[QueueItem]:
    rows = QueueItem.objects.filter(IsIn("pk", ids)).select_related("image")
    return rows.order_by("position", "pk")


def _open_leases(items: Parameter) -> QuerySet[Lease]:
    return Lease.objects.filter(IsIn("item_id", items), ended_at__isnull=True)


def _standing_answers(items: Parameter) -> QuerySet[Decision]:
    """Return the answers with a label that were not undone, without rulings."""
    rows = Decision.objects.filter(IsIn("item_id", items), kind__in=LABEL_KINDS, superseded_by__isnull=True)
    return rows.only("item", "user")


def _head_in_use(dataset: Parameter) -> QuerySet[Head]:
    rows = Head.objects.filter(champion__dataset=dataset).order_by().select_related("prompt_set")
    return rows.only("version", "digest", "calibrated", "prompt_set__version")


def _predictions(head: Parameter, images: Parameter) -> QuerySet[Prediction]:
    rows = Prediction.objects.filter(IsIn("image_id", images), head_id=head)
    return rows.select_related("label", "runner_up").only(
        "image",
        "label",
        "label__name",
        "label__archived_at",
        "confidence",
        "margin",
        "runner_up",
        "runner_up__archived_at",
    )


def _answer_of_key(user: Parameter, key: Parameter) -> QuerySet[Decision]:
    return Decision.objects.filter(user=user, client_key=key)


def _item(item: Parameter, dataset: Parameter) -> QuerySet[QueueItem]:
    """Return the item with its image. PostgreSQL locks in the order of `of`: the image before the item.

    A row that another transaction changed while the lock was awaited is read again.
    """
    rows = QueueItem.objects.filter(pk=item, dataset=dataset).select_related("image")
    return rows.select_for_update(of=("image", "self"), no_key=True)


def _lease(lease: Parameter, user: Parameter, item: Parameter) -> QuerySet[Lease]:
    return Lease.objects.filter(pk=lease, user=user, item=item)


def _label(label: Parameter, dataset: Parameter) -> QuerySet[Label]:
    return Label.objects.filter(pk=label, dataset=dataset)


def _label_decisions_of(images: Parameter) -> QuerySet[Decision]:
    """Return what `_label_decisions` returns, of several images."""
    return _label_decisions_where(IsIn("image_id", images))


def _label_decisions(image: Parameter) -> QuerySet[Decision]:
    """Return all answers and rulings that gave an image a label, also undone ones, oldest first.

    Answers that measure a reviewer are left out, because they give no label.
    """
    return _label_decisions_where(Q(image=image))


def _label_decisions_where(condition: Q | IsIn) -> QuerySet[Decision]:
    rows = Decision.objects.filter(
        condition, Q(item__isnull=True) | ~Q(item__stream__in=TEST_STREAMS), kind__in=LABELLING_KINDS
    )
    return rows.select_related("item", "label", "superseded_by").order_by("id")


def _confirmed_labels(images: Parameter) -> QuerySet[ConfirmedLabel]:
    rows = ConfirmedLabel.objects.filter(IsIn("image_id", images)).order_by("image_id")
    return rows.select_for_update(no_key=True)


def _confirmed_label(image: Parameter) -> QuerySet[ConfirmedLabel]:
    return ConfirmedLabel.objects.filter(image=image).select_for_update(no_key=True)


HELD_LEASES = CompiledQuery(_held)
ITEMS = CompiledQuery(_items)
OPEN_LEASES = CompiledQuery(_open_leases)
STANDING_ANSWERS = CompiledQuery(_standing_answers)
HEAD_IN_USE = CompiledQuery(_head_in_use)
# The head is part of the text, so that the plan opens only the partition of this head.
PREDICTIONS = CompiledQuery(_predictions, constants=("head",))
ANSWER_OF_KEY = CompiledQuery(_answer_of_key)
ITEM = CompiledQuery(_item)
LEASE = CompiledQuery(_lease)
LABEL = CompiledQuery(_label)
LABEL_DECISIONS = CompiledQuery(_label_decisions)
LABEL_DECISIONS_OF = CompiledQuery(_label_decisions_of)
CONFIRMED_LABEL = CompiledQuery(_confirmed_label)
CONFIRMED_LABELS = CompiledQuery(_confirmed_labels)
