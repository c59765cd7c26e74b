"""The extension of a certificate to later images: start, labels, audits, alarm and recheck."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Max, Min
from django.utils.translation import gettext as _

from mekiki.accounts.access import require_role
from mekiki.accounts.models import Role, User
from mekiki.audit.services import record
from mekiki.config import clock
from mekiki.datasets.models import Dataset
from mekiki.learning.selectors import champion
from mekiki.quality.models import (
    Certificate,
    CertificateImage,
    CertificateStream,
    MachineLabel,
    StreamAudit,
    StreamImage,
)
from mekiki.quality.services.certificates.ending import suspend_for_errors_of_the_stream
from mekiki.quality.services.certificates.locks import lock_certificate
from mekiki.quality.services.certificates.starting import request_work
from mekiki.quality.services.certificates.stream_ending import close_stream
from mekiki.quality.streams import (
    ENDED_ITEMS,
    MOST_WAITING,
    active_stream,
    doubtful_images,
    read_stream_state,
    waiting_audits,
)
from mekiki.review.services.certificate_audits import queue_certificate_audits
from mekiki.review.services.rechecking import queue_rechecks
from verification.certificates.order import SEED_BYTES, commitment
from verification.certificates.stream import SHARE_STEPS, stream_audits

_State = Certificate.State


@dataclass(frozen=True)
class StreamCandidate:
    """A later image whose prediction lies in the certified region."""

    image_id: int
    sha256: str
    label_id: int
    confidence: float
    critical_probability: float


@transaction.atomic
def extend_to_stream(*, certificate: Certificate, user: User, share: float) -> CertificateStream:
    """Extend an accepted certificate to images that were imported after its freeze; return the extension.

    share: the probability in (0, 1] with which a newly accepted image is audited, in steps of 0.01 %. A job
    sets the labels and draws the audits, now and after each prediction of new images.

    Raises PermissionDenied if the user is not an admin. Raises ValidationError if the certificate is not
    accepted, was extended before, covers one import, or allows no error, or if another head is in use.
    """
    require_role(user, certificate.dataset, Role.ADMIN)
    Dataset.objects.select_for_update(no_key=True).only("pk").get(pk=certificate.dataset_id)
    certificate = lock_certificate(certificate, _State.ACCEPTED)
    current = champion(certificate.dataset)
    problem = ""
    if not 0 < round(share * SHARE_STEPS) <= SHARE_STEPS:
        problem = _("The audited share must be at least 0.01 % and at most 100 %.")
    elif CertificateStream.objects.filter(certificate=certificate).exists():
        problem = _("This certificate was extended to later images before.")
    elif certificate.batch_id is not None:
        problem = _("This certificate covers one import, so no later image belongs to it.")
    elif not certificate.alpha:
        problem = _("A certificate that allows no wrong label cannot be monitored by a sample.")
    elif current is None or current.pk != certificate.head_id:
        problem = _("Another head is in use now.")
    if problem:
        raise ValidationError(f"{problem} {_('Nothing was changed.')}")
    seed = secrets.token_bytes(SEED_BYTES)
    region = CertificateImage.objects.filter(
        certificate=certificate, rank__gte=1, rank__lte=certificate.region
    )
    stream = CertificateStream.objects.create(
        certificate=certificate,
        share=round(share * SHARE_STEPS) / SHARE_STEPS,
        confidence=region.aggregate(lowest=Min("confidence"))["lowest"],
        seed=seed,
        commitment=commitment(seed).hex(),
        started_by=user,
    )
    record(
        kind="certificate.extended",
        actor=user,
        dataset=certificate.dataset,
        target=certificate,
        data={
            "version": certificate.version,
            "share": stream.share,
            "confidence": stream.confidence,
            "commitment": stream.commitment,
        },
    )
    request_work(certificate=certificate, user=user)
    return stream


@transaction.atomic
def end_stream(*, certificate: Certificate, user: User) -> Certificate:
    """End the extension to later images, and return the certificate, which stays accepted.

    The labels after the last audited image are not valid from then on.

    Raises PermissionDenied if the user is not an admin, and ValidationError if there is no extension to end.
    """
    require_role(user, certificate.dataset, Role.ADMIN)
    certificate = lock_certificate(certificate, _State.ACCEPTED)
    if active_stream(certificate.pk) is None:
        raise ValidationError(_("This certificate is not extended to later images now. Nothing was changed."))
    close_stream(certificate)
    return certificate


@transaction.atomic
def label_stream(*, certificate: Certificate, candidates: Sequence[StreamCandidate]) -> int:
    """Set the labels of later images in their order, queue the audits, and return how many were set.

    The result is smaller than the number of candidates if MOST_WAITING audits wait: reviewers then answer
    first. It is 0 if the certificate is not accepted, was not extended, or belongs to another head than the
    head in use. The caller must not pass images that have a label.
    """
    # Promotions lock the dataset before the certificate, so this act does the same.
    Dataset.objects.select_for_update(no_key=True).only("pk").get(pk=certificate.dataset_id)
    certificate = Certificate.objects.select_for_update(of=("self",)).get(pk=certificate.pk)
    stream = active_stream(certificate.pk)
    head = champion(certificate.dataset)
    if certificate.state != _State.ACCEPTED or stream is None or head is None:
        return 0
    if head.pk != certificate.head_id:
        return 0
    audited = stream_audits(bytes(stream.seed), [one.sha256 for one in candidates], stream.share)
    taken = _within(audited, MOST_WAITING - waiting_audits(stream))
    if not taken:
        return 0
    rows = [
        StreamImage(
            certificate=certificate,
            number=stream.accepted + place,
            image_id=one.image_id,
            label_id=one.label_id,
            confidence=one.confidence,
            critical_probability=one.critical_probability,
            is_audited=is_audited,
        )
        for place, (one, is_audited) in enumerate(zip(candidates[:taken], audited), start=1)
    ]
    StreamImage.objects.bulk_create(rows, batch_size=5000)
    MachineLabel.objects.bulk_create(
        [
            MachineLabel(
                certificate=certificate,
                image_id=row.image_id,
                dataset_id=certificate.dataset_id,
                label_id=row.label_id,
                confidence=row.confidence,
                stream_number=row.number,
            )
            for row in rows
        ],
        batch_size=5000,
    )
    drawn = [row for row in rows if row.is_audited]
    if drawn:
        items = queue_certificate_audits(
            dataset=certificate.dataset,
            head=head,
            image_ids=[row.image_id for row in drawn],
            overlap=certificate.overlap,
            propensity=stream.share,
        )
        StreamAudit.objects.bulk_create(
            StreamAudit(certificate=certificate, number=row.number, image_id=row.image_id, item=item)
            for row, item in zip(drawn, items, strict=True)
        )
    stream.accepted += taken
    stream.save(update_fields=["accepted"])
    record(
        kind="certificate.stream_labels_set",
        dataset=certificate.dataset,
        target=certificate,
        data={
            "version": certificate.version,
            "labels": taken,
            "audits": len(drawn),
            "in_total": stream.accepted,
        },
    )
    return taken


def _within(audited: Sequence[bool], room: int) -> int:
    """Return how many images can be taken from the start so that at most `room` of them are audited."""
    for place, is_audited in enumerate(audited):
        room -= is_audited
        if room < 0:
            return place
    return len(audited)


@transaction.atomic
def check_stream(*, certificate: Certificate) -> Certificate:
    """Count the audits that have ended, store the evidence, and return the certificate.

    The certificate is suspended if the evidence for more wrong labels than it allows reaches 1 / δ. An alarm
    is final, also if an answer is changed later.
    """
    certificate = (
        Certificate.objects.select_for_update(of=("self",))
        .select_related("dataset", "head")
        .get(pk=certificate.pk)
    )
    stream = active_stream(certificate.pk)
    if certificate.state != _State.ACCEPTED or stream is None:
        return certificate
    audits = StreamAudit.objects.filter(certificate=certificate)
    last = audits.aggregate(last=Max("counted"))["last"] or 0
    ended = audits.filter(counted__isnull=True, item__state__in=ENDED_ITEMS)
    for place, audit in enumerate(ended.order_by("item__finished_at", "number"), start=1):
        audit.counted = last + place
        audit.save(update_fields=["counted"])
    state = read_stream_state(stream)
    stream.audits, stream.errors = state.monitor.audits, state.errors
    stream.evidence, stream.checked_to = state.monitor.evidence, state.checked_to
    if state.monitor.alarm:
        stream.alarm_at = clock.now()
    stream.save(update_fields=["audits", "errors", "evidence", "checked_to", "alarm_at"])
    if state.monitor.alarm:
        return suspend_for_errors_of_the_stream(certificate=certificate)
    return certificate


@transaction.atomic
def recheck_doubtful(*, certificate: Certificate, user: User) -> int:
    """Send the images after the last good checkpoint of an ended stream to the reviewers.

    Return how many images were put into the queue. Images with a label of a person, and images that wait
    already, are left out, so a second call adds nothing.

    Raises PermissionDenied if the user is not an admin, and ValidationError if the stream has not ended.
    """
    require_role(user, certificate.dataset, Role.ADMIN)
    certificate = lock_certificate(certificate, _State.ACCEPTED, _State.SUSPENDED, _State.REVOKED)
    stream = CertificateStream.objects.filter(certificate=certificate, ended_at__isnull=False).first()
    if stream is None:
        raise ValidationError(
            _(
                "No extension to later images has ended, so none of their labels is in doubt. Nothing was "
                "changed."
            )
        )
    ids = list(doubtful_images(stream).values_list("image_id", flat=True))
    sent = queue_rechecks(dataset=certificate.dataset, image_ids=ids)
    stream.rechecked_at = clock.now()
    stream.save(update_fields=["rechecked_at"])
    record(
        kind="certificate.recheck_requested",
        actor=user,
        dataset=certificate.dataset,
        target=certificate,
        data={"version": certificate.version, "images": sent},
    )
    return sent
