"""Tables of the quality app: studies of agreement, certificates, their plans, and certified labels."""

from mekiki.quality.models.certificates import (
    Certificate,
    CertificateAudit,
    CertificateCheck,
    CertificateImage,
    MachineLabel,
)
from mekiki.quality.models.plans import CertificateForecast, CertificatePlan
from mekiki.quality.models.streams import CertificateStream, StreamAudit, StreamImage
from mekiki.quality.models.studies import (
    Study,
    StudyAnswer,
    StudyImage,
    StudyLabel,
    StudyReport,
    StudyReportFile,
    StudyReviewer,
)

__all__ = [
    "Certificate",
    "CertificateAudit",
    "CertificateCheck",
    "CertificateForecast",
    "CertificateImage",
    "CertificatePlan",
    "CertificateStream",
    "MachineLabel",
    "StreamAudit",
    "StreamImage",
    "Study",
    "StudyAnswer",
    "StudyImage",
    "StudyLabel",
    "StudyReport",
    "StudyReportFile",
    "StudyReviewer",
]
