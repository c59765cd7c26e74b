"""What the schedule does: ask for a training run."""

import logging

from django.core.exceptions import ValidationError

from mekiki.datasets.models import Dataset
from mekiki.learning.models import TrainingRun
from mekiki.learning.services import request_training

logger = logging.getLogger(__name__)


def ask_for_training(dataset_id: int) -> str:
    """Ask for a training run of a dataset that is in use; returns what came of it."""
    dataset = Dataset.objects.filter(pk=dataset_id, archived_at__isnull=True).first()
    if dataset is None:
        return "no such dataset"
    try:
        run = request_training(dataset=dataset, trigger=TrainingRun.Trigger.SCHEDULE)
    except ValidationError as error:
        logger.info("No training of %s on schedule: %s", dataset.slug, " ".join(error.messages))
        return "nothing to train"
    return f"run {run.pk}"
