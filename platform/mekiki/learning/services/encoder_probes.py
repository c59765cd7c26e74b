"""Reference vectors of encoders, and the workers whose vectors differ from them."""

from mekiki.config import clock
from mekiki.learning.models import Encoder, EncoderProbe, WorkerDifference


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
