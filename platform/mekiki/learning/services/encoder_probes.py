"""Facts about encoders: reference vectors, workers whose vectors differ from them, and long prompts."""

from collections.abc import Sequence

from django.db import transaction

from mekiki.config import clock
from mekiki.datasets.models import Dataset
from mekiki.labeling.models import PromptSet
from mekiki.learning.models import Encoder, EncoderProbe, LongPrompt, WorkerDifference


def record_probe(
    *, encoder: Encoder, version: int, vectors: bytes, host: str, processor: str
) -> EncoderProbe:
    """Return the stored reference vectors of this probe version.

    If there are none, the given vectors are stored.

    vectors: (n, d) float32, row by row, little-endian. If two workers call this at once, the first one wins.
    """
    probe, _made = EncoderProbe.objects.get_or_create(
        encoder=encoder,
        version=version,
        defaults={"vectors": vectors, "host": host[:200], "processor": processor[:200]},
    )
    return probe


def report_difference(
    *, encoder: Encoder, host: str, processor: str, cosine: float, least: float
) -> WorkerDifference:
    """Record that a worker's vectors differ from the reference. It embeds nothing with this encoder."""
    facts = {"processor": processor[:200], "cosine": cosine, "least": least, "seen_at": clock.now()}
    row, _made = WorkerDifference.objects.update_or_create(encoder=encoder, host=host[:200], defaults=facts)
    return row


def withdraw_difference(*, encoder: Encoder, host: str) -> None:
    """Delete the record of a difference, because the worker's vectors now agree with the reference."""
    WorkerDifference.objects.filter(encoder=encoder, host=host[:200]).delete()


@transaction.atomic
def record_long_prompts(
    *, encoder: Encoder, prompt_set: PromptSet, long_prompts: Sequence[LongPrompt]
) -> None:
    """Store which prompts of a set are longer than an encoder reads, in place of what was stored before."""
    # Two workers write one after the other.
    Dataset.objects.select_for_update(no_key=True).only("pk").get(pk=prompt_set.dataset_id)
    rows = LongPrompt.objects.filter(encoder=encoder, prompt__prompt_set=prompt_set)
    stored = {row.prompt_id: (row.tokens, row.context) for row in rows}
    wanted = {row.prompt_id: (row.tokens, row.context) for row in long_prompts}
    if stored != wanted:
        rows.delete()
        LongPrompt.objects.bulk_create(long_prompts)
