"""The end of a certificate's extension to later images."""

from mekiki.audit.services import record
from mekiki.config import clock
from mekiki.quality.models import Certificate, StreamAudit
from mekiki.quality.streams import active_stream, read_stream_state
from mekiki.review.services.certificate_audits import withdraw_certificate_audits


def close_stream(certificate: Certificate) -> None:
    """End the extension of a locked certificate, if there is one, and reveal its seed in an event.

    Items that wait for their audit are withdrawn. The labels after the last good checkpoint are not valid
    from then on, whatever ended the extension: no audit speaks for them.
    """
    stream = active_stream(certificate.pk)
    if stream is None:
        return
    state = read_stream_state(stream)
    stream.ended_at = clock.now()
    stream.doubtful_from = state.checked_to + 1
    stream.save(update_fields=["ended_at", "doubtful_from"])
    withdraw_certificate_audits(items=StreamAudit.objects.filter(certificate=certificate).values("item"))
    record(
        kind="certificate.stream_ended",
        dataset=certificate.dataset,
        target=certificate,
        data={
            "version": certificate.version,
            "accepted": stream.accepted,
            "doubtful": max(0, stream.accepted - state.checked_to),
            "seed": bytes(stream.seed).hex(),
        },
    )
