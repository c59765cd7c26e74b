"""Counts of the images drawn for the audit: counted, or not counted for a known reason (invariant 4)."""

from collections.abc import Iterable
from typing import Any

from django.db.models import Case, CharField, Count, Exists, OuterRef, Q, QuerySet, Value, When

from mekiki.datasets.models import AuditShareChange, Dataset
from mekiki.learning.accuracy import AuditCounts
from mekiki.review.models import LABELLING_KINDS, ConfirmedLabel, Decision, QueueItem, Stream
from mekiki.review.selectors import reserve_limits


def audit_counts(dataset: Dataset) -> AuditCounts:
    """Return the counts of one dataset.

    `not_embedded` is 0, because only a worker that has the embeddings knows this number.
    """
    return audit_counts_of([dataset])[dataset.pk]


def audit_counts_of(datasets: Iterable[Any]) -> dict[int, AuditCounts]:
    """Return dataset id → counts, in a fixed number of queries plus two for each raise of an audit share."""
    by_id = {dataset.pk: dataset for dataset in datasets}
    ids = list(by_id)
    counts: dict[int, dict[str, int]] = {pk: {} for pk in ids}
    for pk, reason, label_state, n in (
        ConfirmedLabel.objects.filter(dataset__in=ids, stream=Stream.AUDIT)
        .annotate(
            uncounted_reason=Case(
                When(in_training=True, then=Value("retired")),
                When(audit_label__isnull=True, then=Value("prediction_shown")),
                *_outside_the_reserve(by_id),
                default=Value("counted"),
                output_field=CharField(),
            ),
            label_state=Case(
                When(audit_label__archived_at__isnull=False, then=Value("archived_label")),
                When(Exists(_archived_answers()), then=Value("judged_again")),
                default=Value(""),
                output_field=CharField(),
            ),
        )
        .order_by()
        .values_list("dataset_id", "uncounted_reason", "label_state")
        .annotate(n=Count("pk"))
    ):
        counts[pk][reason] = counts[pk].get(reason, 0) + n
        if reason == "counted" and label_state:
            counts[pk][label_state] = n
    for pk, reason, n in _without_audit_label(ids):
        counts[pk][reason] = counts[pk].get(reason, 0) + n
    return {pk: AuditCounts(**numbers) for pk, numbers in counts.items()}


def _archived_answers() -> QuerySet[Decision]:
    """Return audit answers with a now archived label that are older than the valid audit answer."""
    return Decision.objects.filter(
        image=OuterRef("image"),
        created_at__lt=OuterRef("audited_at"),
        item__stream=Stream.AUDIT,
        kind__in=LABELLING_KINDS,
        label__archived_at__isnull=False,
    )


def _outside_the_reserve(datasets: dict[int, Any]) -> list[When]:
    """Return the condition for images that a raised audit share excludes (selectors.reserve_limits)."""
    changes = AuditShareChange.objects.filter(dataset__in=list(datasets))
    outside = Q()
    for pk in set(changes.values_list("dataset_id", flat=True)):
        for last, share in reserve_limits(datasets[pk]):
            outside |= Q(dataset=pk, image__lte=last, image__audit_key__gte=share)
    return [When(outside, then=Value("share_changed"))] if outside else []


def _without_audit_label(ids: list[int]) -> Iterable[tuple[int, str, int]]:
    """Return (dataset id, reason, number of images) for audit images that have no audit label now."""
    labels = ConfirmedLabel.objects.filter(image=OuterRef("image"))
    shown = Decision.objects.filter(item=OuterRef("pk")).exclude(kind=Decision.Kind.UNDO)
    undone = Decision.objects.filter(
        item=OuterRef("pk"),
        kind__in=LABELLING_KINDS,
        superseded_by__isnull=False,
    )
    rows = (
        QueueItem.objects.filter(Exists(shown), dataset__in=ids, stream=Stream.AUDIT)
        .exclude(Exists(labels.filter(stream=Stream.AUDIT)))
        .annotate(labelled=Exists(labels), undone=Exists(undone))
        .order_by()
        .values_list("dataset_id", "image_id", "labelled", "undone")
    )
    by_image: dict[tuple[int, int], str] = {}
    for pk, image, labelled, was_undone in rows:
        reason = "prediction_shown" if labelled else "taken_back" if was_undone else "without_label"
        if by_image.get((pk, image)) != "taken_back":
            by_image[(pk, image)] = reason
    counted: dict[tuple[int, str], int] = {}
    for (pk, _image), reason in by_image.items():
        counted[(pk, reason)] = counted.get((pk, reason), 0) + 1
    return [(pk, reason, n) for (pk, reason), n in counted.items()]
