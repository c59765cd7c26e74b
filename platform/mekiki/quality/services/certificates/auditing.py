"""The audit of a certificate: draws in the audit order, and the state of the test after each answer."""

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models import Max

from mekiki.audit.services import record
from mekiki.quality.audit_state import AuditState
from mekiki.quality.models import Certificate, CertificateAudit, CertificateCheck, CertificateImage
from mekiki.review.services.certificate_audits import queue_certificate_audits

# Images of a watched audit that wait at once. With more, answers would be wasted when the test ends; with
# fewer, reviewers would wait for the job between two answers.
AHEAD = 20


@transaction.atomic
def draw_audits(*, certificate: Certificate, count: int, within: int) -> list[CertificateAudit]:
    """Draw the next `count` images in the audit order among the first `within` candidates, and queue them.

    An image that was drawn before is not drawn again. Return the drawn images. The list is shorter than
    `count` if no other image is left, and empty if the audit does not run any more.
    """
    certificate = Certificate.objects.select_for_update(of=("self",)).get(pk=certificate.pk)
    if certificate.state != Certificate.State.AUDITING or count < 1:
        return []
    head = certificate.head
    assert head is not None  # a frozen certificate names its head
    region = CertificateImage.objects.filter(certificate=certificate, rank__gte=1, rank__lte=within)
    drawn = CertificateAudit.objects.filter(certificate=certificate)
    last = drawn.aggregate(last=Max("number"))["last"] or 0
    image_ids = list(
        region.exclude(image__in=drawn.values("image"))
        .order_by("audit_position")
        .values_list("image_id", flat=True)[:count]
    )
    if not image_ids:
        return []
    items = queue_certificate_audits(
        dataset=certificate.dataset,
        head=head,
        image_ids=image_ids,
        overlap=certificate.overlap,
        propensity=min(1.0, (last + len(image_ids)) / within),
    )
    audits = CertificateAudit.objects.bulk_create(
        [
            CertificateAudit(certificate=certificate, number=last + n, image_id=item.image_id, item=item)
            for n, item in enumerate(items, start=1)
        ]
    )
    record(
        kind="certificate.audits_drawn",
        dataset=certificate.dataset,
        target=certificate,
        data={"version": certificate.version, "drawn": len(audits), "in_total": last + len(audits)},
    )
    return audits


def draw_next(*, certificate: Certificate, state: AuditState) -> list[CertificateAudit]:
    """Draw the next images to audit, and return them.

    A planned audit draws all its images at once. A watched audit keeps AHEAD images of the region that is
    tested next in the queue.
    """
    left = state.protocol.limit - state.drawn - len(state.audits.others)
    if state.protocol.test == Certificate.Test.PLANNED:
        count = left
    else:
        count = min(left, AHEAD - state.waiting)
    target = state.target
    return draw_audits(certificate=certificate, count=count, within=target) if target else []


@transaction.atomic
def record_check(*, certificate: Certificate, figures: Mapping[str, Any]) -> CertificateCheck:
    """Store the state of the test, and return it. The same state as the newest one is not stored again.

    figures: the columns of CertificateCheck (`AuditState.figures`).
    """
    newest = CertificateCheck.objects.filter(certificate=certificate).first()
    if newest is not None and all(getattr(newest, name) == value for name, value in figures.items()):
        return newest
    return CertificateCheck.objects.create(certificate=certificate, **figures)
