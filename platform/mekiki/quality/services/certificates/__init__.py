"""Writes to certificates: start, freeze, draw audits, check, end, set labels, suspend and revoke."""

from mekiki.quality.services.certificates.auditing import draw_audits, draw_next, record_check
from mekiki.quality.services.certificates.ending import (
    accept,
    cancel,
    end_audit,
    mark_accepted,
    revoke,
    suspend_certificates,
)
from mekiki.quality.services.certificates.freezing import FrozenPool, record_freeze
from mekiki.quality.services.certificates.labels import set_machine_labels
from mekiki.quality.services.certificates.starting import request_work, start

__all__ = [
    "FrozenPool",
    "accept",
    "cancel",
    "draw_audits",
    "draw_next",
    "end_audit",
    "mark_accepted",
    "record_check",
    "record_freeze",
    "request_work",
    "revoke",
    "set_machine_labels",
    "start",
    "suspend_certificates",
]
