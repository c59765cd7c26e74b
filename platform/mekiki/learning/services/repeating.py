"""Request to train a head again from its own inputs, and the record of the result."""

from typing import Any

from django.db import transaction

from mekiki.accounts.access import require_role
from mekiki.accounts.models import Role, User
from mekiki.audit.services import record
from mekiki.datasets.models import Dataset
from mekiki.jobs.models import Job, Kind
from mekiki.jobs.payloads import VerifyHeadPayload
from mekiki.jobs.services import enqueue
from mekiki.learning.models import Head
from mekiki.learning.selectors import verification_key


@transaction.atomic
def request_verification(*, dataset: Dataset, head: Head, user: User | None = None) -> Job:
    """Start a job that repeats the training of a head. If such a job is active, return that job.

    user: an admin of the dataset, or None for the command line. Raises PermissionDenied for other users, and
    ValueError if the head belongs to another dataset.
    """
    if user is not None:
        require_role(user, dataset, Role.ADMIN)
    if head.dataset_id != dataset.pk:
        raise ValueError(f"Head {head.pk} is not of dataset {dataset.pk}.")
    return enqueue(
        kind=Kind.VERIFY_HEAD,
        dataset=dataset,
        key=verification_key(head),
        payload=VerifyHeadPayload(head=head.pk).as_json(),
        user=user,
    )


def record_verification(*, head: Head, result: dict[str, Any], user: User | None = None) -> None:
    """Record the result of a repeated training (format: learning.repeating). The head is not changed."""
    record(kind="head.verified", actor=user, dataset=head.dataset, target=head, data=result)
