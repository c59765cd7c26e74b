"""What keeps search in order, once a minute: indexes that are missing, indexes nobody needs, searches long forgotten."""

from datetime import timedelta

from django.db.models import F, Q, QuerySet, Sum
from django.db.models.functions import Now

from mekiki.datasets.models import Dataset
from mekiki.jobs.models import ACTIVE_STATES, Job, Kind, State
from mekiki.jobs.services import enqueue
from mekiki.learning.models import Encoder
from mekiki.learning.search import index, texts

EMBEDDING = (Kind.ENCODE, Kind.CHANGE_ENCODER)
# A build that failed (a full disk, say) is tried again after this time.
PAUSE = timedelta(hours=1)
# Putting a vector into an index of a million costs about a dozen times its share of a build. When more than this share
# of what the index holds is still to be embedded it is dropped, and built again after that; searches are exact
# meanwhile.
REBUILD_ABOVE = 0.1
EMBEDDING_STAGE = "computing embeddings"  # as workers.stages.encode reports it


def tend() -> dict[str, int]:
    """Ask for builds, drop what is left over, forget old texts; how many of each. Outside a transaction only."""
    known = index.states()
    asked = 0
    encoders = {encoder.pk: encoder for encoder in Encoder.objects.all()}
    for encoder in encoders.values():
        state = known.get(encoder.pk)
        if (state is None or not state.valid) and index.has_many(encoder.pk):
            asked += ask_for_index(encoder=encoder)
    dropped = 0
    for encoder_id, state in known.items():
        owner = encoders.get(encoder_id)
        needed = owner is not None and index.is_needed(encoder_id)
        if not needed or (owner is not None and _still_to_embed(owner) > REBUILD_ABOVE * state.rows):
            index.drop(encoder_id)
            dropped += 1
    return {"asked": asked, "dropped": dropped, "forgotten": texts.prune()}


def ask_for_index(*, encoder: Encoder) -> bool:
    """Enqueue the build, unless it is under way, failed a moment ago, or images are still being embedded.

    An index that grows with every image costs several times what building it once does: while an encoder embeds,
    its first build waits. One that exists stays and grows.
    """
    key = f"index:{encoder.pk}"
    jobs = Job.objects.filter(key=key)
    if jobs.filter(state__in=ACTIVE_STATES).exists():
        return False
    if jobs.filter(
        state__in=(State.FAILED, State.CANCELLED), finished_at__range=(Now() - PAUSE, Now())
    ).exists():
        return False
    if _embedding_jobs(encoder).exists():
        return False
    by_head = Dataset.objects.filter(archived_at__isnull=True, champion__head__encoder=encoder)
    by_name = Dataset.objects.filter(archived_at__isnull=True, encoder_name=encoder.name)
    dataset = by_head.order_by("pk").first() or by_name.order_by("pk").first()
    enqueue(kind=Kind.INDEX, dataset=dataset, key=key, payload={"encoder": encoder.pk})
    return True


def _embedding_jobs(encoder: Encoder) -> QuerySet[Job]:
    """The active jobs that embed by this encoder: by name, for its row may be newer than the job."""
    named = Q(payload__encoder=encoder.name)
    own = Q(dataset__encoder_name=encoder.name) & ~Q(payload__has_key="encoder")
    return Job.objects.filter(named | own, kind__in=EMBEDDING, state__in=ACTIVE_STATES)


def _still_to_embed(encoder: Encoder) -> int:
    """How many images the running jobs have still to embed. A job counts other things before and after: megabytes
    of a download, predictions to be stored. And jobs name an encoder: of two rows of one name it is the newer."""
    if Encoder.objects.filter(name=encoder.name, pk__gt=encoder.pk).exists():
        return 0
    left = (
        _embedding_jobs(encoder).filter(stage=EMBEDDING_STAGE).aggregate(n=Sum(F("total") - F("done")))["n"]
    )
    return max(0, left or 0)
