"""Reads of a certificate's extension to later images: the state of its audits, and the doubtful images."""

from dataclasses import dataclass

from django.db.models import Exists, OuterRef, QuerySet

from mekiki.quality.models import CertificateStream, StreamAudit, StreamImage
from mekiki.review.models import ConfirmedLabel, QueueItem
from mekiki.review.services.certificate_audits import blind_labels
from verification.certificates.stream import StreamMonitor

# Images that may wait for their audit. With more, no further label is set: answers would come too late.
MOST_WAITING = 50
# States of an item whose audit has ended, with or without a label.
ENDED_ITEMS = (QueueItem.State.DONE, QueueItem.State.SET_ASIDE)


@dataclass(frozen=True)
class StreamState:
    """The monitoring of a stream by the audits that have ended.

    errors: audits with another label than the machine's, or without a label. checked_to: number of the last
    image up to which no audit speaks for more errors than the certificate allows.
    """

    monitor: StreamMonitor
    errors: int
    checked_to: int


def active_stream(certificate_id: int) -> CertificateStream | None:
    """Return the extension of a certificate that has not ended, or None."""
    return CertificateStream.objects.filter(certificate=certificate_id, ended_at__isnull=True).first()


def waiting_audits(stream: CertificateStream) -> int:
    """Return how many audited images of the stream wait for reviewers."""
    return StreamAudit.objects.filter(
        certificate=stream.certificate_id, item__state=QueueItem.State.WAITING
    ).count()


def read_stream_state(stream: CertificateStream) -> StreamState:
    """Return the state of the monitoring. Nothing is stored.

    The audits enter the e-process in the order in which they ended (`counted`), with their present answers.
    An audit whose item waits again, after an undo, is left out until it ends again.
    """
    certificate = stream.certificate
    rows = list(
        StreamAudit.objects.filter(
            certificate=certificate, counted__isnull=False, item__state__in=ENDED_ITEMS
        )
        .order_by("counted")
        .values_list("number", "item_id")
    )
    predicted = dict(
        StreamImage.objects.filter(
            certificate=certificate, number__in=[number for number, _item in rows]
        ).values_list("number", "label_id")
    )
    given = blind_labels(item for _number, item in rows)
    wrong = [given.get(item) != predicted[number] for number, item in rows]
    monitor = StreamMonitor(alpha=certificate.alpha, delta=certificate.delta).extend(wrong)
    numbers = [number for number, _item in rows]
    if monitor.since:
        # The images before the first suspicious audit, up to the last audit that came before it.
        first = min(numbers[monitor.since - 1 :])
        checked = max((number for number in numbers if number < first), default=0)
    else:
        checked = 0 if monitor.alarm else max(numbers, default=0)
    return StreamState(monitor, sum(wrong), checked)


def doubtful_images(stream: CertificateStream) -> QuerySet[StreamImage]:
    """Return the images of an ended stream after the last good checkpoint.

    Images that people labelled are left out. The rows have `waits`: whether the image waits for a reviewer.
    """
    if stream.doubtful_from is None:
        return StreamImage.objects.none()
    labelled = ConfirmedLabel.objects.filter(image=OuterRef("image_id"))
    waiting = QueueItem.objects.filter(image=OuterRef("image_id"), state=QueueItem.State.WAITING)
    rows = StreamImage.objects.filter(
        ~Exists(labelled), certificate=stream.certificate_id, number__gte=stream.doubtful_from
    )
    return rows.annotate(waits=Exists(waiting)).order_by("number")
