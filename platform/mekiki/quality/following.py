"""What certificates do after an answer to an audit, a promotion of a head, or a change of the labels."""

from mekiki.accounts.models import User
from mekiki.labeling.models import Label
from mekiki.learning.models import Head
from mekiki.quality.models import Certificate
from mekiki.quality.services.certificates import request_work, suspend_certificates
from mekiki.quality.stop_reasons import StopReason
from mekiki.review.models import QueueItem

_REASONS = {
    "archived": StopReason.LABEL_ARCHIVED,
    "restored": StopReason.LABEL_ARCHIVED,
    "critical": StopReason.LABEL_CRITICAL,
}


def after_answer(item: QueueItem, user: User) -> None:
    """Start the job that checks the test of the running certificate."""
    certificate = Certificate.objects.filter(
        dataset=item.dataset_id, state=Certificate.State.AUDITING, drawn__item=item
    ).first()
    if certificate is not None:
        request_work(certificate=certificate, user=user)


def after_promotion(head: Head) -> None:
    """Suspend certificates of another head than the head in use now."""
    suspend_certificates(dataset=head.dataset, reason=StopReason.HEAD_REPLACED, head=head)


def after_schema_change(label: Label, change: str) -> None:
    """Suspend certificates after a label was archived, restored or marked as critical."""
    suspend_certificates(dataset=label.dataset, reason=_REASONS[change])
