"""The list of the certificates of a dataset: what each covers, since when, and why it was stopped."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from mekiki.datasets.models import Dataset
from mekiki.learning.figures import count
from mekiki.quality.certificate_facts import percent
from mekiki.quality.certificate_work import StoppedWork, stopped_work
from mekiki.quality.certificates import (
    LABEL_STATES,
    RUNNING_STATES,
    newest_certificates,
    valid_machine_labels,
)
from mekiki.quality.models import Certificate
from mekiki.quality.stop_reasons import StopReason

_State = Certificate.State


@dataclass(frozen=True)
class CertificateRow:
    """One certificate in the list.

    valid: how many of its labels are valid now. stopped_work: why nothing works on it, or None.
    """

    certificate: Certificate
    valid: int
    stopped_work: StoppedWork | None = None

    @property
    def statement(self) -> str:
        """Return the statement in a few words."""
        return _("At most %(alpha)s of the labels set by machine are wrong (risk %(risk)s)") % {
            "alpha": percent(self.certificate.alpha),
            "risk": percent(self.certificate.delta),
        }

    @property
    def covers(self) -> str:
        """Return which images the certificate covers now."""
        certificate = self.certificate
        if certificate.state == _State.FREEZING and self.stopped_work is not None:
            return _("No image")
        if certificate.state == _State.FREEZING:
            return _("No image yet: the predictions are being frozen")
        if certificate.state == _State.AUDITING:
            return _("No image yet: %(n)s images without a label of a person are under audit") % {
                "n": count(certificate.pool)
            }
        if certificate.state in (_State.PASSED, _State.ACCEPTING):
            return _("%(n)s images are certified; the labels are not all set yet") % {
                "n": count(certificate.region)
            }
        if certificate.state in LABEL_STATES:
            return ngettext(
                "%(valid)s image has a valid label of this certificate (%(set)s labels were set)",
                "%(valid)s images have a valid label of this certificate (%(set)s labels were set)",
                self.valid,
            ) % {"valid": count(self.valid), "set": count(certificate.accepted)}
        return _("No image")

    @property
    def since(self) -> datetime:
        """Return since when the certificate has been in its state."""
        certificate = self.certificate
        if certificate.stopped_at is not None:
            return certificate.stopped_at
        reached = (certificate.accepted_at, certificate.ended_at, certificate.frozen_at)
        return next((at for at in reached if at is not None), certificate.created_at)

    @property
    def labels_since(self) -> datetime | None:
        """Return when the labels were set, or None if no label of the certificate can be valid."""
        return self.certificate.accepted_at if self.certificate.state in LABEL_STATES else None

    @property
    def stopped(self) -> str:
        """Return why the certificate was suspended, revoked or cancelled; "" if it was not."""
        code = self.certificate.stop_reason
        return str(StopReason(code).label) if code in StopReason.values else code


def certificate_rows(dataset: Dataset) -> list[CertificateRow]:
    """Return the newest certificates of a dataset, newest first.

    It takes at most two queries, and three more for the one that runs.
    """
    certificates = newest_certificates(dataset)
    valid: dict[int, int] = {}
    if any(certificate.state in LABEL_STATES for certificate in certificates):
        labels = valid_machine_labels(dataset).order_by().values_list("certificate_id")
        valid = dict(labels.annotate(n=Count("image_id")))
    return [
        CertificateRow(
            certificate,
            valid.get(certificate.pk, 0),
            stopped_work(certificate) if certificate.state in RUNNING_STATES else None,
        )
        for certificate in certificates
    ]
