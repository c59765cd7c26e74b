"""Quality of the labels: studies of reviewers, agreement, and certificates."""

from mekiki.quality.models.certificates import (
    Certificate,
    CertificateAudit,
    CertificateCheck,
    CertificateImage,
    MachineLabel,
)

__all__ = [
    "Certificate",
    "CertificateAudit",
    "CertificateCheck",
    "CertificateImage",
    "MachineLabel",
]
