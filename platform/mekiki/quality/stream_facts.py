"""Texts of a certificate's extension to later images, for its page and the API."""

from dataclasses import dataclass

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from mekiki.learning.figures import count
from mekiki.quality.certificate_facts import percent
from mekiki.quality.models import CertificateStream
from mekiki.quality.streams import MOST_WAITING, doubtful_images, waiting_audits


@dataclass(frozen=True)
class StreamFacts:
    """An extension as pages show it. limit: the evidence of an alarm, 1 / δ. seed: empty while it is secret.

    doubtful: images after the last good checkpoint that no person has labelled; 0 while the extension runs.
    """

    stream: CertificateStream
    waiting: int
    doubtful: int
    limit: float
    seed: str

    @property
    def is_active(self) -> bool:
        """Whether labels of later images are being set."""
        return self.stream.ended_at is None

    @property
    def share(self) -> str:
        """The share of audited images, such as “2 %”."""
        return percent(self.stream.share)

    @property
    def lowest(self) -> str:
        """The lowest confidence of the certified region as a percentage."""
        return percent(round(self.stream.confidence, 4))

    @property
    def is_full(self) -> bool:
        """Whether labels wait until reviewers have answered some audits."""
        return self.is_active and self.waiting >= MOST_WAITING

    @property
    def sentence(self) -> str:
        """What the audits say so far, in one sentence."""
        certificate = self.stream.certificate
        values = {
            "alpha": percent(certificate.alpha),
            "evidence": f"{self.stream.evidence:.2f}",
            "limit": f"{self.limit:g}",
        }
        if self.stream.alarm_at is not None:
            return (
                _(
                    "The audits show that more than %(alpha)s of the later labels are wrong: the evidence "
                    "reached the limit of %(limit)s."
                )
                % values
            )
        return (
            _(
                "The evidence for more than %(alpha)s wrong labels is %(evidence)s. At %(limit)s the "
                "certificate is suspended."
            )
            % values
        )

    @property
    def doubtful_sentence(self) -> str:
        """How many labels have no audit that speaks for them."""
        return ngettext(
            "%(n)s later image was accepted after the last good checkpoint. Its label is not valid.",
            "%(n)s later images were accepted after the last good checkpoint. Their labels are not valid.",
            self.doubtful,
        ) % {"n": count(self.doubtful)}


def stream_facts(certificate_id: int) -> StreamFacts | None:
    """Return the facts of a certificate's extension to later images, or None if there is none."""
    stream = (
        CertificateStream.objects.filter(certificate=certificate_id).select_related("certificate").first()
    )
    if stream is None:
        return None
    ended = stream.ended_at is not None
    return StreamFacts(
        stream=stream,
        waiting=waiting_audits(stream),
        doubtful=doubtful_images(stream).count(),
        limit=1 / stream.certificate.delta,
        seed=bytes(stream.seed).hex() if ended else "",
    )
