"""Removal of the embeddings of unused encoders, and reports of workers about their machines."""

from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.utils.translation import gettext as _

from mekiki.accounts.access import require_role
from mekiki.accounts.models import Role, User
from mekiki.audit.services import record
from mekiki.config import clock
from mekiki.datasets.models import Dataset
from mekiki.jobs.models import Job, Kind
from mekiki.jobs.payloads import RemoveEmbeddingsPayload
from mekiki.jobs.services import enqueue
from mekiki.learning.models import (
    EmbeddingRemoval,
    Encoder,
    EncoderChange,
    EncodingProblem,
    WorkerReport,
)
from mekiki.learning.selectors import encoder_in_use, has_embeddings
from mekiki.learning.services.encoder_changes import record_lost_jobs
from mekiki.learning.services.encoder_steps import lock_dataset


def removal_obstacle(dataset: Dataset, encoder: Encoder) -> str:
    """Return why the embeddings by this encoder cannot be removed, as a sentence, or "" if they can be."""
    in_use = encoder_in_use(dataset)
    if in_use is not None and in_use.pk == encoder.pk:
        return _("This encoder is in use. Predictions and search need its embeddings.")
    for change in EncoderChange.objects.filter(dataset=dataset, state__in=EncoderChange.OPEN):
        if encoder.pk in {change.from_encoder_id, change.to_encoder_id} or change.to_encoder_id is None:
            return _("A change of the encoder is not finished. Switch over to it or cancel it first.")
    return ""


@transaction.atomic
def request_removal(*, dataset: Dataset, encoder: Encoder, user: User) -> Job:
    """Start a job that permanently removes the embeddings of the dataset by an encoder that is not in use.

    Raises PermissionDenied if the user is not an admin. Raises ValidationError if the embeddings are needed
    or if there are none.
    """
    require_role(user, dataset, Role.ADMIN)
    row = lock_dataset(dataset)
    record_lost_jobs(row)
    if why := removal_obstacle(row, encoder):
        raise ValidationError(why, code="needed")
    if not has_embeddings(row, encoder):
        raise ValidationError(_("There are no embeddings by this encoder."), code="none")
    record(
        kind="encoder.removal_requested",
        actor=user,
        dataset=row,
        target=encoder,
        data={"name": encoder.name, "digest": encoder.digest, "precision": encoder.precision},
    )
    return enqueue(
        kind=Kind.REMOVE_EMBEDDINGS,
        dataset=row,
        key=f"remove_embeddings:{row.pk}:{encoder.pk}",
        payload=RemoveEmbeddingsPayload(encoder_id=encoder.pk).as_json(),
        user=user,
    )


@transaction.atomic
def remove_embeddings(*, encoder: Encoder, dataset: Dataset, limit: int = 20_000) -> int:
    """Delete up to `limit` embeddings of the dataset by an unused encoder.

    Return the number of deleted embeddings. The encoding problems of this encoder are deleted too. Heads that
    use the encoder are kept. Raises ValidationError if the embeddings are needed now.
    """
    row = lock_dataset(dataset)
    # Check at each call: a stopped removal can be tried again later, when the embeddings are needed.
    if why := removal_obstacle(row, encoder):
        raise ValidationError(why)
    EncodingProblem.objects.filter(encoder=encoder, image__dataset=row).delete()
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM learning_embedding WHERE encoder_id = %s AND image_id IN ("
            "SELECT e.image_id FROM learning_embedding e JOIN datasets_image i ON i.id = e.image_id "
            "WHERE e.encoder_id = %s AND i.dataset_id = %s ORDER BY e.image_id LIMIT %s)",
            [encoder.pk, encoder.pk, row.pk, limit],
        )
        return cursor.rowcount


@transaction.atomic
def record_removal(*, dataset: Dataset, encoder: Encoder, removed: int, user: User | None = None) -> None:
    """Record that the embeddings by an encoder were removed, as a row and as an event."""
    EmbeddingRemoval.objects.create(dataset=dataset, encoder=encoder, removed=removed)
    record(
        kind="encoder.embeddings_removed",
        actor=user,
        dataset=dataset,
        target=encoder,
        data={"name": encoder.name, "digest": encoder.digest, "removed": removed},
    )


def report_worker(*, host: str, device: str, gpu: str = "", memory: int = 0, cpus: int = 0) -> None:
    """Store a worker's report about its machine."""
    facts = {"device": device[:40], "gpu": gpu[:200], "memory": memory, "cpus": cpus}
    WorkerReport.objects.update_or_create(host=host[:200], defaults=facts | {"seen_at": clock.now()})
