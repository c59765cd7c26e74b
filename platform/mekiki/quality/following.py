"""What certificates do after an answer to an audit, a promotion of a head, or a change of the labels."""

from django.db.models import Count, Q

from mekiki.accounts.models import User
from mekiki.datasets.models import Dataset
from mekiki.labeling.models import Label
from mekiki.learning.models import Head
from mekiki.quality.models import Certificate
from mekiki.quality.services.certificates import (
    request_work,
    stop_for_other_labels,
    suspend_certificates,
    suspend_for_other_head,
)
from mekiki.quality.stop_reasons import StopReason
from mekiki.review.models import QueueItem

_REASONS = {
    "added": StopReason.LABEL_ADDED,
    "archived": StopReason.LABEL_ARCHIVED,
    "restored": StopReason.LABEL_ARCHIVED,
    "critical": StopReason.LABEL_CRITICAL,
}


def after_answer(item: QueueItem, user: User) -> None:
    """Start the job that checks the test of the certificate, or its extension, that drew the item."""
    state = Certificate.State
    certificate = Certificate.objects.filter(
        Q(state=state.AUDITING, drawn__item=item) | Q(state=state.ACCEPTED, stream_audits__item=item),
        dataset=item.dataset_id,
    ).first()
    if certificate is not None:
        request_work(certificate=certificate, user=user)


def after_promotion(head: Head) -> None:
    """Suspend certificates of another head than the head in use now."""
    suspend_for_other_head(dataset=head.dataset, head=head)


def after_schema_change(label: Label, change: str) -> None:
    """Stop certificates after a label was added, archived, restored or marked as critical."""
    stop_for_other_labels(dataset=label.dataset, reason=_REASONS[change])


def certificates_by_label(label_ids: list[int]) -> dict[int, int]:
    """Return label id → number of certificates of its dataset that a change of the labels stops."""
    labels = Label.objects.filter(pk__in=label_ids).order_by()
    by_dataset: dict[int, list[int]] = {}
    for pk, dataset in labels.values_list("pk", "dataset_id"):
        by_dataset.setdefault(dataset, []).append(pk)
    state = Certificate.State
    held = Certificate.objects.filter(
        dataset__in=by_dataset,
        state__in=[state.FREEZING, state.AUDITING, state.PASSED, state.ACCEPTING, state.ACCEPTED],
    )
    counts = held.order_by().values_list("dataset_id").annotate(n=Count("pk"))
    return {pk: n for dataset, n in counts for pk in by_dataset[dataset]}


def after_new_prompts(dataset: Dataset) -> None:
    """Suspend the certificates whose labels are set or being set."""
    suspend_certificates(dataset=dataset, reason=StopReason.PROMPTS_CHANGED)


def after_predictions(dataset: Dataset, user: User | None = None) -> None:
    """Start the jobs that label later images under the certificates that were extended to them."""
    extended = Certificate.objects.filter(
        dataset=dataset, state=Certificate.State.ACCEPTED, stream__ended_at__isnull=True
    )
    for certificate in extended.exclude(stream=None):
        request_work(certificate=certificate, user=user)
