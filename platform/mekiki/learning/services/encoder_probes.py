"""What encoders computed from known pictures and sentences, and which workers compute something else."""

from mekiki.config import clock
from mekiki.learning.models import Encoder, EncoderProbe, WorkerDifference


def record_probe(
    *, encoder: Encoder, version: int, vectors: bytes, host: str, processor: str
) -> EncoderProbe:
    """The vectors on record for this version of the probe; those given, where there are none yet.

    vectors: (n, d) float32, row by row, little-endian. Of two workers that come at once the first one counts.
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
    """Keep that a worker computes other vectors than those on record: it embeds nothing by this encoder."""
    facts = {"processor": processor[:200], "cosine": cosine, "least": least, "seen_at": clock.now()}
    row, _made = WorkerDifference.objects.update_or_create(encoder=encoder, host=host[:200], defaults=facts)
    return row


def withdraw_difference(*, encoder: Encoder, host: str) -> None:
    """Forget that a worker computed other vectors: it computes those on record now."""
    WorkerDifference.objects.filter(encoder=encoder, host=host[:200]).delete()
