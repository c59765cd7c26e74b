"""Asking for a head to be trained again from its own inputs, and keeping what came of it."""

from typing import Any

from django.db import transaction

from mekiki.audit.services import record
from mekiki.datasets.models import Dataset
from mekiki.jobs.models import Job, Kind
from mekiki.jobs.services import enqueue
from mekiki.learning.models import Head


@transaction.atomic
def request_verification(*, dataset: Dataset, head: Head, user: Any = None) -> Job:
    """Ask for the training of a head to be repeated. While that is under way, the job that does it is returned.

    user: an admin of the dataset, or None for the command line. ValueError: the head is another dataset's.
    """
    if head.dataset_id != dataset.pk:
        raise ValueError(f"Head {head.pk} is not of dataset {dataset.pk}.")
    return enqueue(
        kind=Kind.VERIFY_HEAD,
        dataset=dataset,
        key=f"verify_head:{head.pk}",
        payload={"head": head.pk},
        user=user,
    )


def record_verification(*, head: Head, result: dict[str, Any], user: Any = None) -> None:
    """Record what repeating a training gave, as learning.repeating tells it. Nothing of the head changes."""
    record(kind="head.verified", actor=user, dataset=head.dataset, target=head, data=result)
