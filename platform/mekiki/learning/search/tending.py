"""Maintenance of the search: build missing indexes, drop unused indexes and delete old search texts."""

from datetime import timedelta

from django.db.models import F, Q, QuerySet, Sum
from django.db.models.functions import Now

from mekiki.datasets.models import Dataset
from mekiki.jobs.models import ACTIVE_STATES, Job, Kind, State
from mekiki.jobs.payloads import IndexPayload
from mekiki.jobs.services import enqueue
from mekiki.learning.models import Encoder
from mekiki.learning.search import index, texts

EMBEDDING = (Kind.ENCODE, Kind.CHANGE_ENCODER)
# A failed build, for example because of a full disk, is tried again after this time.
RETRY_AFTER = timedelta(hours=1)
# Adding one vector to an index of a million costs about 12 times its share of a full build. If more images
# than this share of the index must still be embedded, the index is dropped and built again afterwards. Until
# then searches compare all vectors.
REBUILD_ABOVE = 0.1
EMBEDDING_STAGE = "computing embeddings"  # the stage name that workers.stages.encode reports


def maintain_search() -> dict[str, int]:
    """Request missing indexes, drop unused ones, delete old search texts, and return the three numbers.

    Must run outside a transaction.
    """
    known = index.index_states()
    asked = 0
    # Nothing searches by the local detail.
    encoders = {encoder.pk: encoder for encoder in Encoder.objects.filter(kind=Encoder.Kind.IMAGE_TEXT)}
    for encoder in encoders.values():
        state = known.get(encoder.pk)
        if (state is None or not state.valid) and index.has_more_embeddings_than(encoder.pk):
            asked += enqueue_index_build(encoder=encoder)
    dropped = 0
    for encoder_id, state in known.items():
        owner = encoders.get(encoder_id)
        needed = owner is not None and index.is_needed(encoder_id)
        if not needed or (owner is not None and _still_to_embed(owner) > REBUILD_ABOVE * state.rows):
            dropped += index.drop(encoder_id)
    return {"asked": asked, "dropped": dropped, "forgotten": texts.delete_unused_texts()}


def enqueue_index_build(*, encoder: Encoder) -> bool:
    """Enqueue an index build and return whether it was enqueued.

    It is not enqueued while a build is active, shortly after a failed build, or while images are being
    embedded. Adding images one by one costs several times more than one build, so the first build waits for
    the embeddings. An existing index stays and grows.
    """
    key = f"index:{encoder.pk}"
    jobs = Job.objects.filter(key=key)
    if jobs.filter(state__in=ACTIVE_STATES).exists():
        return False
    if jobs.filter(
        state__in=(State.FAILED, State.CANCELLED), finished_at__range=(Now() - RETRY_AFTER, Now())
    ).exists():
        return False
    if _embedding_jobs(encoder).exists():
        return False
    by_head = Dataset.objects.filter(archived_at__isnull=True, champion__head__encoder=encoder)
    by_name = Dataset.objects.filter(archived_at__isnull=True, encoder_name=encoder.name)
    dataset = by_head.order_by("pk").first() or by_name.order_by("pk").first()
    enqueue(kind=Kind.INDEX, dataset=dataset, key=key, payload=IndexPayload(encoder=encoder.pk).as_json())
    return True


def _embedding_jobs(encoder: Encoder) -> QuerySet[Job]:
    """Return the active jobs that embed with this encoder.

    They are selected by name (EncodePayload, ChangeEncoderPayload), because the encoder's row can be newer
    than the job.
    """
    named = Q(payload__encoder=encoder.name)
    own = Q(dataset__encoder_name=encoder.name) & ~Q(payload__has_key="encoder")
    return Job.objects.filter(named | own, kind__in=EMBEDDING, state__in=ACTIVE_STATES)


def _still_to_embed(encoder: Encoder) -> int:
    """Return the number of images that the running jobs must still embed.

    Only the embedding stage is used, because a job counts other units before and after it (megabytes of a
    download, predictions to store). Jobs name an encoder, and of two encoders with one name they mean the
    newer.
    """
    if Encoder.objects.filter(name=encoder.name, pk__gt=encoder.pk).exists():
        return 0
    left = (
        _embedding_jobs(encoder).filter(stage=EMBEDDING_STAGE).aggregate(n=Sum(F("total") - F("done")))["n"]
    )
    return max(0, left or 0)
